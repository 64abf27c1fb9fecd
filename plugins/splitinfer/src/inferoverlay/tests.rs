// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The element in a harness and in a pipeline.

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult, Object};

fn init() {
    use std::sync::Once;
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gst::Element::register(
            None,
            "inferoverlay",
            gst::Rank::NONE,
            super::InferOverlay::static_type(),
        )
        .unwrap();
    });
}

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

fn result() -> FrameResult {
    FrameResult {
        split: "edge".into(),
        completed: Completed::Edge,
        objects: vec![Object {
            label: "car".into(),
            score: 0.9,
            box_: [40.0, 50.0, 60.0, 40.0],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// One black frame with `result` (if any), drawn on in `format` and converted to RGB.
fn drawn(format: gst_video::VideoFormat, result: Option<&FrameResult>) -> Vec<u8> {
    init();
    let description = format!(
        "videotestsrc pattern=black num-buffers=1 \
         ! video/x-raw,format=RGB,width={WIDTH},height={HEIGHT} ! identity name=before \
         ! videoconvert dither=none chroma-mode=none ! video/x-raw,format={} \
         ! inferoverlay line-width=4 show-status=false show-labels=false \
         ! videoconvert dither=none ! video/x-raw,format=RGB ! fakesink name=sink",
        format.to_str()
    );
    let pipeline = gst::parse::launch(&description).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let before = pipeline.by_name("before").unwrap();
    let result = result.cloned();
    let pad = before.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let (Some(buffer), Some(result)) = (info.buffer_mut(), &result) {
            splitinfer_meta::attach(buffer.make_mut(), result);
        }
        gst::PadProbeReturn::Ok
    });
    let (send, receive) = std::sync::mpsc::channel();
    let sink = pipeline.by_name("sink").unwrap();
    let pad = sink.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let map = info.buffer().unwrap().map_readable().unwrap();
        send.send(map.to_vec()).unwrap();
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let picture = receive.recv_timeout(std::time::Duration::from_secs(20));
    pipeline.set_state(gst::State::Null).unwrap();
    picture.unwrap()
}

fn pixel(picture: &[u8], x: usize, y: usize) -> [i32; 3] {
    let at = (y * WIDTH as usize + x) * 3;
    [0, 1, 2].map(|c| i32::from(picture[at + c]))
}

#[test]
fn every_format_shows_the_same_box() {
    init();
    let expected = drawn(gst_video::VideoFormat::Rgb, Some(&result()));
    let edge = pixel(&expected, 70, 51);
    assert!(edge.iter().any(|c| *c > 200), "no line where the box is");
    assert_eq!(pixel(&expected, 70, 70), [0, 0, 0]);
    assert_eq!(pixel(&expected, 20, 20), [0, 0, 0]);
    for format in super::imp::FORMATS {
        let picture = drawn(format, Some(&result()));
        for (x, y) in [(70, 51), (41, 70), (70, 70), (20, 20)] {
            let (is, want) = (pixel(&picture, x, y), pixel(&expected, x, y));
            if format == gst_video::VideoFormat::Gray8 {
                let luma = (299 * want[0] + 587 * want[1] + 114 * want[2]) / 1000;
                assert!((is[0] - luma).abs() <= 8, "{format}: {is:?}, luma {luma}");
            } else {
                let off = is.iter().zip(want).map(|(a, b)| (a - b).abs()).max();
                assert!(
                    off.unwrap() <= 8,
                    "{format} at {x},{y}: {is:?}, not {want:?}"
                );
            }
        }
    }
}

#[test]
fn a_frame_without_a_result_passes_as_the_same_memory() {
    init();
    let mut harness = gst_check::Harness::new("inferoverlay");
    harness.set_src_caps_str("video/x-raw,format=RGBA,width=8,height=8,framerate=30/1");
    let buffer = gst::Buffer::from_mut_slice(vec![7u8; 256]);
    let kept = buffer.clone();
    let out = harness.push_and_pull(buffer).unwrap();
    assert_eq!(out.as_ptr(), kept.as_ptr());
}

#[test]
fn a_shared_frame_is_drawn_on_a_copy() {
    init();
    let mut harness = gst_check::Harness::new("inferoverlay");
    harness.set_src_caps_str("video/x-raw,format=RGBA,width=160,height=120,framerate=30/1");
    let mut buffer = gst::Buffer::from_mut_slice(vec![7u8; 160 * 120 * 4]);
    splitinfer_meta::attach(buffer.get_mut().unwrap(), &result());
    let kept = buffer.clone();
    let out = harness.push_and_pull(buffer).unwrap();
    assert!(kept.map_readable().unwrap().iter().all(|b| *b == 7));
    assert!(out.map_readable().unwrap().iter().any(|b| *b != 7));
    assert_eq!(splitinfer_meta::read(&out), Some(result()));
}

#[test]
fn properties_take_effect_on_the_next_frame() {
    init();
    let mut harness = gst_check::Harness::new("inferoverlay");
    harness.set_src_caps_str("video/x-raw,format=RGBA,width=160,height=120,framerate=30/1");
    let element = harness.element().unwrap();
    let draw = |harness: &mut gst_check::Harness| {
        let mut buffer = gst::Buffer::from_mut_slice(vec![7u8; 160 * 120 * 4]);
        splitinfer_meta::attach(buffer.get_mut().unwrap(), &result());
        let out = harness.push_and_pull(buffer).unwrap();
        let map = out.map_readable().unwrap();
        map.iter().filter(|b| **b != 7).count()
    };
    assert!(draw(&mut harness) > 0);
    element.set_property("score-threshold", 0.95);
    let status_only = draw(&mut harness);
    element.set_property("show-status", false);
    assert!(status_only > 0);
    assert_eq!(draw(&mut harness), 0);
}
