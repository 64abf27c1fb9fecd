// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A pipeline with an edge that is started and stopped over and over in one process, while its server lives and while it is
//! dying and coming back all the time.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gst::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::child::{Child, say};
use super::edge::{self, Frame, Whose};
use super::injure::wait_until_listening;
use super::schedule::between;
use super::series::{Cycles, Series, series};
use crate::measure::ms;
use crate::process::Server;
use crate::split_switch::memory;

/// The argument with which the program becomes such a process.
pub const ARGUMENT: &str = "--lives";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    model: String,
    server: String,
}

/// A life that has ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Life {
    frames: usize,
    by_server: usize,
    /// Frames with another's result, and with none.
    misattributed: usize,
    without: usize,
    /// How long it took to stop, ms.
    stopping: f64,
}

/// What lives showed beside what they left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub frames: usize,
    pub by_server: usize,
    pub misattributed: usize,
    pub without: usize,
    /// The longest that stopping took, ms.
    pub stopping: f64,
}

impl Sum {
    pub fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.by_server += other.by_server;
        self.misattributed += other.misattributed;
        self.without += other.without;
        self.stopping = self.stopping.max(other.stopping);
    }
}

/// Runs lives of random lengths, with all splits in turns.
///
/// # Errors
/// When a process ends or hangs.
pub fn measure(
    model: &str,
    splits: &[String],
    dying: bool,
    cycles: Cycles,
    seed: u64,
    mut done: impl FnMut(),
) -> Result<(Series, Sum)> {
    let server = Server::start(&[&format!("model={model}")]);
    wait_until_listening(&server)?;
    let job = Job {
        model: model.to_owned(),
        server: server.address(),
    };
    let mut child: Child<Life> = Child::start(ARGUMENT, &job)?;
    let (_alive, storm) = match dying {
        true => (None, Some(Storm::start(server, seed))),
        false => (Some(server), None),
    };
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut sum = Sum::default();
    let id = child.id();
    let cycle = |i: usize| {
        let length = between(30, 1200, dice.random());
        child.order(&format!(
            "{} {}",
            length.as_millis(),
            splits[i % splits.len()]
        ))?;
        let life = child.next(PATIENCE)?;
        sum.frames += life.frames;
        sum.by_server += life.by_server;
        sum.misattributed += life.misattributed;
        sum.without += life.without;
        sum.stopping = sum.stopping.max(life.stopping);
        done();
        Ok(())
    };
    let name = match dying {
        true => "edge: NULL, PLAYING, NULL while the server is killed and restarted",
        false => "edge: NULL, PLAYING, NULL",
    };
    let mut series = series(name, id, cycles, cycle, || Ok(()))?;
    if let Some(storm) = storm {
        storm.end()?;
    }
    series.remark = format!(
        "{} frames, {} by the server; stopping took {:.0} ms at most",
        sum.frames, sum.by_server, sum.stopping
    );
    Ok((series, sum))
}

/// The process itself: a life for each line, which says how many ms it lasts and where it is split.
///
/// # Errors
/// When nobody reads what it says.
pub fn work(job: &str) -> Result<()> {
    let job: Job = serde_json::from_str(job)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (length, split) = line.split_once(' ').context("MS SPLIT")?;
        let length = Duration::from_millis(length.parse()?);
        let properties = super::properties(&job.model, &job.server, split);
        let life = live(&properties, length)?;
        memory::give_back();
        say(&life)?;
    }
    Ok(())
}

/// Stops in the middle of the stream, with what is under way.
fn live(properties: &[(String, String)], length: Duration) -> Result<Life> {
    let (stream, start) = edge::start(properties);
    let begun = super::at(start);
    for number in (0..).take_while(|_| start.elapsed() < length) {
        edge::push(&stream, start, number);
    }
    let stopped = Instant::now();
    stream.pipeline.set_state(gst::State::Null)?;
    let stopping = ms(stopped.elapsed());
    let frames: Vec<_> = stream.arrived();
    let frames = frames.iter().map(|r| Frame::new(r, begun));
    let frames: Vec<_> = frames.collect();
    let count = |whose| frames.iter().filter(|f| f.whose == whose).count();
    Ok(Life {
        frames: frames.len(),
        by_server: frames.iter().filter(|f| f.by_server()).count(),
        misattributed: count(Whose::Another),
        without: count(Whose::Nobody),
        stopping,
    })
}

/// Kills a server and starts it again, at random moments.
struct Storm {
    end: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Storm {
    fn start(mut server: Server, seed: u64) -> Self {
        let end = Arc::<AtomicBool>::default();
        let ended = end.clone();
        let thread = std::thread::spawn(move || {
            let mut dice = ChaCha8Rng::seed_from_u64(!seed);
            let mut wait = |least, most| std::thread::sleep(between(least, most, dice.random()));
            while !ended.load(Ordering::Relaxed) {
                wait(200, 1500);
                server.kill();
                wait(10, 400);
                server.restart();
            }
        });
        Self { end, thread }
    }

    fn end(self) -> Result<()> {
        self.end.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow::anyhow!("the server could not be started again"))
    }
}
