// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A shipped student gets new weights while a scene passes: before and after, every frame has what a bare run of the old or
//! the new model gives, and memory stays what it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_runtime::SessionOptions;
use splitinfer_tests::measure;
use splitinfer_tests::model::LocalModel;
use splitinfer_tests::process::Server;
use splitinfer_tests::trainer::{Trainer, nudged};
use splitinfer_vision::Object;
use splitinfer_weights::Encoding;

const FRAMES: usize = 8;
const SCENE: &str = "scenesrc scene=traffic ! video/x-raw,width=320,height=240";

fn student() -> PathBuf {
    splitinfer_tests::repository().join("models/traffic-student.onnx")
}

/// What the model finds on each frame, in a loop without GStreamer.
fn bare(
    model: &Model,
    folder: &Path,
    caps: &gst::Caps,
    frames: &[gst::Buffer],
) -> Vec<Vec<Object>> {
    let path = folder.join("bare.onnx");
    model.save(&path).unwrap();
    let sidecar = student().with_extension("onnx.modelinfo");
    std::fs::copy(sidecar, path.with_extension("onnx.modelinfo")).unwrap();
    let mut local = LocalModel::load(&path, &SessionOptions::default()).unwrap();
    let video = gst_video::VideoInfo::from_caps(caps).unwrap();
    let run = |frame| {
        let (picture, placement) = local.placed_picture(frame, &video).unwrap();
        let input = local.tensor(&picture).unwrap();
        let mut objects = local.read(&local.split.whole(&input).unwrap()).unwrap();
        objects.iter_mut().for_each(|o| placement.to_frame(o));
        objects
    };
    frames.iter().map(run).collect()
}

struct Stream {
    pipeline: gst::Pipeline,
    edge: gst::Element,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
}

impl Stream {
    fn start(server: &str, split: &str, caps: &gst::Caps) -> Self {
        splitinfer_tests::init();
        let edge = gst::ElementFactory::make("splitinfer-edge")
            .property("model", student().to_string_lossy().into_owned())
            .property("server", server)
            .property("split", split)
            .property("tensor-bits", 32u32)
            .property("latency-budget", 5000u32)
            .property("update-bitrate", 0u32)
            .build()
            .unwrap();
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
        Self {
            pipeline,
            edge,
            source,
            sink,
        }
    }

    fn stats(&self) -> gst::Structure {
        self.edge.property("stats")
    }

    fn wait_until(&self, what: &str, reached: impl Fn(&gst::StructureRef) -> bool) {
        let begun = Instant::now();
        while !reached(&self.stats()) {
            assert!(
                begun.elapsed() < splitinfer_tests::pipeline::PATIENCE,
                "{what}: {}",
                self.stats()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A frame through the element.
    fn pass(&self, frame: &gst::Buffer) -> FrameResult {
        self.source.push_buffer(frame.copy()).unwrap();
        let sample = self.sink.pull_sample().unwrap();
        splitinfer_meta::read(sample.buffer().unwrap()).unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A middle cut of the student.
fn middle() -> String {
    let model = LocalModel::load(&student(), &SessionOptions::default()).unwrap();
    let cuts = model.split.candidates();
    cuts[cuts.len() / 2].name.clone()
}

/// ONNX Runtime fuses operators across a cut in other ways, so that last bits differ.
fn assert_same(result: &FrameResult, expected: &[Object], what: &str) {
    assert_eq!(result.objects.len(), expected.len(), "{what}");
    for (a, b) in result.objects.iter().zip(expected) {
        assert!((a.score - b.score).abs() < 1e-3, "{what}: {a:?} {b:?}");
        let boxes = a.box_.iter().zip(b.box_);
        assert!(
            boxes.into_iter().all(|(a, b)| (a - b).abs() < 0.05),
            "{what}: {a:?} {b:?}"
        );
    }
}

#[test]
fn results_are_those_of_a_bare_run_of_the_old_and_then_of_the_new_weights() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let (caps, frames) = measure::frames(SCENE, FRAMES).unwrap();
    let base = Model::load(&student()).unwrap();
    let mut trainer = Trainer::new(base.clone());
    let server = Server::start(&[&format!("model={}", student().display())]);
    let stream = Stream::start(&server.address(), &middle(), &caps);
    stream.wait_until("connected", |s| s.get("connected") == Ok(true));
    let mut model = base;
    for version in 0..3u64 {
        if version > 0 {
            let event = trainer.publish(&nudged(&model, 0.05, version), &Encoding::default());
            assert!(stream.sink.send_event(event));
            stream.wait_until("the swap", |s| s.get("model-version") == Ok(version));
            model = trainer.versions.newest().1.clone();
        }
        let expected = bare(&model, folder.path(), &caps, &frames);
        assert!(expected.iter().any(|objects| !objects.is_empty()));
        for (i, frame) in frames.iter().enumerate() {
            let result = stream.pass(frame);
            assert_eq!(result.model_version, version);
            assert_eq!(result.completed, Completed::Server);
            assert_same(
                &result,
                &expected[i],
                &format!("version {version}, frame {i}"),
            );
        }
    }
    assert_eq!(stream.stats().get("lost-buffers"), Ok(0u64));
}

/// Resident memory of a process, in bytes.
fn resident(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn thirty_swaps_take_no_more_memory_than_ten() {
    splitinfer_tests::init();
    let (caps, frames) = measure::frames(SCENE, 1).unwrap();
    let base = Model::load(&student()).unwrap();
    let mut trainer = Trainer::new(base.clone());
    let server = Server::start(&[&format!("model={}", student().display())]);
    let stream = Stream::start(&server.address(), &middle(), &caps);
    stream.wait_until("connected", |s| s.get("connected") == Ok(true));
    let processes = ["self".to_owned(), server.id().to_string()];
    let mut after_ten = Vec::new();
    for version in 1..=30u64 {
        let event = trainer.publish(&nudged(&base, 0.02, version), &Encoding::default());
        assert!(stream.sink.send_event(event));
        stream.wait_until("the swap", |s| s.get("model-version") == Ok(version));
        assert_eq!(stream.pass(&frames[0]).completed, Completed::Server);
        if version == 10 {
            after_ten = processes.iter().map(|p| resident(p)).collect();
        }
    }
    for (process, before) in processes.iter().zip(after_ten) {
        // A version that stayed would take the weights and their sessions, several megabytes, twenty times.
        let now = resident(process);
        assert!(
            now < before + (40 << 20),
            "process {process}: {before} bytes, then {now}"
        );
    }
}
