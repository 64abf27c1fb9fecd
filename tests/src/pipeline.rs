// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A pipeline of numbered frames through `splitinfer-edge`, and what came out of it.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult};

use crate::numbered;

/// Frames a second of the numbered stream.
pub const FPS: u64 = 30;
/// What a frame may take before a test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a pipeline's errors and warnings say that nobody has taken off its bus.
///
/// # Panics
/// Never: every pipeline has a bus.
pub fn reports(pipeline: &gst::Pipeline) -> String {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let told = bus.iter().filter_map(|message| match message.view() {
        gst::MessageView::Error(e) => Some(e.error().to_string()),
        gst::MessageView::Warning(w) => Some(w.error().to_string()),
        _ => None,
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Numbered frames in, results out.
pub struct Numbered {
    pub pipeline: gst::Pipeline,
    pub edge: gst::Element,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    received: Receiver<Received>,
}

/// A buffer as it left the element.
#[derive(Clone, Debug)]
pub struct Received {
    /// What the buffer's timestamp says it is.
    pub number: u64,
    pub offset: u64,
    pub result: Option<FrameResult>,
    pub read: Option<u64>,
    /// When it came out.
    pub at: Instant,
}

impl Numbered {
    /// Builds and starts the pipeline. `live`: the source acts as a camera, [`FPS`] frames a second.
    ///
    /// # Panics
    /// When an element is missing or the pipeline does not start.
    pub fn start(live: bool, configure: impl FnOnce(&gst::Element)) -> Self {
        crate::init();
        let edge = gst::ElementFactory::make("splitinfer-edge")
            .build()
            .expect("splitinfer-edge is there");
        edge.set_property_from_str("execution-provider", crate::provider().name());
        // Digits are read right up to a change of 5 %. The element keeps the worst of the last frames looked at to what is asked for,
        // and a frame between them may be off by twice that and more, here where three flat values decide.
        edge.set_property("output-error", 0.5f32);
        configure(&edge);
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "RGB")
            .field("width", numbered::WIDTH as i32)
            .field("height", numbered::HEIGHT as i32)
            .field("framerate", gst::Fraction::new(FPS as i32, 1))
            .build();
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(live)
            .max_bytes(2 * u64::from(numbered::WIDTH * numbered::HEIGHT * 3))
            .block(true)
            .build();
        let (sender, received) = channel();
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .callbacks(
                gst_app::AppSinkCallbacks::builder()
                    .new_sample(move |sink| {
                        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                        if let Some(buffer) = sample.buffer() {
                            let _ = sender.send(Received::new(buffer));
                        }
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .build(),
            )
            .build();
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &edge, sink.upcast_ref()];
        pipeline.add_many(elements).expect("elements are added");
        gst::Element::link_many(elements).expect("elements link");
        if pipeline.set_state(gst::State::Playing).is_err() {
            panic!("the pipeline does not start: {}", reports(&pipeline));
        }
        Self {
            pipeline,
            edge,
            source,
            sink,
            received,
        }
    }

    /// Sends an event upstream, as an element behind the edge does.
    pub fn send_upstream(&self, event: gst::Event) -> bool {
        self.sink.send_event(event)
    }

    /// Pushes frame `number`; waits while the pipeline is full.
    ///
    /// # Panics
    /// When the pipeline refuses the frame.
    pub fn push(&self, number: u64) {
        self.push_showing(number, number);
    }

    /// Pushes frame `number` with the picture of another one.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn push_showing(&self, number: u64, shown: u64) {
        let mut buffer = gst::Buffer::from_mut_slice(numbered::picture(shown));
        {
            let buffer = buffer.get_mut().expect("the buffer is ours");
            buffer.set_pts(pts(number));
            buffer.set_duration(pts(1));
            buffer.set_offset(number);
        }
        self.source
            .push_buffer(buffer)
            .expect("the pipeline takes the frame");
    }

    /// Pushes frames at the rate of a camera; `before` is called before each.
    pub fn push_live(&self, count: u64, mut before: impl FnMut(u64)) {
        let begun = Instant::now();
        for number in 0..count {
            before(number);
            let due = Duration::from_nanos(pts(number).nseconds());
            if let Some(wait) = due.checked_sub(begun.elapsed()) {
                std::thread::sleep(wait);
            }
            self.push(number);
        }
    }

    /// The next buffer that came out.
    ///
    /// # Panics
    /// When none comes within [`PATIENCE`].
    pub fn next(&self) -> Received {
        self.received
            .recv_timeout(PATIENCE)
            .expect("a frame comes out")
    }

    /// What has come out since the last call.
    pub fn arrived(&self) -> Vec<Received> {
        self.received.try_iter().collect()
    }

    /// Ends the stream and gives all that came out of it, once EOS has come out too.
    ///
    /// # Panics
    /// When EOS does not come out within [`PATIENCE`], or an error does.
    pub fn finish(self) -> Vec<Received> {
        self.source.end_of_stream().expect("the stream ends");
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        let end =
            bus.timed_pop_filtered(patience, &[gst::MessageType::Eos, gst::MessageType::Error]);
        let end = end.expect("the stream ends in time");
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
        self.pipeline
            .set_state(gst::State::Null)
            .expect("the pipeline stops");
        self.received.try_iter().collect()
    }

    /// Waits until `stats` say so.
    ///
    /// # Panics
    /// When they do not within [`PATIENCE`].
    pub fn wait_for(&self, what: &str, reached: impl Fn(&gst::StructureRef) -> bool) {
        let begun = Instant::now();
        loop {
            let stats: gst::Structure = self.edge.property("stats");
            if reached(&stats) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not come true: {stats}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_until_connected(&self) {
        self.wait_for("the connection", |stats| stats.get("connected") == Ok(true));
    }

    /// Structures of the element messages of this name on the bus so far, in order; other messages are lost.
    ///
    /// # Panics
    /// Never: a pipeline has a bus.
    pub fn element_messages(&self, name: &str) -> Vec<gst::Structure> {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Element]))
            .filter_map(|m| m.structure().map(gst::StructureRef::to_owned))
            .filter(|s| s.name() == name)
            .collect()
    }

    /// Texts of the warnings and infos on the bus so far, in order.
    pub fn notices(&self) -> Vec<String> {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let types = [gst::MessageType::Warning, gst::MessageType::Info];
        std::iter::from_fn(|| bus.pop_filtered(&types))
            .filter_map(|m| match m.view() {
                gst::MessageView::Warning(w) => Some(format!("warning: {}", w.error())),
                gst::MessageView::Info(i) => Some(format!("info: {}", i.error())),
                _ => None,
            })
            .collect()
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Received {
    fn new(buffer: &gst::BufferRef) -> Self {
        let at = Instant::now();
        let result = splitinfer_meta::read(buffer);
        let time = buffer.pts().map_or(u64::MAX, gst::ClockTime::nseconds);
        Self {
            number: (time + 500_000) * FPS / gst::ClockTime::SECOND.nseconds(),
            offset: buffer.offset(),
            read: result.as_ref().and_then(numbered::read),
            result,
            at,
        }
    }

    pub fn completed(&self) -> Completed {
        self.result
            .as_ref()
            .map_or(Completed::None, |r| r.completed)
    }
}

/// The timestamp of a frame.
pub fn pts(number: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(number * gst::ClockTime::SECOND.nseconds() / FPS)
}

/// Checks that every frame came out once, in order, untouched, with the result of that very frame.
///
/// # Panics
/// When that is not so.
pub fn assert_complete(received: &[Received], count: u64) {
    assert_eq!(received.len() as u64, count, "frames out");
    for (expected, frame) in (0..count).zip(received) {
        assert_eq!(frame.number, expected, "order by timestamp");
        assert_eq!(frame.offset, expected, "offset");
        let result = frame
            .result
            .as_ref()
            .unwrap_or_else(|| panic!("frame {expected} has no result"));
        assert_eq!(result.frame, expected, "the result's number");
        assert_eq!(
            frame.read,
            Some(expected % numbered::NUMBERS),
            "what the model read off frame {expected} ({}, completed by {})",
            result.split,
            result.completed,
        );
    }
}

/// How many of them the server completed.
pub fn by_server(received: &[Received]) -> usize {
    let there = received
        .iter()
        .filter(|r| r.completed() == Completed::Server);
    there.count()
}
