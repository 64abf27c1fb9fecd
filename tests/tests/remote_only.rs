// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-edge remote-only=true`: the model never runs here. And `raw-outputs=true`: its outputs beside its objects.

use std::process::Stdio;
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, assert_complete, by_server};
use splitinfer_tests::process::{Server, gst_launch};

fn start(settings: impl FnOnce(&gst::Element)) -> (Numbered, Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::listening(&[&format!("model={model}")]);
    let stream = Numbered::start(true, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", server.address());
        edge.set_property("remote-only", true);
        edge.set_property("latency-budget", 1000u32);
        settings(edge);
    });
    (stream, server, folder)
}

#[test]
fn the_server_does_everything() {
    for split in ["auto", "server", "server-video"] {
        let (stream, _server, _folder) = start(|edge| edge.set_property("split", split));
        stream.wait_until_connected();
        stream.push_live(60, |_| {});
        let stats: gst::Structure = stream.edge.property("stats");
        assert_eq!(stats.get::<gst::Array>("candidates").unwrap().len(), 0);
        let received = stream.finish();
        assert_complete(&received, 60);
        assert_eq!(by_server(&received), 60, "{split}");
        let wanted = split.replace("auto", "server");
        let splits = received.iter().filter_map(|r| r.result.as_ref());
        assert!(splits.map(|r| &r.split).all(|s| *s == wanted), "{split}");
    }
}

#[test]
fn what_it_does_not_answer_passes_without_result() {
    let (stream, mut server, _folder) = start(|_| {});
    stream.wait_until_connected();
    // What cannot be here changes nothing.
    stream.edge.set_property("split", "pool1");
    stream.push_live(300, |number| match number {
        60 => server.kill(),
        150 => server.restart(),
        _ => {}
    });
    let notices = stream.notices();
    let received = stream.finish();
    assert_eq!(received.len(), 300);
    let completed = |by| received.iter().filter(|r| r.completed() == by).count();
    assert_eq!(completed(Completed::Edge), 0);
    assert!(completed(Completed::None) > 0 && completed(Completed::Server) > 100);
    for frame in &received {
        let answered = frame.completed() == Completed::Server;
        assert_eq!(frame.read, answered.then_some(frame.number));
    }
    for words in ["remote-only", "pass without result", "answers again"] {
        let said = notices.iter().any(|n| n.contains(words));
        assert!(said, "expected '{words}' in {notices:?}");
    }
}

#[test]
fn onnx_runtime_is_not_needed_here() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::listening(&[&format!("model={model}")]);
    let lines = folder.path().join("results.jsonl");
    let mut edge = gst_launch()
        .env("ORT_DYLIB_PATH", folder.path().join("libonnxruntime.so"))
        .args(["-q", "videotestsrc", "is-live=true", "!"])
        .args(["video/x-raw,width=64,height=48,framerate=20/1", "!"])
        .args(["splitinfer-edge", "remote-only=true"])
        .args([
            format!("model={model}"),
            format!("server={}", server.address()),
        ])
        .args(["!", "inferjson", "!", "filesink", "buffer-mode=unbuffered"])
        .arg(format!("location={}", lines.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let answered = || {
        let text = std::fs::read_to_string(&lines).unwrap_or_default();
        text.contains(r#""completed":"server""#)
    };
    let mut ended = false;
    while !answered() && !ended && begun.elapsed() < Duration::from_secs(60) {
        ended = edge.try_wait().unwrap().is_some();
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = edge.kill();
    let _ = edge.wait();
    assert!(answered(), "it has ended by itself: {ended}");
}

fn error(settings: &str) -> String {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let launch = format!(
        "videotestsrc ! video/x-raw,width=64,height=48 \
         ! splitinfer-edge model={model} remote-only=true {settings} ! fakesink"
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
    let _ = pipeline.set_state(gst::State::Null);
    match message.expect("an error").view() {
        gst::MessageView::Error(e) => e.error().to_string(),
        _ => unreachable!("only errors were asked for"),
    }
}

#[test]
fn what_does_not_go_together_is_named() {
    assert!(error("").contains("'server'"));
    assert!(error("server=127.0.0.1:9 mirror-check=2").contains("mirror-check"));
    for split in ["edge", "pool1"] {
        let text = error(&format!("server=127.0.0.1:9 split={split}"));
        assert!(
            text.contains(split) && text.contains("server-video"),
            "{text}"
        );
    }
}

/// Results of the same street, by a model whose head is known.
fn street(settings: &str) -> Vec<FrameResult> {
    splitinfer_tests::init();
    let model = splitinfer_tests::repository().join("models/traffic-student.onnx");
    let launch = format!(
        "scenesrc scene=traffic is-live=true num-buffers=20 ! video/x-raw,width=320,height=176,framerate=10/1 \
         ! splitinfer-edge model={} latency-budget=5000 {settings} ! appsink name=out sync=false",
        model.display()
    );
    let pipeline = gst::parse::launch(&launch).unwrap();
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    let sink = bin.by_name("out").unwrap();
    let sink = sink.downcast_ref::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let samples = std::iter::from_fn(|| sink.pull_sample().ok());
    let results = samples.filter_map(|s| splitinfer_meta::read(s.buffer()?));
    let results: Vec<FrameResult> = results.collect();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(results.len(), 20);
    results
}

#[test]
fn raw_outputs_come_beside_the_objects() {
    let model = splitinfer_tests::repository().join("models/traffic-student.onnx");
    let server = Server::listening(&[&format!("model={}", model.display())]);
    let here = street("raw-outputs=true");
    let plain = street("");
    let there = street(&format!(
        "raw-outputs=true split=server server={}",
        server.address()
    ));
    for (a, b) in here.iter().zip(&plain) {
        assert_eq!(a.objects, b.objects);
        assert!(b.tensors.is_empty());
        let names: Vec<&str> = a.tensors.iter().map(|t| &t.name[..]).collect();
        assert_eq!(names, ["heatmap", "box"]);
    }
    let answered: Vec<(&FrameResult, &FrameResult)> = there
        .iter()
        .zip(&here)
        .filter(|(t, _)| t.completed == Completed::Server)
        .collect();
    assert!(answered.len() > 10, "{} of 20", answered.len());
    for (there, here) in &answered {
        let shapes = |r: &FrameResult| -> Vec<Vec<usize>> {
            r.tensors.iter().map(|t| t.dims.clone()).collect()
        };
        assert_eq!(shapes(there), shapes(here));
    }
    let objects =
        |of: fn(&(&FrameResult, &FrameResult)) -> usize| -> usize { answered.iter().map(of).sum() };
    let (there, here) = (
        objects(|(there, _)| there.objects.len()),
        objects(|(_, here)| here.objects.len()),
    );
    // The picture's JPEG may cost or make one now and then.
    assert!(
        there > 0 && there.abs_diff(here) * 10 <= here,
        "{there} and {here}"
    );
}
