// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What it says about what cannot be used.

use crate::kit::{Folder, assert_one_line, run, runtime, shipped, stderr};
use splitinfer_scene::Kind;

#[test]
fn what_is_not_there_is_named() {
    if !runtime() {
        return;
    }
    let model = shipped("traffic-student.onnx");
    assert_one_line(&["nosuch.onnx", "--data", &model], &["nosuch.onnx"]);
    assert_one_line(
        &[&model, "--data", "nosuch.npz"],
        &["nosuch.npz", "No such file"],
    );
    let folder = Folder::new();
    std::fs::create_dir(folder.path("empty")).unwrap();
    assert_one_line(
        &[&model, "--data", &folder.text("empty")],
        &["has no pictures"],
    );
    std::fs::write(folder.path("no.npz"), "nonsense").unwrap();
    assert_one_line(
        &[&model, "--data", &folder.text("no.npz")],
        &["no.npz", "no NumPy archive"],
    );
}

#[test]
fn arrays_that_do_not_fit_are_named_with_both_shapes() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = folder.network("m.onnx", 1, "Tanh");
    let narrow = folder.npz("narrow.npz", 4, vec![0.0; 4 * 72], vec![0.0; 8]);
    let output = folder.text("out.onnx");
    let train = |data: &str, more: &[&str]| -> Vec<String> {
        let all = [&[model.as_str(), "--data", data, "--output", &output], more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let fails = |data: &str, more: &[&str], parts: &[&str]| {
        let arguments = train(data, more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = run(&arguments);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap_or_default();
        parts
            .iter()
            .for_each(|p| assert!(last.contains(p), "{p} is not in: {said}"));
    };
    fails(&narrow, &[], &["'y'", "[4, 2]", "[examples, 3]"]);
    fails(
        &narrow,
        &["--loss", "features=mse"],
        &["'features'", "it holds x, y"],
    );
    fails(&narrow, &["--loss", "nosuch=mse"], &["nosuch"]);
    fails(
        &narrow,
        &["--trainable", "neck.*"],
        &["neck.*", "body.weight"],
    );
    fails(
        &narrow,
        &["--teacher", &model],
        &["--teacher is for pictures"],
    );
    fails(&narrow, &["--loss", "y=l1"], &["--help"]);
}

#[test]
fn values_that_are_no_numbers_are_refused_with_their_place() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = folder.network("m.onnx", 1, "Tanh");
    let mut targets = vec![0.0; 12];
    targets[7] = f32::NAN;
    let data = folder.npz("data.npz", 4, vec![0.0; 4 * 72], targets);
    assert_one_line(
        &[&model, "--data", &data],
        &["data.npz: example 2", "no numbers"],
    );
}

#[test]
fn teachers_that_answer_otherwise_are_refused_before_training() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let pictures = folder.frames("day", Kind::Traffic, "day", 2);
    let student = shipped("traffic-student.onnx");
    let output = folder.text("out.onnx");
    let with = |teacher: &str, parts: &[&str]| {
        assert_one_line(
            &[
                &student,
                "--data",
                &pictures,
                "--teacher",
                teacher,
                "--output",
                &output,
            ],
            parts,
        );
    };
    with(
        &shipped("walker-teacher.onnx"),
        &["no tensor 'box'", "heatmap, offset"],
    );
    with(&folder.network("t.onnx", 1, "Tanh"), &["sidecar"]);
    assert_one_line(
        &[&student, "--data", &pictures, "--output", &output],
        &["give --teacher"],
    );
}

#[test]
fn an_operator_without_a_rule_is_named_with_the_way_around_it() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = folder.network("m.onnx", 1, "Sinh");
    let data = folder.npz("data.npz", 4, vec![0.5; 4 * 72], vec![1.0; 12]);
    let output = folder.text("out.onnx");
    let arguments = [&model, "--data", &data, "--output", &output];
    assert_one_line(
        &arguments,
        &[
            "Sinh",
            "cannot be differentiated",
            "--trainable 'after:features'",
        ],
    );
    let inspected = run(&[&model, "--inspect"]);
    assert_eq!(inspected.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&inspected.stdout).contains("(Sinh)"));
    // An operator that gives steps lets nothing through.
    let steps = folder.network("steps.onnx", 1, "Ceil");
    assert_one_line(
        &[&steps, "--data", &data, "--output", &output],
        &[
            "no gradient reaches 'body.weight'",
            "--trainable 'after:body'",
        ],
    );
    // And what it says does help.
    let done = run(&[
        &arguments[..],
        &["--trainable", "after:features", "--steps", "5"],
    ]
    .concat());
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
}

#[test]
fn what_cannot_be_written_is_said_before_training() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = folder.network("m.onnx", 1, "Tanh");
    let data = folder.npz("data.npz", 4, vec![0.0; 4 * 72], vec![0.0; 12]);
    let with = |option: &str, path: &str, parts: &[&str]| {
        assert_one_line(&[&model, "--data", &data, option, path], parts);
    };
    with("--output", &model, &["exists", "--force"]);
    with(
        "--output",
        &folder.text("no/out.onnx"),
        &["cannot write", "no/out.onnx"],
    );
    with("--log", &folder.text("no/log"), &["cannot write", "no/log"]);
    with(
        "--plot",
        &folder.text("plot.jpg"),
        &["plot.jpg", ".svg or .png"],
    );
    with("--resume", &folder.text("nosuch"), &["nosuch"]);
    with("--resume", &data, &["data.npz"]);
    assert!(!folder.path("m-finetuned.onnx").exists());
}
