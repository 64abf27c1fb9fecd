// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What `svdgate` promises to a pipeline, with results that are made up: what it makes of a real student's,
//! tests/tests/svdgate.rs says.

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult, Object};
use std::sync::{Arc, Mutex};

fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstadapt::plugin_register_static().unwrap();
    });
}

/// `appsrc ! svdgate ! appsink`, with an appsink on the adapt pad where one is wanted.
struct Stream {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    gate: gst::Element,
    sink: gst_app::AppSink,
    adapt: Option<gst_app::AppSink>,
    /// Frames that were pulled from it.
    had: std::cell::Cell<u64>,
}

const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);
const T: u64 = 20;

impl Stream {
    fn new(properties: &str, adapt: &str) -> Self {
        init();
        let text = format!(
            "appsrc name=source format=time caps=video/x-raw,format=GRAY8,width=16,height=8,framerate=25/1 \
             ! svdgate name=gate {properties} ! appsink name=sink sync=false {adapt}"
        );
        let pipeline = gst::parse::launch(&text).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let stream = Self {
            source: pipeline.by_name("source").and_downcast().unwrap(),
            gate: pipeline.by_name("gate").unwrap(),
            sink: pipeline.by_name("sink").and_downcast().unwrap(),
            adapt: pipeline.by_name("adapt").and_downcast(),
            had: 0.into(),
            pipeline,
        };
        stream.pipeline.set_state(gst::State::Playing).unwrap();
        stream
    }

    fn with_adapt(properties: &str) -> Self {
        Self::new(properties, "gate.adapt ! appsink name=adapt sync=false")
    }

    fn push(&self, frame: u64, objects: Vec<Object>) {
        let mut buffer = gst::Buffer::from_mut_slice(vec![frame as u8; 128]);
        let made = buffer.get_mut().unwrap();
        made.set_pts(gst::ClockTime::from_mseconds(40) * frame);
        let result = FrameResult {
            frame,
            split: "edge".into(),
            completed: Completed::Edge,
            objects,
            ..FrameResult::default()
        };
        splitinfer_meta::attach(made, &result);
        self.source.push_buffer(buffer).unwrap();
    }

    /// All that comes to a sink until the end of the stream.
    fn all(sink: &gst_app::AppSink) -> Vec<gst::Buffer> {
        let mut all = Vec::new();
        while let Some(sample) = sink.try_pull_sample(PATIENCE) {
            all.push(sample.buffer_owned().unwrap());
        }
        assert!(sink.is_eos(), "the end of the stream did not come");
        all
    }

    fn stats(&self, field: &str) -> u64 {
        let stats: gst::Structure = self.gate.property("stats");
        stats.get(field).unwrap()
    }

    fn messages(&self, name: &str) -> Vec<gst::Structure> {
        let bus = self.pipeline.bus().unwrap();
        let all = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Element]));
        all.filter_map(|m| m.structure().map(ToOwned::to_owned))
            .filter(|s| s.name() == name)
            .collect()
    }

    fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..2000 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what} did not happen");
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// A person who walks by: steadily and surely, or as a student says it that sees nothing.
fn person(frame: u64, good: bool) -> Object {
    let shake = |k: u64| {
        let wild = frame.wrapping_mul(2_654_435_761).wrapping_add(k * 40_503) >> 3;
        if good { 0.0 } else { (wild % 97) as f32 - 48.0 }
    };
    let x = 100.0 + 2.0 * frame as f32;
    let score = if good { 0.9 } else { 0.2 };
    Object {
        label: "person".into(),
        score,
        box_: [x, 50.0, 60.0, 160.0],
        track: Some(3),
        keypoints: (0..17u8)
            .map(|k| {
                let (row, k) = (f32::from(k), u64::from(k));
                [
                    x + 3.0 * row + shake(k),
                    50.0 + 9.0 * row + shake(k + 31),
                    score,
                ]
            })
            .collect(),
        mirror_agreement: Some(if good { 0.98 } else { 0.6 }),
        ..Object::default()
    }
}

fn mark(buffer: &gst::Buffer) -> gst::Structure {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferGate").unwrap();
    meta.structure().to_owned()
}

fn numbers(buffers: &[gst::Buffer]) -> Vec<u64> {
    let frame = |b: &gst::Buffer| splitinfer_meta::read(b).unwrap().frame;
    buffers.iter().map(frame).collect()
}

