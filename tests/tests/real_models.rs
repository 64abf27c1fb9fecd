// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Real models on real videos, through the elements and in a loop without GStreamer: the same outputs. Skipped where the
//! files are not at hand.

use std::path::Path;

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Limits, decoder, encoder};
use splitinfer_tests::model::{LocalModel, largest_difference};
use splitinfer_tests::process::Server;
use splitinfer_tests::{data, measure};

const FRAMES: usize = 12;
const TOLERANCE: f32 = 1e-4;
/// Of what crosses; fixed, so that the same can be done here.
const BITS: u8 = 7;

/// A copy of a model whose outputs the elements pass on as they are.
fn raw_copy(name: &str, folder: &Path) -> Option<String> {
    let model = data::find(&format!("models/{name}.onnx"))?;
    let copy = folder.join(format!("{name}.onnx"));
    std::fs::copy(model, &copy).unwrap();
    let sidecars = splitinfer_tests::repository().join("crates/vision/tests/sidecars");
    let sidecar = std::fs::read_to_string(sidecars.join(format!("{name}.onnx.modelinfo"))).unwrap();
    let raw: String = sidecar
        .lines()
        .map(
            |line| match line.starts_with("head") && line.contains('=') {
                true => "head=raw\n".to_owned(),
                false => format!("{line}\n"),
            },
        )
        .collect();
    assert_ne!(raw, sidecar, "the sidecar of {name} names a head");
    std::fs::write(folder.join(format!("{name}.onnx.modelinfo")), raw).unwrap();
    if let Some(labels) = data::find("models/coco80.names") {
        std::fs::copy(labels, folder.join("coco80.names")).unwrap();
    }
    Some(copy.to_string_lossy().into_owned())
}

/// The results of the frames, by the element at a split.
fn through_element(
    model: &str,
    server: Option<&str>,
    split: &str,
    caps: &gst::Caps,
    frames: &[gst::Buffer],
) -> Vec<FrameResult> {
    let edge = gst::ElementFactory::make("splitinfer-edge")
        .property("model", model)
        .property("split", split)
        .property("latency-budget", 30_000u32)
        .property("tensor-bits", u32::from(BITS))
        .build()
        .unwrap();
    if let Some(server) = server {
        edge.set_property("server", server);
    }
    let source = gst_app::AppSrc::builder()
        .caps(caps)
        .format(gst::Format::Time)
        .build();
    let sink = gst_app::AppSink::builder().sync(false).build();
    let pipeline = gst::Pipeline::new();
    let elements = [source.upcast_ref(), &edge, sink.upcast_ref()];
    pipeline.add_many(elements).unwrap();
    gst::Element::link_many(elements).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let connected = || edge.property::<gst::Structure>("stats").get("connected") == Ok(true);
    while server.is_some() && !connected() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // One at a time, so that each is predicted from the one before it.
    let results = frames
        .iter()
        .map(|frame| {
            source.push_buffer(frame.clone()).unwrap();
            let sample = sink.pull_sample().unwrap();
            splitinfer_meta::read(sample.buffer().unwrap()).unwrap()
        })
        .collect();
    pipeline.set_state(gst::State::Null).unwrap();
    results
}

fn outputs(result: &FrameResult) -> Vec<(String, Tensor)> {
    let tensor = |t: &splitinfer_meta::RawTensor| {
        Tensor::from_le_bytes(t.dtype, t.dims.clone(), &t.data).unwrap()
    };
    result
        .tensors
        .iter()
        .map(|t| (t.name.clone(), tensor(t)))
        .collect()
}

fn check(name: &str, video: &str) {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let (Some(model), Some(video)) = (
        raw_copy(name, folder.path()),
        data::find(&format!("videos/{video}")),
    ) else {
        return;
    };
    let source = format!("filesrc location={} ! decodebin", video.display());
    let (caps, frames) = measure::frames(&source, 200).unwrap();
    let frames: Vec<_> = frames.into_iter().skip(180).take(FRAMES).collect();
    let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
    let mut local = LocalModel::load(Path::new(&model), &SessionOptions::default()).unwrap();
    let inputs: Vec<Tensor> = frames
        .iter()
        .map(|frame| {
            let picture = local.picture(frame, &info).unwrap();
            local.tensor(&picture).unwrap()
        })
        .collect();

    let results = through_element(&model, None, "edge", &caps, &frames);
    assert_eq!(results.len(), FRAMES);
    for (input, result) in inputs.iter().zip(&results) {
        let difference = largest_difference(&outputs(result), &local.split.whole(input).unwrap());
        assert!(difference <= TOLERANCE, "{name}, all here: {difference}");
    }

    let server = Server::start(&[&format!("model={model}")]);
    for (i, cut) in local.split.candidates().iter().enumerate() {
        let results = through_element(&model, Some(&server.address()), &cut.name, &caps, &frames);
        let mut by_server = 0;
        let (mut there, mut back) = (encoder(), decoder());
        for (input, result) in inputs.iter().zip(&results) {
            by_server += usize::from(result.completed == Completed::Server);
            let sent = local.split.head(i, input).unwrap();
            // What the code does to the tensors, and nothing else, may come between; a frame completed here has not
            // even that.
            let crossed = match result.completed {
                Completed::Server => {
                    let bytes = there.encode(result.frame, &sent, BITS).unwrap();
                    there.acknowledge(result.frame);
                    back.decode(&bytes, &Limits::default()).unwrap()
                }
                _ => sent,
            };
            let expected = local.split.tail(i, &crossed).unwrap();
            let difference = largest_difference(&outputs(result), &expected);
            assert!(
                difference <= TOLERANCE,
                "{name} at {}: {difference}",
                cut.name
            );
        }
        assert!(
            by_server * 2 > FRAMES,
            "{name} at {}: {by_server} of {FRAMES} by the server",
            cut.name
        );
    }
}

#[test]
fn fastestdet_on_cars_gives_the_same_outputs_at_every_candidate() {
    check("FastestDet", "car-detection.mp4");
}

#[test]
fn yolox_nano_on_cars_gives_the_same_outputs_at_every_candidate() {
    check("yolox_nano_416", "car-detection.mp4");
}

#[test]
fn movenet_on_a_person_gives_the_same_outputs_at_every_candidate() {
    check(
        "movenet_lightning_f32_128",
        "one-by-one-person-detection.mp4",
    );
}
