// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The program, models and data to give it.

use ndarray::{Array2, Array4};
use ndarray_npy::NpzWriter;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, ints};
use splitinfer_runtime::{load_library, random_tensor};
use splitinfer_scene::{Kind, Scene, SceneConfig};
use splitinfer_tensor::DType;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn runtime() -> bool {
    load_library(None)
        .inspect_err(|e| println!("skipped: {e}"))
        .is_ok()
}

pub fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(name);
    path.to_str().unwrap().to_owned()
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnx-finetune"));
    command.args(arguments).args(["--threads", "1"]);
    command
}

pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// That it did what it should.
#[track_caller]
pub fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// That it failed with one line that says all of `parts`.
#[track_caller]
pub fn assert_one_line(arguments: &[&str], parts: &[&str]) {
    let output = run(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let remark = |l: &&str| l.contains("assumed: ") || l.contains(": loss: ");
    let problems: Vec<&str> = said.lines().filter(|l| !remark(l)).collect();
    assert_eq!(problems.len(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A convolution, an activation and a product over pictures of 6 x 6; the weights depend on `seed`.
    pub fn network(&self, name: &str, seed: u64, activation: &str) -> String {
        let weights = |shape: &[usize], seed| -> Vec<f32> {
            let values = random_tensor(DType::F32, shape, 1.0, seed).to_f32_vec();
            values.iter().map(|v| v - 0.5).collect()
        };
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[1, 2, 6, 6])
            .weight("body.weight", &[4, 2, 3, 3], &weights(&[4, 2, 3, 3], seed))
            .weight("head.weight", &[144, 3], &weights(&[144, 3], seed + 1))
            .node(
                "Conv",
                &["x", "body.weight"],
                &["body"],
                vec![ints("pads", &[1; 4])],
            )
            .node(activation, &["body"], &["features"], vec![])
            .node("Flatten", &["features"], &["rows"], vec![])
            .node("MatMul", &["rows", "head.weight"], &["y"], vec![])
            .untyped_output("y")
            .model()
            .unwrap();
        model.save(&self.path(name)).unwrap();
        self.text(name)
    }

    /// Pictures of noise, and what another network says of them.
    pub fn arrays(&self, name: &str, teacher: &str, count: usize) -> String {
        let session = splitinfer_runtime::Session::from_model(
            &Model::load(teacher.as_ref()).unwrap(),
            &splitinfer_runtime::SessionOptions::default(),
        )
        .unwrap();
        let (mut x, mut y) = (vec![], vec![]);
        for seed in 0..count as u64 {
            let picture = random_tensor(DType::F32, &[1, 2, 6, 6], 1.0, seed);
            y.extend(session.run(&[("x", &picture)]).unwrap()[0].1.to_f32_vec());
            x.extend(picture.to_f32_vec());
        }
        self.npz(name, count, x, y)
    }

    pub fn npz(&self, name: &str, count: usize, x: Vec<f32>, y: Vec<f32>) -> String {
        let width = y.len() / count;
        let mut file = NpzWriter::new(File::create(self.path(name)).unwrap());
        file.add_array("x", &Array4::from_shape_vec((count, 2, 6, 6), x).unwrap())
            .unwrap();
        // As NumPy makes them if one does not say otherwise.
        let y = y.into_iter().map(f64::from).collect();
        file.add_array("y", &Array2::from_shape_vec((count, width), y).unwrap())
            .unwrap();
        file.finish().unwrap();
        self.text(name)
    }

    /// Frames of a scene as PNG files of a folder, and what is on them as lines beside it, `NAME.jsonl`.
    pub fn frames(&self, name: &str, kind: Kind, domain: &str, count: u64) -> String {
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        let mut config = SceneConfig::new(kind);
        (config.width, config.height, config.rate) = (320, 180, (2, 1));
        config.schedule = domain.parse().unwrap();
        let mut scene = Scene::new(config).unwrap();
        let mut truth = String::new();
        for frame in 0..count {
            let name = format!("{frame:04}.png");
            truth += &(scene.render(frame).to_json_of_file(&name) + "\n");
            scene.save_png(&folder.join(name)).unwrap();
        }
        std::fs::write(folder.with_extension("jsonl"), truth).unwrap();
        folder.to_str().unwrap().to_owned()
    }
}