#[test]
fn every_frame_passes_with_its_quality_and_only_bad_windows_go_to_the_adapt_pad() {
    let stream = Stream::with_adapt("threshold=0.5 canary-rate=0 cooldown=0");
    (0..40).for_each(|n| stream.push(n, vec![person(n, true)]));
    (40..80).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.source.end_of_stream().unwrap();
    let passed = Stream::all(&stream.sink);
    assert_eq!(numbers(&passed), (0..80).collect::<Vec<_>>());
    let quality = |n: usize| splitinfer_meta::read(&passed[n]).unwrap().objects[0].quality;
    assert_eq!(quality(0), None, "nothing is known yet");
    assert!(quality(39).is_some_and(|q| q > 0.5), "{:?}", quality(39));
    assert!(quality(79).is_some_and(|q| q < 0.5), "{:?}", quality(79));
    assert!(stream.gate.property::<f64>("quality") < 0.5);

    let sent = Stream::all(stream.adapt.as_ref().unwrap());
    let frames = numbers(&sent);
    assert!(frames.is_sorted_by(|a, b| a < b), "each once: {frames:?}");
    assert!(
        frames.ends_with(&(60..80).collect::<Vec<_>>()),
        "{frames:?}"
    );
    assert!(frames.iter().all(|n| *n >= 30), "{frames:?}");
    for buffer in &sent {
        let n = splitinfer_meta::read(buffer).unwrap().frame;
        assert_eq!(buffer.pts(), passed[n as usize].pts());
        assert!(
            buffer
                .map_readable()
                .unwrap()
                .iter()
                .all(|b| u64::from(*b) == n)
        );
        let mark = mark(buffer);
        assert_eq!(mark.get("reason"), Ok("gate"));
        assert_eq!(mark.get("frame"), Ok(n));
        let windows = mark.get::<gst::Array>("windows").unwrap();
        let window = windows[0].get::<gst::Structure>().unwrap();
        assert_eq!(
            (window.get("track"), window.get("label")),
            (Ok(3u64), Ok("person"))
        );
        assert!(window.get::<f64>("score").unwrap() > window.get::<f64>("threshold").unwrap());
    }
    let messages = stream.messages("svdgate");
    assert_eq!(messages.len() as u64, stream.stats("windows"));
    assert_eq!(messages.len(), 7, "20 frames, half overlapping, of 80");
    let gated = messages
        .iter()
        .filter(|m| m.get("gated") == Ok(true))
        .count();
    assert_eq!(gated as u64, stream.stats("gated-windows"));
}

#[test]
fn after_a_gated_window_there_is_a_cool_down() {
    let stream = Stream::with_adapt("threshold=0.5 canary-rate=0 cooldown=1000");
    (0..200).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.source.end_of_stream().unwrap();
    assert_eq!(Stream::all(&stream.sink).len(), 200);
    let sent = Stream::all(stream.adapt.as_ref().unwrap());
    assert_eq!(numbers(&sent), (0..T).collect::<Vec<_>>());
    assert_eq!(stream.stats("gated-windows"), 1);
    assert!(stream.stats("bad-windows") > 10);
}

#[test]
fn the_canary_takes_its_share_also_where_nothing_is_found() {
    let stream = Stream::with_adapt("canary-rate=1");
    (0..50).for_each(|n| stream.push(n, Vec::new()));
    stream.source.end_of_stream().unwrap();
    assert_eq!(Stream::all(&stream.sink).len(), 50);
    let sent = Stream::all(stream.adapt.as_ref().unwrap());
    // Up to two windows wait for a branch that is slow.
    let dropped = stream.stats("dropped-frames");
    assert_eq!(sent.len() as u64 + dropped, 50);
    assert!(sent.iter().all(|b| mark(b).get("reason") == Ok("canary")));
}

/// Pushes a frame and answers as a teacher that finds the student so wrong, if it is asked; the frames that were sent
/// for other reasons.
fn teach(stream: &Stream, frame: u64, error: f64) -> Vec<gst::Buffer> {
    stream.push(frame, vec![person(frame, true)]);
    stream.wait_until("the frame", || stream.stats("frames") > frame);
    let mut sent = answer(stream, error);
    sent.retain(|b| mark(b).get("reason") != Ok("canary"));
    sent
}

