// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Trainings that do not end as planned: what was best is written, or nothing.

use crate::kit::{Folder, command, run, runtime, stderr};
use crate::load;
use serde_json::Value;
use splitinfer_trainer::Delta;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

fn lines(log: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect()
}

#[test]
fn of_a_training_that_diverges_the_best_weights_are_written() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let (model, teacher) = (
        folder.network("m.onnx", 1, "Relu"),
        folder.network("t.onnx", 7, "Relu"),
    );
    let data = folder.arrays("data.npz", &teacher, 40);
    let [output, log, plot, state] =
        ["out.onnx", "log", "plot.svg", "state"].map(|n| folder.text(n));
    let arguments = [
        &model,
        "--data",
        &data,
        "--output",
        &output,
        "--log",
        &log,
        "--plot",
        &plot,
        "--save-state",
        &state,
        "--force",
        "--trainable",
        "head.*",
        "--loss",
        "y=mse",
        "--optimizer",
        "sgd:0",
        "--clip-norm",
        "0",
        "--learning-rate",
        "1",
        "--schedule",
        "constant",
        "--validate-every",
    ];
    let done = run(&[&arguments[..], &["1"]].concat());
    assert_eq!(done.status.code(), Some(3), "{}", stderr(&done));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    for part in ["% less", "then it diverged", "written: "] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(
        stderr(&done).contains("--learning-rate"),
        "{}",
        stderr(&done)
    );
    // The best that was seen, and not what came after.
    let all = lines(&log);
    let (end, steps) = all.split_last().unwrap();
    let losses: Vec<f64> = steps
        .iter()
        .filter_map(|l| l["validation_loss"].as_f64())
        .collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(*losses.last().unwrap() > 10.0 * best, "{losses:?}");
    assert_eq!(
        (&end["outcome"], &end["diverged"]),
        (&"better".into(), &true.into())
    );
    assert_eq!(end["loss_after"].as_f64(), Some(best));
    assert_eq!(
        end["best_step"].as_u64(),
        steps
            .iter()
            .find(|l| l["validation_loss"].as_f64() == Some(best))
            .and_then(|l| l["step"].as_u64())
    );
    let weights = load(&output)
        .proto()
        .graph
        .as_ref()
        .unwrap()
        .initializer
        .clone();
    let values = weights.iter().filter_map(splitinfer_graph::read_constant);
    assert!(values.flat_map(|t| t.to_f32_vec()).all(f32::is_finite));
    assert!(folder.path("plot.svg").exists() && folder.path("state").exists());
    // Nothing was seen in time.
    std::fs::remove_file(&output).unwrap();
    let done = run(&[&arguments[..], &["100"]].concat());
    assert_eq!(done.status.code(), Some(3), "{}", stderr(&done));
    assert!(String::from_utf8_lossy(&done.stdout).contains("no better"));
    assert_eq!(lines(&log).last().unwrap()["outcome"], "no-better");
    assert!(!folder.path("out.onnx").exists());
}

/// A training that has no end, once it has made some steps.
#[cfg(unix)]
fn endless(folder: &Folder, more: &[&str]) -> Child {
    let (model, teacher) = (
        folder.network("m.onnx", 1, "Tanh"),
        folder.network("t.onnx", 7, "Tanh"),
    );
    let data = folder.arrays("data.npz", &teacher, 40);
    let log = folder.text("log.jsonl");
    let steps = ["--steps", "100000000", "--validate-every", "1000000"];
    let files = [&model, "--data", &data, "--log", &log, "--force"];
    let mut child = command(&[&files[..], &steps, more].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while lines(&log).len() < 50 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it does not train"
        );
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[cfg(unix)]
fn signal(child: Child, signal: i32) -> Output {
    // SAFETY: a signal to a process that this test started and that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn who_interrupts_gets_the_best_weights() {
    if !runtime() {
        return;
    }
    for number in [libc::SIGINT, libc::SIGTERM] {
        let folder = Folder::new();
        let done = signal(endless(&folder, &[]), number);
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
        assert!(String::from_utf8_lossy(&done.stdout).contains("it was stopped"));
        assert_ne!(
            load(&folder.text("m-finetuned.onnx")).to_bytes(),
            load(&folder.text("m.onnx")).to_bytes()
        );
    }
}

#[cfg(unix)]
#[test]
fn whenever_it_is_killed_the_files_there_are_whole() {
    if !runtime() {
        return;
    }
    let mut written = 0;
    // From before the end of the training to after the last file.
    for delay in 0..12 {
        let folder = Folder::new();
        let delta = folder.text("delta.onnx");
        let child = endless(&folder, &["--delta", &delta]);
        // SAFETY: as in `signal`.
        assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
        std::thread::sleep(Duration::from_micros(700 * delay));
        signal(child, libc::SIGKILL);
        if folder.path("m-finetuned.onnx").exists() {
            written += 1;
            let model = load(&folder.text("m-finetuned.onnx"));
            // What belongs to a model is there before it.
            let delta = Delta::from_bytes(&std::fs::read(&delta).unwrap()).unwrap();
            let base = load(&folder.text("m.onnx"));
            assert_eq!(delta.apply(&base).unwrap().to_bytes(), model.to_bytes());
        } else if Path::new(&delta).exists() {
            Delta::from_bytes(&std::fs::read(&delta).unwrap()).unwrap();
        }
    }
    println!("killed 12 times, written {written} times");
}
