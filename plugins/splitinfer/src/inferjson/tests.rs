// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The element in a harness.

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult, Object};

fn harness(caps: &str) -> gst_check::Harness {
    use std::sync::Once;
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gst::Element::register(
            None,
            "inferjson",
            gst::Rank::NONE,
            super::InferJson::static_type(),
        )
        .unwrap();
    });
    let mut harness = gst_check::Harness::new("inferjson");
    harness.set_src_caps_str(caps);
    harness
}

fn frame(pts_ms: u64, result: Option<&FrameResult>) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(64).unwrap();
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::from_mseconds(pts_ms));
        buffer.set_duration(gst::ClockTime::from_mseconds(40));
        if let Some(result) = result {
            splitinfer_meta::attach(buffer, result);
        }
    }
    buffer
}

fn text(buffer: &gst::Buffer) -> String {
    let map = buffer.map_readable().unwrap();
    String::from_utf8(map.to_vec()).unwrap()
}

const CAPS: &str = "video/x-raw,format=GRAY8,width=8,height=8,framerate=25/1";

#[test]
fn each_frame_becomes_one_line_that_reads_back() {
    let mut harness = harness(CAPS);
    for number in 0..3 {
        let sent = FrameResult {
            frame: number,
            split: "conv".into(),
            completed: Completed::Server,
            objects: vec![Object {
                label: "car".into(),
                score: 0.5,
                box_: [1.5, 2.0, 3.0, 4.0],
                ..Default::default()
            }],
            ..Default::default()
        };
        harness.push(frame(number * 40, Some(&sent))).unwrap();
        let out = harness.pull().unwrap();
        assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(number * 40)));
        assert_eq!(out.duration(), Some(gst::ClockTime::from_mseconds(40)));
        let line = text(&out);
        assert_eq!(line.matches('\n').count(), 1);
        let (got, pts) = splitinfer_meta::from_json(line.trim_end()).unwrap();
        assert_eq!(got, sent);
        assert_eq!(pts, out.pts());
    }
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(caps.to_string(), "application/x-json");
}

#[test]
fn frames_without_a_result_are_counted_on() {
    let mut harness = harness(CAPS);
    harness.push(frame(0, None)).unwrap();
    let line = text(&harness.pull().unwrap());
    assert_eq!(
        line,
        "{\"frame\":0,\"pts\":0,\"completed\":\"none\",\"objects\":[]}\n"
    );

    let numbered = FrameResult {
        frame: 7,
        ..Default::default()
    };
    harness.push(frame(40, Some(&numbered))).unwrap();
    harness.pull().unwrap();
    harness.push(frame(80, None)).unwrap();
    let line = text(&harness.pull().unwrap());
    assert!(line.starts_with("{\"frame\":8,\"pts\":80000000,"), "{line}");
}

#[test]
fn frames_in_device_memory_are_taken_too() {
    let mut harness = harness("video/x-raw(memory:GLMemory),format=RGBA,width=8,height=8");
    harness.push(frame(0, None)).unwrap();
    assert!(text(&harness.pull().unwrap()).starts_with('{'));
}

#[test]
fn the_end_of_the_stream_passes() {
    let mut harness = harness(CAPS);
    harness.push(frame(0, None)).unwrap();
    assert!(harness.push_event(gst::event::Eos::new()));
    let last = std::iter::from_fn(|| harness.try_pull_event()).last();
    assert_eq!(last.unwrap().type_(), gst::EventType::Eos);
}