/// Answers as a teacher that finds the student so wrong on what it is asked; all that was sent since the last time.
fn answer(stream: &Stream, error: f64) -> Vec<gst::Buffer> {
    let adapt = stream.adapt.as_ref().unwrap();
    let sent = || stream.stats("canary-frames") + stream.stats("sent-frames");
    let mut all = Vec::new();
    while stream.had.get() < sent() {
        stream.had.set(stream.had.get() + 1);
        let buffer = adapt
            .try_pull_sample(PATIENCE)
            .unwrap()
            .buffer_owned()
            .unwrap();
        let asked = mark(&buffer);
        if asked.get("reason") == Ok("canary") {
            let structure = gst::Structure::builder("splitinfer-canary-error")
                .field("frame", asked.get::<u64>("frame").unwrap())
                .field("error", error)
                .build();
            let pad = adapt.static_pad("sink").unwrap();
            assert!(pad.push_event(gst::event::CustomUpstream::new(structure)));
        }
        all.push(buffer);
    }
    all
}

#[test]
fn when_the_teacher_finds_more_mistakes_than_usual_frames_are_sent_to_learn_from() {
    let stream = Stream::with_adapt("canary-rate=0.2 canary-batch=0 cooldown=0");
    for frame in 0..100 {
        let error = 0.03 + 0.002 * (frame % 3) as f64;
        assert!(teach(&stream, frame, error).is_empty(), "{frame}");
    }
    assert!(stream.messages("svdgate-drift").is_empty());
    let learn: Vec<_> = (100..160).flat_map(|n| teach(&stream, n, 0.5)).collect();
    let messages = stream.messages("svdgate-drift");
    assert_eq!(
        messages.len(),
        1,
        "one round until it is trained: {messages:?}"
    );
    assert_eq!(messages[0].get("cause"), Ok("canary"));
    assert_eq!(messages[0].get("round"), Ok(1u32));
    assert!(messages[0].get::<f64>("usual-error").unwrap() < 0.05);
    assert!((1..=T / 2).contains(&(learn.len() as u64)));
    let complete = |b: &gst::Buffer| mark(b).get("complete") == Ok(true);
    let (last, others) = learn.split_last().unwrap();
    assert!(complete(last) && !others.iter().any(complete));
    assert!(learn.iter().all(|b| mark(b).get("reason") == Ok("drift")));
    assert!(numbers(&learn).iter().all(|n| *n >= 95));
}

#[test]
fn a_training_that_brought_nothing_ends_the_round() {
    let stream = Stream::with_adapt("canary-rate=0.2 canary-batch=0 cooldown=0");
    (0..100).for_each(|n| drop(teach(&stream, n, 0.03)));
    (100..160).for_each(|n| drop(teach(&stream, n, 0.5)));
    let asked = stream.stats("canary-frames");
    (160..200).for_each(|n| drop(teach(&stream, n, 0.5)));
    assert_eq!(
        stream.stats("canary-frames"),
        asked,
        "nobody is asked meanwhile"
    );
    let structure = gst::Structure::builder("splitinfer-training").field("changed", false);
    let pad = stream.adapt.as_ref().unwrap().static_pad("sink").unwrap();
    assert!(pad.push_event(gst::event::CustomUpstream::new(structure.build())));
    (200..300).for_each(|n| drop(teach(&stream, n, 0.5)));
    assert!(stream.stats("canary-frames") > asked);
    assert_eq!(stream.stats("rounds"), 1, "as good as it gets");
    stream.source.end_of_stream().unwrap();
}

#[test]
fn looks_by_rule_are_learnt_from_together_though_nothing_is_wrong() {
    let stream = Stream::with_adapt("canary-rate=0.2 canary-batch=5");
    let sent: Vec<_> = (0..120)
        .flat_map(|n| {
            stream.push(n, vec![person(n, true)]);
            stream.wait_until("the frame", || stream.stats("frames") > n);
            answer(&stream, 0.03)
        })
        .collect();
    let complete = |b: &&gst::Buffer| mark(b).get("complete") == Ok(true);
    let last: Vec<_> = sent.iter().filter(complete).collect();
    assert_eq!(last.len(), 1, "nobody has said what came of it");
    assert_eq!(mark(last[0]).get("reason"), Ok("canary"));
    assert_eq!(mark(last[0]).get("teaches"), Ok(false));
    let messages = stream.messages("svdgate-drift");
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0].get("cause"), Ok("review"));
    stream.source.end_of_stream().unwrap();
}

#[test]
fn other_events_from_the_adapt_branch_go_upstream_and_its_qos_does_not() {
    let stream = Stream::with_adapt("");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let pad = stream.source.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data {
            into.lock().unwrap().push(event.type_());
        }
        gst::PadProbeReturn::Ok
    });
    let sink = stream.adapt.as_ref().unwrap().static_pad("sink").unwrap();
    sink.push_event(gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 1, None));
    sink.push_event(gst::event::CustomUpstream::new(gst::Structure::new_empty(
        "weights",
    )));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, [gst::EventType::CustomUpstream]);
}

