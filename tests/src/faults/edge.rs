// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The process of an edge: a camera of numbered frames, `splitinfer-edge`, and a note of when each frame came out and whose
//! result it had.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use gst::prelude::*;
use serde::{Deserialize, Serialize};
use splitinfer_meta::Completed;

use super::child::say;
use crate::numbered;
use crate::pipeline::{Numbered, Received, pts};

/// The argument with which the program becomes an edge.
pub const ARGUMENT: &str = "--edge";

/// What an edge is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Of `splitinfer-edge`.
    pub properties: Vec<(String, String)>,
}

/// What it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    Frame(Frame),
    Notice(Notice),
    /// The stream has ended, with so many frames that went in, and this is all of `stats`.
    Done {
        pushed: u64,
        stats: String,
    },
}

/// A frame as it came out. Times are [`super::now`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub number: u64,
    /// When a camera would have had it, however late the pipeline took it.
    pub captured: f64,
    pub out: f64,
    pub split: String,
    /// `edge`, `server`, or `none`.
    pub completed: String,
    pub whose: Whose,
}

/// By what the model read off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    Own,
    /// Of another frame, or a mixture.
    Another,
    /// It has no result.
    Nobody,
}

/// A WARNING or an INFO of the element.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// When it was seen, at most a frame after it was posted.
    pub at: f64,
    pub warning: bool,
    pub text: String,
}

impl Frame {
    /// `begun`: of frame 0.
    pub fn new(received: &Received, begun: f64) -> Self {
        let completed = received.completed();
        Self {
            number: received.number,
            captured: begun + pts(received.number).nseconds() as f64 / 1e6,
            out: super::at(received.at),
            split: received
                .result
                .as_ref()
                .map_or_else(String::new, |r| r.split.clone()),
            completed: completed.as_str().to_owned(),
            whose: match &received.result {
                Some(result) if completed != Completed::None => {
                    let own = result.frame == received.number
                        && received.read == Some(received.number % numbered::NUMBERS);
                    if own { Whose::Own } else { Whose::Another }
                }
                _ => Whose::Nobody,
            },
        }
    }

    pub fn by_server(&self) -> bool {
        self.completed == Completed::Server.as_str()
    }

    /// From its capture until it came out, ms.
    pub fn latency(&self) -> f64 {
        self.out - self.captured
    }
}

/// An edge as the job wants it, and the moment of its frame 0.
pub fn start(properties: &[(String, String)]) -> (Numbered, Instant) {
    let stream = Numbered::start(true, |edge| {
        for (name, value) in properties {
            edge.set_property_from_str(name, value);
        }
    });
    (stream, Instant::now())
}

/// Waits for the moment of a frame, and pushes it.
pub fn push(stream: &Numbered, begun: Instant, number: u64) {
    let due = begun + Duration::from_nanos(pts(number).nseconds());
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
    stream.push(number);
}

/// Streams until a line comes, or nobody is there any more who could send one.
///
/// # Errors
/// When nobody reads what it says.
pub fn work(job: &Job) -> Result<()> {
    let end = Arc::<AtomicBool>::default();
    let ended = end.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        ended.store(true, Ordering::Relaxed);
    });
    let (stream, start) = start(&job.properties);
    let begun = super::at(start);
    let mut pushed = 0;
    while !end.load(Ordering::Relaxed) {
        push(&stream, start, pushed);
        pushed += 1;
        tell(&stream, begun)?;
    }
    tell(&stream, begun)?;
    let edge = stream.edge.clone();
    let stats = edge.property::<gst::Structure>("stats").to_string();
    for received in stream.finish() {
        say(&Line::Frame(Frame::new(&received, begun)))?;
    }
    say(&Line::Done { pushed, stats })
}

/// What has happened since the last call.
fn tell(stream: &Numbered, begun: f64) -> Result<()> {
    for received in stream.arrived() {
        say(&Line::Frame(Frame::new(&received, begun)))?;
    }
    for notice in stream.notices() {
        say(&Line::Notice(Notice {
            at: super::now(),
            warning: notice.starts_with("warning"),
            text: notice,
        }))?;
    }
    Ok(())
}
