// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A pipeline that adapts is killed at random, while it trains, writes or changes its weights, again and again: each time it comes
//! back with whole weights and goes on. On an edge, and behind a server, whose edge lives on. `SPLITINFER_KILLS` says how often
//! (12 and 6 by default).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_graph::Model;
use splitinfer_tests::process::{free_port, gst_launch};

/// What a start, or a training, may take before a test calls it a hang.
const PATIENCE: Duration = Duration::from_secs(180);

/// A student that learns a street by night, in a process of its own.
struct Adapting {
    child: Child,
    /// What it says of training, and what is wrong.
    lines: Receiver<String>,
}

fn model(name: &str) -> String {
    let path = splitinfer_tests::repository().join("models").join(name);
    path.display().to_string()
}

const STREET: &str = "scenesrc scene=traffic domain=night scenario=repetitive is-live=true \
                      ! video/x-raw,width=320,height=176,framerate=15/1";

/// What follows the student's results.
fn learning(checkpoints: &Path) -> String {
    format!(
        "svdgate name=gate window=10 threshold=0.05 cooldown=10 ! fakesink \
         gate.adapt ! queue leaky=downstream ! teacherlabel model={} \
         ! finetune model={} checkpoint-dir={} new-frames=6 max-steps=6 batch-size=4 cpu-share=1 \
           learning-rate=0.001 trainable=after:features4",
        model("traffic-teacher.onnx"),
        model("traffic-student.onnx"),
        checkpoints.display()
    )
}

impl Adapting {
    fn on_the_edge(checkpoints: &Path) -> Self {
        let student = model("traffic-student.onnx");
        Self::start(&format!(
            "{STREET} ! splitinfer-edge model={student} mirror-check=2 ! {}",
            learning(checkpoints)
        ))
    }

    fn behind_the_server(port: u16, checkpoints: &Path) -> Self {
        Self::start(&format!(
            "splitinfer-server name=srv port={port} srv. ! {}",
            learning(checkpoints)
        ))
    }

    fn start(pipeline: &str) -> Self {
        let mut child = gst_launch()
            .arg("-m")
            .args(pipeline.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("gst-launch-1.0 starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let told = |line: &String| {
                ["finetune, ", "WARNING", "ERROR"]
                    .iter()
                    .any(|t| line.contains(t))
            };
            for line in output.lines().map_while(Result::ok).filter(told) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Lets it run for so long; what it said.
    fn watch(&self, until: Instant) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Timeout) => return said,
                Err(RecvTimeoutError::Disconnected) => panic!("it ended by itself: {said:?}"),
            }
        }
    }

    fn wait_for(&self, outcome: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("nothing was {outcome}"));
            assert!(!line.contains("ERROR"), "{line}");
            if line.contains(outcome) {
                return line;
            }
        }
    }
}

impl Drop for Adapting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = all.map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == extension));
    files
}

/// The version in a checkpoint's name.
fn version(file: &Path) -> u64 {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    name.rsplit_once("-v").unwrap().1.parse().unwrap()
}

fn kills(by_default: u32) -> u32 {
    std::env::var("SPLITINFER_KILLS").map_or(by_default, |n| n.parse().unwrap())
}

/// Kills what `start` starts, at random, and looks at what it has left in `folder`. `meanwhile` is called after each kill;
/// of warnings only those that say one of `expected` may come.
fn kill_again_and_again(
    start: impl Fn() -> Adapting,
    folder: &Path,
    kills: u32,
    expected: &[&str],
    mut meanwhile: impl FnMut(),
) {
    let wrong = |line: &String| {
        let expected = || expected.iter().any(|text| line.contains(text));
        line.contains("ERROR") || line.contains("WARNING") && !expected()
    };
    // How long it takes to the first weights, on this machine.
    let begun = Instant::now();
    start().wait_for("accepted");
    let lively = begun.elapsed();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut newest = 0;
    for kill in 0..kills {
        let adapting = start();
        let said = adapting.watch(Instant::now() + lively.mul_f64(random.random_range(0.3..1.6)));
        drop(adapting);
        meanwhile();
        assert!(!said.iter().any(wrong), "kill {kill}: {said:?}");
        let states = files(folder, "state");
        let now = states.iter().map(|f| version(f)).max();
        if let Some(first) = said
            .iter()
            .find(|l| l.contains("outcome"))
            .filter(|_| newest > 0)
        {
            assert!(first.contains("resumed"), "kill {kill}: {said:?}");
        }
        assert!(now >= Some(newest).filter(|v| *v > 0), "weights were lost");
        newest = now.unwrap_or(0);
        for file in files(folder, "onnx") {
            let model = Model::load(&file);
            assert!(
                model.is_ok(),
                "kill {kill}: {}: {:?}",
                file.display(),
                model.err()
            );
        }
        let kept = states.len();
        assert!(kept <= 2, "{kept} checkpoints pile up");
    }
    assert!(
        newest > 0,
        "nothing was ever kept: the kills came too early"
    );
}

#[test]
fn killed_at_random_it_comes_back_with_whole_weights_and_goes_on() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let start = || Adapting::on_the_edge(folder.path());
    kill_again_and_again(start, folder.path(), kills(12), &[], || {});
    let adapting = start();
    let resumed = adapting.wait_for("resumed");
    assert!(resumed.contains("taken=(boolean)true"), "{resumed}");
    adapting.wait_for("accepted");
}

#[test]
fn an_edge_lives_on_while_the_server_behind_which_it_learns_is_killed() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let start = || Adapting::behind_the_server(port, folder.path());
    let edge = gst::parse::launch(&format!(
        "{STREET} ! splitinfer-edge name=edge model={} server=127.0.0.1:{port} split=features5 mirror-check=2 \
         send-frames=on-request latency-budget=1000 ! fakesink",
        model("traffic-student.onnx")
    ));
    let edge = edge.unwrap().downcast::<gst::Pipeline>().unwrap();
    edge.set_state(gst::State::Playing).unwrap();
    let element = edge.by_name("edge").unwrap();
    let count = |name: &str| {
        let stats: gst::Structure = element.property("stats");
        stats.get::<u64>(name).unwrap()
    };
    let (mut frames, mut version) = (0, 0);
    let alive = || {
        let now = count("frames");
        assert!(now > frames, "no frame left the edge");
        frames = now;
        let now = count("model-version");
        assert!(now >= version, "version {version} became {now}");
        version = now;
    };
    // On a busy machine the session may end in the middle of a training.
    let absent = ["no edge is behind this pad", "nothing upstream takes"];
    kill_again_and_again(start, folder.path(), kills(6), &absent, alive);
    let adapting = start();
    adapting.wait_for("resumed");
    let accepted = adapting.wait_for("accepted");
    let newest = accepted.split("model-version=(guint64)").nth(1);
    let newest = newest.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
    let begun = Instant::now();
    while count("model-version") < newest.unwrap() {
        let waited = begun.elapsed();
        assert!(waited < PATIENCE, "the edge does not follow: {accepted}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(count("without-result"), 0);
    let bus = edge.bus().unwrap();
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    edge.set_state(gst::State::Null).unwrap();
    assert!(error.is_none(), "{error:?}");
}
