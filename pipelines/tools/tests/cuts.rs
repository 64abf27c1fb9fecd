// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-cuts` as a user runs it.

use splitinfer_graph::build::{GraphBuilder, ints};
use splitinfer_graph::proto::DimensionValue::{Param, Value};
use splitinfer_runtime::{load_library, random_tensor};
use splitinfer_tensor::DType;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn runtime() -> bool {
    load_library(None)
        .inspect_err(|e| println!("skipped: {e}"))
        .is_ok()
}

/// A file of the project's test data, if it is here.
fn data(file: &str) -> Option<PathBuf> {
    let data = std::env::var_os("SPLITINFER_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = data.join(file);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn cuts(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_splitinfer-cuts"))
        .args(arguments)
        .output()
        .unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = cuts(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// That it failed with one line that says all of `parts`.
fn assert_one_line(arguments: &[&str], parts: &[&str]) {
    let output = cuts(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{said}");
    }
}

/// Three convolutions in a row over a picture whose size is open.
fn save_model(folder: &Path, between: &str) -> String {
    let mut graph = GraphBuilder::new(17).symbolic_input(
        "images",
        DType::F32,
        &[
            Param("n".into()),
            Value(3),
            Param("h".into()),
            Param("w".into()),
        ],
    );
    let mut from = "images".to_owned();
    for (i, (inputs, outputs)) in [(3, 8), (8, 8), (8, 4)].into_iter().enumerate() {
        let (weight, to) = (format!("w{i}"), format!("conv{i}"));
        let shape = [outputs, inputs, 3, 3];
        let values = random_tensor(DType::F32, &shape, 0.2, i as u64).to_f32_vec();
        graph = graph
            .weight(&weight, &shape, &values)
            .node(
                "Conv",
                &[&from, &weight],
                &[&to],
                vec![
                    ints("kernel_shape", &[3, 3]),
                    ints("strides", &[2, 2]),
                    ints("pads", &[1; 4]),
                ],
            )
            .node(between, &[&to], &[&format!("act{i}")], vec![]);
        from = format!("act{i}");
    }
    let path = folder.join("model.onnx");
    graph
        .untyped_output("act2")
        .model()
        .unwrap()
        .save(&path)
        .unwrap();
    path.to_str().unwrap().to_owned()
}

const SIZE: &str = "--input-shape=images=1x3x64x64";

#[test]
fn the_table_has_a_row_for_every_candidate_and_both_ends() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = save_model(folder.path(), "Relu");
    let output = cuts(&[&model, SIZE, "--all", "--verify"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", stderr(&output));
    assert!(
        output.stderr.is_empty(),
        "no progress bar where nobody looks: {}",
        stderr(&output)
    );
    for part in [
        "conv0 [1×8×32×32]",
        "act1 [1×8×16×16]",
        "edge",
        "verified: tail after head is the whole model",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn json_has_the_numbers_of_both_sides() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = save_model(folder.path(), "Relu");
    let report = json(&[&model, SIZE, "--verify"]);
    assert_eq!(report["verified"], true);
    assert_eq!(report["input"]["shape"], serde_json::json!([1, 3, 64, 64]));
    let (macs, parameters) = (&report["macs"], &report["parameters"]);
    // 32·32·8·27 + 16·16·8·72 + 8·8·4·72
    assert_eq!(macs, 387_072);
    let rows = report["candidates"].as_array().unwrap();
    assert!(!rows.is_empty());
    for (i, row) in rows.iter().enumerate() {
        let sum = |key: &str| {
            row[format!("head_{key}")].as_u64().unwrap()
                + row[format!("tail_{key}")].as_u64().unwrap()
        };
        assert_eq!(row["candidate"], i);
        assert_eq!(sum("macs"), macs.as_u64().unwrap());
        assert_eq!(sum("parameters"), parameters.as_u64().unwrap());
        assert!(row["head_ms"].as_f64().unwrap() > 0.0 && row["tail_ms"].as_f64().unwrap() > 0.0);
        assert!(row["coded_bytes"].as_u64().unwrap() < row["raw_bytes"].as_u64().unwrap());
        assert!(row["max_difference"].as_f64().unwrap() < 1e-4);
    }
    let fewer = json(&[&model, SIZE, "--limit", "1"]);
    assert_eq!(fewer["candidates"].as_array().unwrap().len(), 1);
    assert_eq!(fewer["verified"], serde_json::Value::Null);
}

#[test]
fn a_split_that_is_not_the_whole_model_fails() {
    if !runtime() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Gives other values at every run, so no two runs can agree.
    let model = save_model(folder.path(), "RandomUniformLike");
    let output = cuts(&[&model, SIZE, "--all", "--verify"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED: 0 (conv0)"), "{said}");
}

#[test]
fn what_cannot_be_used_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "this is a text").unwrap();
    let text = text.to_str().unwrap();
    assert_one_line(
        &["/does/not/exist.onnx"],
        &["/does/not/exist.onnx", "No such file"],
    );
    assert_one_line(&[text], &[text, "not an ONNX model"]);
    if !runtime() {
        return;
    }
    let model = save_model(folder.path(), "Relu");
    assert_one_line(&[&model], &[&model, "(n, h, w)", "images=1x3x416x416"]);
    assert_one_line(
        &[&model, "--input-shape=other=1x3x8x8"],
        &["other", "images"],
    );
    assert_one_line(&[&model, "--input-shape=1x4x8x8"], &["images", "axis 1"]);
    let video =
        |file: &str, parts: &[&str]| assert_one_line(&[&model, SIZE, "--video", file], parts);
    video(
        "/does/not/exist.mp4",
        &["/does/not/exist.mp4", "No such file"],
    );
    video(text, &["notes.txt"]);
}

#[test]
fn frames_of_a_video_are_fed_as_the_model_wants_them() {
    let (Some(model), Some(video)) = (
        data("models/yolox_nano_416.onnx"),
        data("videos/car-detection.mp4"),
    ) else {
        return;
    };
    if !runtime() {
        return;
    }
    let (model, video) = (model.to_str().unwrap(), video.to_str().unwrap());
    let report = json(&[
        model,
        "--video",
        video,
        "--frames=3",
        "--runs=1",
        "--verify",
        "--threads=1",
    ]);
    assert_eq!(report["fed"], "3 frames of car-detection.mp4");
    assert_eq!(report["verified"], true);
    assert_eq!(report["picture"]["raw_bytes"], 416 * 416 * 3);
    let jpeg = report["picture"]["coded_bytes"].as_u64().unwrap();
    assert!((4_000..80_000).contains(&jpeg), "{jpeg}");
    assert!(report["candidates"].as_array().unwrap().len() > 2);
}
