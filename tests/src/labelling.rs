// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A stream that a teacher labels, and what came out of it.

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use gst::prelude::*;
use splitinfer_meta::{FrameResult, Labels};

use crate::pipeline::PATIENCE;
use crate::process::Server;

pub const TEACHER: &str = "traffic-teacher.onnx";

/// Twenty frames a second, as of a camera.
pub const LIVE: &str = "scenesrc scene=traffic is-live=true ! video/x-raw,format=RGB,width=320,height=176,framerate=20/1";

pub fn model(name: &str) -> String {
    let path = crate::repository().join("models").join(name);
    path.to_string_lossy().into_owned()
}

/// A server that has the project's teachers, and listens.
pub fn server() -> Server {
    let models = crate::repository().join("models");
    Server::listening(&[&format!("model={}", models.display())])
}

/// A frame as it left the teacher.
pub struct Frame {
    pub buffer: gst::Buffer,
    pub pts: gst::ClockTime,
    pub labels: Labels,
    /// The student's.
    pub result: Option<FrameResult>,
}

impl Frame {
    pub fn is_labelled(&self) -> bool {
        !self.labels.is_silent()
    }
}

/// A pipeline whose sink gives labelled frames.
pub struct Labelling {
    pub pipeline: gst::Pipeline,
    pub teacher: gst::Element,
    pub frames: Receiver<Frame>,
}

impl Labelling {
    /// `source`: elements before the teacher; `settings`: of the teacher.
    pub fn start(source: &str, settings: &str) -> Self {
        Self::start_as(TEACHER, source, settings)
    }

    pub fn start_as(teacher: &str, source: &str, settings: &str) -> Self {
        let labelling = Self::make_as(teacher, source, settings);
        labelling
            .pipeline
            .set_state(gst::State::Playing)
            .expect("the pipeline starts");
        labelling
    }

    /// As [`start`](Self::start), and yet to be started.
    pub fn make(source: &str, settings: &str) -> Self {
        Self::make_as(TEACHER, source, settings)
    }

    fn make_as(teacher: &str, source: &str, settings: &str) -> Self {
        crate::init();
        let launch = format!(
            "{source} ! teacherlabel name=teacher model={} max-waiting=1000 {settings} ! appsink name=out sync=false",
            model(teacher)
        );
        let pipeline = gst::parse::launch(&launch)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let sink = pipeline
            .by_name("out")
            .unwrap()
            .downcast::<gst_app::AppSink>()
            .unwrap();
        let (sender, frames) = channel();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let buffer = sample.buffer_owned().ok_or(gst::FlowError::Error)?;
            let frame = Frame {
                pts: buffer.pts().ok_or(gst::FlowError::Error)?,
                labels: splitinfer_meta::read_labels(&buffer).ok_or(gst::FlowError::Error)?,
                result: splitinfer_meta::read(&buffer),
                buffer,
            };
            let _ = sender.send(frame);
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        Self {
            teacher: pipeline.by_name("teacher").unwrap(),
            pipeline,
            frames,
        }
    }

    pub fn stats(&self) -> gst::Structure {
        self.teacher.property("stats")
    }

    pub fn count(&self, field: &str) -> u64 {
        self.stats().get(field).unwrap()
    }

    /// Frames up to and with the first that is `wanted`.
    pub fn until(&self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let begun = Instant::now();
        let mut frames = Vec::new();
        while frames.last().is_none_or(|f| !wanted(f)) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let frame = self.frames.recv_timeout(left);
            frames.push(frame.unwrap_or_else(|_| panic!("{what}: none, but {}", self.stats())));
        }
        frames
    }

    /// Waits for the end of the stream, which something has sent; the frames until then, and what was noticed.
    pub fn end(&self) -> (Vec<Frame>, Vec<String>) {
        let begun = Instant::now();
        let bus = self.pipeline.bus().unwrap();
        let mut notices = Vec::new();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let message = bus.timed_pop(gst::ClockTime::try_from(left).unwrap());
            let message = message.expect("the stream ends in time");
            match message.view() {
                gst::MessageView::Eos(_) => break,
                gst::MessageView::Error(e) => panic!("{}", e.error()),
                _ => notices.extend(notice(&message)),
            }
        }
        (self.frames.try_iter().collect(), notices)
    }

    /// Texts of the warnings and infos so far; other messages are lost.
    pub fn notices(&self) -> Vec<String> {
        let bus = self.pipeline.bus().unwrap();
        let all = std::iter::from_fn(|| bus.pop());
        all.filter_map(|m| notice(&m)).collect()
    }

    /// The error that the start ends with, or that comes soon after.
    pub fn error(&self) -> String {
        let _ = self.pipeline.set_state(gst::State::Playing);
        let message = self.pipeline.bus().unwrap().timed_pop_filtered(
            gst::ClockTime::try_from(PATIENCE).ok(),
            &[gst::MessageType::Error],
        );
        match message.expect("an error").view() {
            gst::MessageView::Error(e) => e.error().to_string(),
            _ => unreachable!("only errors were asked for"),
        }
    }
}

impl Drop for Labelling {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn notice(message: &gst::Message) -> Option<String> {
    match message.view() {
        gst::MessageView::Warning(w) => Some(format!("warning: {}", w.error())),
        gst::MessageView::Info(i) => Some(format!("info: {}", i.error())),
        _ => None,
    }
}

/// That no frame is missing, twice there or out of turn, at twenty a second.
pub fn assert_gapless(frames: &[Frame]) {
    for pair in frames.windows(2) {
        let step = pair[1].pts - pair[0].pts;
        assert_eq!(step.mseconds(), 50, "after {}", pair[0].pts);
    }
}
