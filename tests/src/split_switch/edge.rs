// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-edge` with a camera before it: one frame after another, and what came out.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gst::prelude::*;
use splitinfer_meta::FrameResult;

use super::THREADS;

/// Frames a second of the camera.
pub const FPS: u64 = 30;

/// What a frame may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// So that what is late on a busy machine is seen as late, and not completed here.
const BUDGET_MS: u32 = 1000;

/// What is set of the element, the rest being as it comes.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    pub model: &'a Path,
    pub server: Option<&'a str>,
    /// `split-candidates`.
    pub candidates: Option<&'a str>,
    pub tensor_bits: u32,
}

/// Playing.
pub struct Edge {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    element: gst::Element,
    frames: Vec<gst::Buffer>,
    pushed: u64,
    begun: Instant,
    out: Receiver<Out>,
}

/// A frame that came out.
pub struct Out {
    pub pts: Option<gst::ClockTime>,
    pub result: Option<FrameResult>,
}

impl Edge {
    /// With a server: connected.
    ///
    /// # Errors
    /// When the pipeline does not play or the server does not answer.
    pub fn start(caps: &gst::Caps, frames: Vec<gst::Buffer>, settings: &Settings) -> Result<Self> {
        let element = gst::ElementFactory::make("splitinfer-edge")
            .property("model", settings.model.to_string_lossy().as_ref())
            .property("threads", THREADS as u32)
            .property("latency-budget", BUDGET_MS)
            .property("tensor-bits", settings.tensor_bits)
            .property("split", "edge")
            .build()?;
        if let Some(server) = settings.server {
            element.set_property("server", server);
        }
        if let Some(candidates) = settings.candidates {
            element.set_property("split-candidates", candidates);
        }
        let mut caps = caps.copy();
        caps.make_mut()
            .set("framerate", gst::Fraction::new(FPS as i32, 1));
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            .build();
        let (sender, out) = channel();
        let received = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(buffer) = sample.buffer() {
                let result = splitinfer_meta::read(buffer);
                let pts = buffer.pts();
                let _ = sender.send(Out { pts, result });
            }
            Ok(gst::FlowSuccess::Ok)
        };
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(received);
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .callbacks(callbacks.build())
            .build();
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &element, sink.upcast_ref()];
        pipeline.add_many(elements)?;
        gst::Element::link_many(elements)?;
        pipeline.set_state(gst::State::Playing)?;
        let edge = Self {
            pipeline,
            source,
            element,
            frames,
            pushed: 0,
            begun: Instant::now(),
            out,
        };
        if settings.server.is_some() {
            edge.wait_until_connected()?;
        }
        Ok(edge)
    }

    fn wait_until_connected(&self) -> Result<()> {
        let begun = Instant::now();
        while self.stats().get::<bool>("connected") != Ok(true) {
            ensure!(begun.elapsed() < PATIENCE, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn stats(&self) -> gst::Structure {
        self.element.property("stats")
    }

    /// All that can be set with this model and a server.
    ///
    /// # Errors
    /// When the element does not tell its candidates.
    pub fn splits(&self) -> Result<Vec<String>> {
        let mut splits = vec!["edge".to_owned(), "server".to_owned()];
        splits.extend(candidates(&self.element)?);
        Ok(splits)
    }

    pub fn set_split(&self, split: &str) {
        self.element.set_property("split", split);
    }

    /// Pushes the next frame when a camera would, and gives what came out; `None` if nothing did.
    ///
    /// # Errors
    /// When the pipeline does not take it, or what comes out is another frame.
    pub fn frame(&mut self) -> Result<Option<FrameResult>> {
        let number = self.pushed;
        let pts = gst::ClockTime::from_nseconds(number * gst::ClockTime::SECOND.nseconds() / FPS);
        if number == 0 {
            self.begun = Instant::now();
        }
        let due = Duration::from_nanos(pts.nseconds());
        if let Some(wait) = due.checked_sub(self.begun.elapsed()) {
            std::thread::sleep(wait);
        }
        let mut buffer = self.frames[there_and_back(number, self.frames.len())].copy();
        let own = buffer.get_mut().context("a copy is ours")?;
        own.set_pts(pts);
        own.set_duration(gst::ClockTime::SECOND / FPS);
        self.source.push_buffer(buffer)?;
        self.pushed += 1;
        let Ok(out) = self.out.recv_timeout(PATIENCE) else {
            return Ok(None);
        };
        ensure!(out.pts == Some(pts), "frame {number} came out as another");
        Ok(out.result.filter(|r| r.frame == number))
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Names of the candidates of a started `splitinfer-edge`.
///
/// # Errors
/// When it does not tell them.
pub fn candidates(edge: &gst::Element) -> Result<Vec<String>> {
    let stats: gst::Structure = edge.property("stats");
    let rows = stats.get::<gst::Array>("candidates")?;
    let names = rows
        .iter()
        .map(|row| Ok(row.get::<gst::Structure>()?.get("name")?));
    names.collect()
}

/// No two frames after one another are far apart.
fn there_and_back(number: u64, count: usize) -> usize {
    let last = count.saturating_sub(1).max(1);
    let at = number as usize % (2 * last);
    at.min(2 * last - at).min(count - 1)
}
