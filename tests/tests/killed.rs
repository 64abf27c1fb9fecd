// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A pipeline that adapts is killed at random, while it trains, writes or changes its weights, again and again: each time it comes
//! back with whole weights and goes on. `SPLITINFER_KILLS` says how often (12 by default).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_graph::Model;
use splitinfer_tests::process::gst_launch;

/// What a start, or a training, may take before a test calls it a hang.
const PATIENCE: Duration = Duration::from_secs(180);

/// A street by night that a student learns, in a process of its own.
struct Adapting {
    child: Child,
    /// What it says of training, and what is wrong.
    lines: Receiver<String>,
}

impl Adapting {
    fn start(checkpoints: &Path) -> Self {
        let model = |name: &str| {
            let path = splitinfer_tests::repository().join("models").join(name);
            path.display().to_string()
        };
        let (student, teacher) = (model("traffic-student.onnx"), model("traffic-teacher.onnx"));
        let pipeline = format!(
            "scenesrc scene=traffic domain=night scenario=repetitive is-live=true \
             ! video/x-raw,width=320,height=176,framerate=15/1 ! splitinfer-edge model={student} mirror-check=2 \
             ! svdgate name=gate window=10 threshold=0.05 cooldown=10 ! fakesink \
             gate.adapt ! queue leaky=downstream ! teacherlabel model={teacher} \
             ! finetune model={student} checkpoint-dir={} new-frames=6 max-steps=6 batch-size=4 cpu-share=1 \
               learning-rate=0.001 trainable=after:features4",
            checkpoints.display()
        );
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

#[test]
fn killed_at_random_it_comes_back_with_whole_weights_and_goes_on() {
    splitinfer_tests::init();
    let kills = std::env::var("SPLITINFER_KILLS").map_or(12, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    // How long it takes to the first weights, on this machine.
    let begun = Instant::now();
    Adapting::start(folder.path()).wait_for("accepted");
    let lively = begun.elapsed();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut newest = 0;
    for kill in 0..kills {
        let adapting = Adapting::start(folder.path());
        let said = adapting.watch(Instant::now() + lively.mul_f64(random.random_range(0.3..1.6)));
        drop(adapting);
        assert!(
            said.iter()
                .all(|l| !l.contains("WARNING") && !l.contains("ERROR")),
            "kill {kill}: {said:?}"
        );
        let states = files(folder.path(), "state");
        let now = states.iter().map(|f| version(f)).max();
        if newest > 0 && !said.is_empty() {
            assert!(said[0].contains("resumed"), "kill {kill}: {said:?}");
        }
        assert!(now >= Some(newest).filter(|v| *v > 0), "weights were lost");
        newest = now.unwrap_or(0);
        for file in files(folder.path(), "onnx") {
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
    let adapting = Adapting::start(folder.path());
    let resumed = adapting.wait_for("resumed");
    assert!(resumed.contains("taken=(boolean)true"), "{resumed}");
    adapting.wait_for("accepted");
}
