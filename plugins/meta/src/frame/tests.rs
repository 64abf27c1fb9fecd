// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Results through real GStreamer elements.

use super::*;
use crate::Object;
use std::str::FromStr;

fn result() -> FrameResult {
    FrameResult {
        frame: 41,
        split: "conv_3+relu_9".into(),
        model_version: 3,
        latency: gst::ClockTime::from_useconds(31_500),
        budget: Some(gst::ClockTime::from_mseconds(100)),
        completed: Completed::Server,
        received: Some(0.875),
        objects: vec![
            Object {
                class: 2,
                label: "car".into(),
                score: 0.87,
                box_: [10.3, 20.7, 50.1, 30.9],
                track: Some(u64::MAX),
                keypoints: vec![],
                quality: Some(0.4),
                mirror_agreement: Some(0.75),
            },
            Object {
                class: 0,
                label: "person".into(),
                score: 0.5,
                box_: [-3.5, 0.0, 40.25, 80.0],
                track: None,
                keypoints: vec![[-1.25, 17.125, 0.9], [100.0, 99.9, 0.1]],
                quality: None,
                mirror_agreement: None,
            },
        ],
        mirror_agreement: Some(0.93),
        skeleton: vec![[0, 1], [1, 2]],
        tensors: vec![RawTensor {
            name: "logits".into(),
            dtype: DType::F32,
            dims: vec![1, 2],
            data: glib::Bytes::from_owned(vec![0, 0, 128, 63, 0, 0, 0, 64]),
        }],
    }
}

fn frame(width: usize, height: usize) -> gst::Buffer {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::with_size(width * height * 4).unwrap();
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    buffer
}

/// Sends one RGBA frame of 100×100 through `elements` and gives what comes out.
fn through(elements: &str, buffer: gst::Buffer) -> gst::Buffer {
    let pipeline = gst::Pipeline::new();
    let caps = gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::Rgba)
        .width(100)
        .height(100)
        .framerate((30, 1).into())
        .build();
    let bin = gst::parse::bin_from_description(
        &format!("appsrc name=in format=time ! {elements} ! fakesink name=out sync=false"),
        false,
    )
    .unwrap();
    pipeline.add(&bin).unwrap();
    let source = bin.by_name("in").unwrap();
    source.set_property("caps", &caps);
    let (send, receive) = std::sync::mpsc::channel();
    let pad = bin.by_name("out").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        send.send(info.buffer().unwrap().copy()).unwrap();
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let flow: gst::FlowReturn = source.emit_by_name("push-buffer", &[&buffer]);
    assert_eq!(flow, gst::FlowReturn::Ok);
    let flow: gst::FlowReturn = source.emit_by_name("end-of-stream", &[]);
    assert_eq!(flow, gst::FlowReturn::Ok);
    let out = receive.recv_timeout(std::time::Duration::from_secs(20));
    pipeline.set_state(gst::State::Null).unwrap();
    out.unwrap()
}

#[test]
fn what_is_attached_is_read_back_exactly() {
    let mut buffer = frame(2, 2);
    assert_eq!(read(&buffer), None);
    attach(buffer.get_mut().unwrap(), &result());
    assert_eq!(read(&buffer), Some(result()));
    assert_eq!(read(&buffer.copy()), Some(result()));
    assert_eq!(read(&buffer.copy_deep().unwrap()), Some(result()));
}

#[test]
fn a_second_result_replaces_the_first_and_leaves_the_regions_of_others() {
    let mut buffer = frame(2, 2);
    {
        let buffer = buffer.get_mut().unwrap();
        let mut other = gst_video::VideoRegionOfInterestMeta::add(buffer, "face", (1, 2, 3, 4));
        other.add_param(gst::Structure::from_str("detection, confidence=0.5;").unwrap());
        attach(buffer, &result());
        attach(buffer, &result());
    }
    assert_eq!(read(&buffer), Some(result()));
    detach(buffer.get_mut().unwrap());
    assert_eq!(read(&buffer), None);
    let left: Vec<_> = buffer
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|m| m.roi_type())
        .collect();
    assert_eq!(left, ["face"]);
}

#[test]
fn results_survive_conversion_queues_and_tees() {
    let mut buffer = frame(100, 100);
    attach(buffer.get_mut().unwrap(), &result());
    let out = through(
        "videoconvert ! video/x-raw,format=I420 ! queue ! tee ! videorate ! videobalance hue=0.1",
        buffer,
    );
    assert_eq!(read(&out), Some(result()));
}

#[test]
fn a_scaler_scales_boxes_and_keypoints() {
    let mut buffer = frame(100, 100);
    let mut sent = result();
    sent.objects[0].box_ = [10.0, 20.0, 50.0, 30.5];
    sent.objects[1].box_ = [4.0, 0.0, 40.25, 80.0];
    attach(buffer.get_mut().unwrap(), &sent);
    let out = through("videoscale ! video/x-raw,width=200,height=50", buffer);
    let got = read(&out).unwrap();
    assert_eq!(got.objects.len(), 2);
    for (was, is) in sent.objects.iter().zip(&got.objects) {
        // The region has whole pixels: half a pixel of its edge may be lost.
        for (was, is, factor) in [
            (was.box_[0], is.box_[0], 2.0),
            (was.box_[1], is.box_[1], 0.5),
            (was.box_[2], is.box_[2], 2.0),
            (was.box_[3], is.box_[3], 0.5),
        ] {
            assert!((was * factor - is).abs() <= 1.0, "{was} {is}");
        }
        for (was, is) in was.keypoints.iter().zip(&is.keypoints) {
            assert!((was[0] * 2.0 - is[0]).abs() <= 2.0, "{was:?} {is:?}");
            assert!((was[1] * 0.5 - is[1]).abs() <= 1.0, "{was:?} {is:?}");
            assert_eq!(was[2], is[2]);
        }
    }
}

#[test]
fn registering_again_and_at_once_is_harmless() {
    gst::init().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(register);
        }
    });
    // A second shared object has a `ONCE` of its own and finds the name taken.
    assert!(gst::meta::CustomMeta::is_registered(META_NAME));
    register();
    let mut buffer = frame(1, 1);
    attach(buffer.get_mut().unwrap(), &result());
    assert_eq!(read(&buffer), Some(result()));
}

#[test]
fn hostile_names_and_numbers_do_no_harm() {
    let mut buffer = frame(1, 1);
    let mut bad = result();
    bad.split = "a\0b".into();
    bad.objects[0].label = "\0".into();
    bad.objects[0].box_ = [f32::NAN, f32::INFINITY, -1e30, f32::NEG_INFINITY];
    bad.objects[1].label = String::new();
    bad.objects[1].box_ = [1e30, -1e30, 1e30, 1e30];
    attach(buffer.get_mut().unwrap(), &bad);
    let got = read(&buffer).unwrap();
    assert_eq!(got.split, "a\u{FFFD}b");
    assert_eq!(got.objects.len(), 2);
    assert!(crate::to_json(&got, None).contains("null"));
}
