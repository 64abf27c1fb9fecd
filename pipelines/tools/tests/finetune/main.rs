// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `onnx-finetune` as a user runs it.

mod ends;
mod errors;
mod kit;
mod labelled;

use kit::{Folder, run, runtime, shipped, stderr, succeed};
use splitinfer_graph::Model;
use splitinfer_runtime::{Session, SessionOptions, random_tensor};
use splitinfer_scene::Kind;
use splitinfer_tensor::DType;
use splitinfer_trainer::Delta;

pub fn load(path: &str) -> Model {
    Model::load(path.as_ref()).unwrap()
}

fn without_weights(model: &Model) -> splitinfer_graph::proto::ModelProto {
    let mut proto = model.proto().clone();
    proto.graph.as_mut().unwrap().initializer.clear();
    proto
}

#[test]
fn arrays_make_the_model_better_and_change_weights_alone() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let (model, teacher) = (
        folder.network("m.onnx", 1, "Tanh"),
        folder.network("t.onnx", 7, "Tanh"),
    );
    let data = folder.arrays("data.npz", &teacher, 40);
    let [log, plot, delta] = ["log.jsonl", "plot.svg", "delta.onnx"].map(|n| folder.text(n));
    let said = succeed(&[
        &model,
        "--data",
        &data,
        "--steps",
        "120",
        "--learning-rate",
        "0.02",
        "--log",
        &log,
        "--plot",
        &plot,
        "--delta",
        &delta,
    ]);
    let output = folder.text("m-finetuned.onnx");
    assert!(
        said.contains("% less") && said.contains("8 examples held back"),
        "{said}"
    );
    let (before, after) = (load(&model), load(&output));
    assert_eq!(without_weights(&before), without_weights(&after));
    // What was written gives the loss that was claimed: closer to the teacher than before.
    let x = random_tensor(DType::F32, &[1, 2, 6, 6], 1.0, 9999);
    let y = |m: &Model| {
        let session = Session::from_model(m, &SessionOptions::default()).unwrap();
        session.run(&[("x", &x)]).unwrap()[0].1.to_f32_vec()
    };
    let (wanted, old, new) = (y(&load(&teacher)), y(&before), y(&after));
    let off = |a: &[f32]| {
        a.iter()
            .zip(&wanted)
            .map(|(a, b)| (a - b).abs())
            .sum::<f32>()
    };
    assert!(
        off(&new) < 0.7 * off(&old),
        "{} and {}",
        off(&new),
        off(&old)
    );
    // Every line of the log is a step.
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let (end, lines) = lines.split_last().unwrap();
    assert_eq!(
        (&end["outcome"], &end["steps"]),
        (&"better".into(), &120.into())
    );
    assert_eq!(end["written"][0], output);
    let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=120).collect::<Vec<_>>());
    assert!(lines.iter().all(|l| l["train_loss"].is_f64()));
    assert!(lines.last().unwrap()["validation_loss"].is_f64());
    assert!(std::fs::read_to_string(plot).unwrap().contains("held back"));
    let delta = Delta::from_bytes(&std::fs::read(delta).unwrap()).unwrap();
    assert_eq!(delta.apply(&before).unwrap().to_bytes(), after.to_bytes());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let (model, teacher) = (
        folder.network("m.onnx", 1, "Relu"),
        folder.network("t.onnx", 7, "Relu"),
    );
    let data = folder.arrays("data.npz", &teacher, 30);
    let trained = |name: &str, seed: &str| {
        let output = folder.text(name);
        succeed(&[
            &model, "--data", &data, "--steps", "20", "--seed", seed, "--output", &output,
        ]);
        std::fs::read(output).unwrap()
    };
    let first = trained("a.onnx", "3");
    assert!(first == trained("b.onnx", "3"));
    assert!(first != trained("c.onnx", "4"));
}

#[test]
fn weights_that_are_no_better_are_not_written_unless_they_are_to_be_kept() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = folder.network("m.onnx", 1, "Tanh");
    // The model is its own teacher: it cannot become better.
    let data = folder.arrays("data.npz", &model, 20);
    let output = folder.text("out.onnx");
    let arguments = [&model, "--data", &data, "--steps", "5", "--output", &output];
    let done = run(&arguments);
    assert_eq!(done.status.code(), Some(2), "{}", stderr(&done));
    assert!(String::from_utf8_lossy(&done.stdout).contains("no better"));
    assert!(!folder.path("out.onnx").exists());
    let kept = run(&[&arguments[..], &["--keep"]].concat());
    assert_eq!(kept.status.code(), Some(2));
    assert_eq!(load(&output).to_bytes(), load(&model).to_bytes());
}

#[test]
fn a_state_goes_on_where_it_ended() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let (model, teacher) = (
        folder.network("m.onnx", 1, "Tanh"),
        folder.network("t.onnx", 7, "Tanh"),
    );
    let data = folder.arrays("data.npz", &teacher, 30);
    let state = folder.text("state");
    let after = |said: &str| -> f64 {
        let text = said.split('→').nth(1).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    let common = [
        &model,
        "--data",
        &data,
        "--steps",
        "30",
        "--learning-rate",
        "0.01",
        "--force",
    ];
    let first = after(&succeed(&[&common[..], &["--save-state", &state]].concat()));
    let second = after(&succeed(&[&common[..], &["--resume", &state]].concat()));
    assert!(second < first, "{second} is not below {first}");
    kit::assert_one_line(
        &[&common[..], &["--resume", &state, "--optimizer", "sgd"]].concat(),
        &["--resume", "another optimizer"],
    );
}

#[test]
fn a_student_learns_from_a_teacher_on_pictures() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let pictures = folder.frames("fog", Kind::Walker, "fog", 16);
    let output = folder.text("walker.onnx");
    let said = succeed(&[
        &shipped("walker-student.onnx"),
        "--data",
        &pictures,
        "--teacher",
        &shipped("walker-teacher.onnx"),
        "--steps",
        "12",
        "--batch",
        "4",
        "--output",
        &output,
    ]);
    assert!(
        said.contains("% less") && said.contains("12 steps on 13 examples"),
        "{said}"
    );
    let sidecar = std::fs::read(format!("{output}.modelinfo")).unwrap();
    assert_eq!(
        sidecar,
        std::fs::read(shipped("walker-student.onnx.modelinfo")).unwrap()
    );
    assert_eq!(
        without_weights(&load(&output)),
        without_weights(&load(&shipped("walker-student.onnx")))
    );
}

#[test]
fn who_asks_before_is_told_what_would_be_trained() {
    if !runtime() {
        return;
    }
    let said = succeed(&[
        &shipped("traffic-student.onnx"),
        "--inspect",
        "--trainable",
        "*.bias",
    ]);
    for part in [
        "14 Conv",
        "weighed by heatmap",
        "conv0.bias [16]",
        "in 14 weights",
        "MB",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("conv0.weight"), "{said}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    if !runtime() {
        return;
    }
    let model = shipped("traffic-student.onnx");
    let mut child = kit::command(&[&model, "--inspect"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}