#[test]
fn without_an_adapt_branch_everything_passes() {
    let stream = Stream::new("threshold=0.5 canary-rate=1 cooldown=0", "");
    (0..60).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.source.end_of_stream().unwrap();
    assert_eq!(Stream::all(&stream.sink).len(), 60);
    assert!(stream.stats("bad-windows") > 0);
    assert_eq!(
        stream.stats("sent-frames") + stream.stats("canary-frames"),
        0
    );
}

#[test]
fn an_adapt_branch_that_never_returns_holds_nothing_up() {
    let stream = Stream::with_adapt("threshold=0.5 canary-rate=1 cooldown=0");
    let pad = stream.gate.static_pad("adapt").unwrap();
    pad.add_probe(
        gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER,
        |_, _| gst::PadProbeReturn::Ok,
    );
    (0..200).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.source.end_of_stream().unwrap();
    assert_eq!(Stream::all(&stream.sink).len(), 200);
    assert!(stream.stats("dropped-frames") > 0);
    // Dropping the stream sets it to NULL, which must not hang.
}

#[test]
fn a_flush_begins_anew_on_both_pads() {
    let stream = Stream::with_adapt("threshold=0.5 canary-rate=0 cooldown=0");
    (0..15).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.wait_until("the frames", || stream.stats("frames") == 15);
    stream.pipeline.set_state(gst::State::Paused).unwrap();
    let sink = stream.gate.static_pad("sink").unwrap();
    let flushed = Arc::new(Mutex::new(0));
    let count = Arc::clone(&flushed);
    let adapt = stream.gate.static_pad("adapt").unwrap();
    adapt.add_probe(gst::PadProbeType::EVENT_FLUSH, move |_, _| {
        *count.lock().unwrap() += 1;
        gst::PadProbeReturn::Ok
    });
    assert!(sink.send_event(gst::event::FlushStart::new()));
    assert!(sink.send_event(gst::event::FlushStop::new(true)));
    assert_eq!(*flushed.lock().unwrap(), 2);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(sink.send_event(gst::event::Segment::new(&segment)));
    stream.pipeline.set_state(gst::State::Playing).unwrap();
    (100..125).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.source.end_of_stream().unwrap();
    let passed = Stream::all(&stream.sink);
    assert!(numbers(&passed).ends_with(&(100..125).collect::<Vec<_>>()));
    // The window that was under way is gone.
    let sent = Stream::all(stream.adapt.as_ref().unwrap());
    assert_eq!(numbers(&sent), (100..120).collect::<Vec<_>>());
}

#[test]
fn an_adapt_branch_that_is_linked_later_is_told_what_flows() {
    let stream = Stream::new("threshold=0.5 canary-rate=0 cooldown=0", "");
    (0..10).for_each(|n| stream.push(n, vec![person(n, true)]));
    stream.wait_until("the frames", || stream.stats("frames") == 10);
    let late = gst_app::AppSink::builder()
        .sync(false)
        .async_(false)
        .build();
    stream.pipeline.add(&late).unwrap();
    late.sync_state_with_parent().unwrap();
    stream.gate.link_pads(Some("adapt"), &late, None).unwrap();
    (10..60).for_each(|n| stream.push(n, vec![person(n, false)]));
    stream.source.end_of_stream().unwrap();
    assert_eq!(Stream::all(&stream.sink).len(), 60);
    let first = late.try_pull_sample(PATIENCE).unwrap();
    assert_eq!(
        first.caps().unwrap().structure(0).unwrap().name(),
        "video/x-raw"
    );
    assert!(!Stream::all(&late).is_empty());
}

#[test]
fn frames_without_a_result_pass_and_count_for_nothing() {
    let stream = Stream::with_adapt("canary-rate=1");
    for n in 0..30u64 {
        stream
            .source
            .push_buffer(gst::Buffer::from_mut_slice(vec![n as u8; 128]))
            .unwrap();
    }
    stream.source.end_of_stream().unwrap();
    assert_eq!(Stream::all(&stream.sink).len(), 30);
    assert!(Stream::all(stream.adapt.as_ref().unwrap()).is_empty());
    assert_eq!(
        (stream.stats("frames"), stream.stats("scored-frames")),
        (30, 0)
    );
}
