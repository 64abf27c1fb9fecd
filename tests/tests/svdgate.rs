// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `scenesrc ! splitinfer-edge mirror-check=… ! svdgate` with the shipped student: the gate stays shut on what it was
//! trained on and opens where it is lost.

use gst::prelude::*;
use std::collections::BTreeSet;

const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

struct Run {
    /// Frames on the main stream and on the adapt pad, and their results.
    passed: Vec<splitinfer_meta::FrameResult>,
    sent: Vec<splitinfer_meta::FrameResult>,
    windows: Vec<gst::Structure>,
}

fn model() -> String {
    let model = splitinfer_tests::repository().join("models/walker-student.onnx");
    model.display().to_string()
}

fn results(sink: &gst_app::AppSink) -> Vec<splitinfer_meta::FrameResult> {
    let mut results = Vec::new();
    while let Some(sample) = sink.try_pull_sample(PATIENCE) {
        results.push(splitinfer_meta::read(sample.buffer().unwrap()).unwrap());
    }
    assert!(sink.is_eos(), "the end of the stream did not come");
    results
}

fn run(domain: &str, frames: u32, edge: &str, gate: &str) -> Run {
    splitinfer_tests::init();
    let text = format!(
        "scenesrc scene=walker seed=900001 domain=\"{domain}\" num-buffers={frames} \
         ! video/x-raw,format=I420,width=640,height=360,framerate=15/1 \
         ! splitinfer-edge name=edge model=\"{}\" threads=1 {edge} ! svdgate name=gate canary-rate=0 {gate} \
         ! appsink name=sink sync=false  gate.adapt ! queue ! appsink name=adapt sync=false",
        model()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = |name| {
        pipeline
            .by_name(name)
            .and_downcast::<gst_app::AppSink>()
            .unwrap()
    };
    let (main, adapt) = (sink("sink"), sink("adapt"));
    pipeline.set_state(gst::State::Playing).unwrap();
    let passed = results(&main);
    let sent = results(&adapt);
    let bus = pipeline.bus().unwrap();
    let messages = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Element]));
    let windows = messages
        .filter_map(|m| m.structure().map(ToOwned::to_owned))
        .filter(|s| s.name() == "svdgate")
        .collect();
    pipeline.set_state(gst::State::Null).unwrap();
    Run {
        passed,
        sent,
        windows,
    }
}

#[test]
fn with_a_threshold_the_gate_stays_shut_by_day_and_opens_at_night() {
    // Ten seconds of each.
    let run = run(
        "day; 10 night",
        300,
        "mirror-check=2",
        "threshold=0.5 cooldown=0",
    );
    assert_eq!(run.passed.len(), 300);
    let bad = |from: u64, to: u64| {
        let within = |w: &&gst::Structure| {
            let first: u64 = w.get("first-frame").unwrap();
            (from..to).contains(&first)
        };
        let windows: Vec<_> = run.windows.iter().filter(within).collect();
        let bad = windows.iter().filter(|w| w.get("bad") == Ok(true)).count();
        (bad, windows.len())
    };
    let (day, night) = (bad(0, 130), bad(150, 300));
    assert!(
        day.1 > 3 && day.0 * 4 <= day.1,
        "bad of windows by day: {day:?}"
    );
    assert!(
        night.1 > 3 && night.0 * 10 >= night.1 * 9,
        "bad of windows at night: {night:?}"
    );
    let sent: BTreeSet<u64> = run.sent.iter().map(|r| r.frame).collect();
    assert_eq!(sent.len(), run.sent.len(), "a frame was sent twice");
    assert!(sent.iter().filter(|n| **n >= 150).count() > 60, "{sent:?}");
}

#[test]
fn what_the_student_shows_is_enough_to_notice_the_night_within_two_seconds() {
    let run = run("day; 10 night", 300, "mirror-check=2", "");
    let sent = |from: u64, to: u64| {
        let within = |r: &&splitinfer_meta::FrameResult| (from..to).contains(&r.frame);
        run.sent.iter().filter(within).count()
    };
    // Some of the frames just before it was noticed are sent, too.
    let frames: Vec<u64> = run.sent.iter().map(|r| r.frame).collect();
    assert!(sent(145, 180) >= 3, "{frames:?}");
    // Nobody is asked, so a round that a sign by day leads to in vain is possible, but no more than one.
    assert!(sent(0, 145) <= 10, "by day: {frames:?}");
}

#[test]
fn frames_are_compared_with_their_mirror_images_in_the_background() {
    let run = run("day", 60, "mirror-check=3", "");
    assert_eq!(run.passed.len(), 60);
    let told: Vec<f64> = run
        .passed
        .iter()
        .filter_map(|r| r.mirror_agreement)
        .collect();
    // No frame waits, so a busy machine finds out less often, but not never and not more often.
    assert!(!told.is_empty() && told.len() <= 20, "{}", told.len());
    assert!(told.iter().all(|a| (0.0..=1.0).contains(a)), "{told:?}");
    let objects = run.passed.iter().flat_map(|r| &r.objects);
    let agreements: Vec<f32> = objects.filter_map(|o| o.mirror_agreement).collect();
    assert!(!agreements.is_empty());
    let mean = agreements.iter().sum::<f32>() / agreements.len() as f32;
    assert!(mean > 0.8, "by day the student agrees with itself: {mean}");
    assert!(run.windows.iter().any(|w| w.has_field("mirror-agreement")));
}

#[test]
fn without_a_mirror_check_there_is_no_agreement() {
    let run = run("day", 45, "", "");
    assert!(run.passed.iter().all(|r| r.mirror_agreement.is_none()));
    assert!(run.windows.iter().all(|w| !w.has_field("mirror-agreement")));
    assert!(
        run.passed
            .iter()
            .flat_map(|r| &r.objects)
            .any(|o| o.quality.is_some())
    );
}
