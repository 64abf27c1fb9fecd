// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is measured: the shipped and the real models, and two made of what the others lack.

use std::path::{Path, PathBuf};

use anyhow::Result;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_runtime::{fix_shapes, random_tensor};
use splitinfer_tensor::{DType, Tensor};

/// A model by its name.
pub struct Named {
    pub name: String,
    pub model: Model,
}

/// All there are; the first ones are made here.
///
/// # Errors
/// When one cannot be read.
pub fn all() -> Result<Vec<Named>> {
    let made = |name: &str, model| Named {
        name: name.to_owned(),
        model,
    };
    let mut all = vec![
        made("wide layers", wide()),
        made("transformer block", transformer()),
    ];
    let shipped = [
        "walker-student",
        "walker-teacher",
        "traffic-student",
        "traffic-teacher",
    ];
    let folder = crate::repository().join("models");
    let files = shipped.map(|name| folder.join(format!("{name}.onnx")));
    let real = [
        "yolox_nano_416",
        "FastestDet",
        "light_person_detector_192",
        "blazepose_landmark_lite",
        "mobilenet_v2_1.0_224_f32",
        "movenet_lightning_f32_192",
    ];
    let real = real.map(|name| crate::data::find(&format!("models/{name}.onnx")));
    let files: Vec<PathBuf> = files
        .into_iter()
        .chain(real.into_iter().flatten())
        .collect();
    for file in files {
        all.push(Named {
            name: stem(&file),
            model: fix_shapes(&Model::load(&file)?, &[])?,
        });
    }
    Ok(all)
}

fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn weights(shape: &[usize], seed: u64) -> Vec<f32> {
    let noise = random_tensor(DType::F32, shape, 0.1, seed);
    noise.to_f32_vec().iter().map(|x| x - 0.05).collect()
}

/// A small convolution, and fully connected layers of 2048, as classifiers end in: 40 MB of weights that are read anew
/// for each run.
///
/// # Panics
/// Never: the graph is valid.
pub fn wide() -> Model {
    const SIDE: usize = 64;
    const WIDTH: usize = 2048;
    let flat = 3 * SIDE * SIDE / 16;
    let attributes = vec![ints("kernel_shape", &[4, 4]), ints("strides", &[4, 4])];
    let mut g = GraphBuilder::new(17)
        .input("images", DType::F32, &[1, 3, SIDE, SIDE])
        .weight("stem.weight", &[3, 3, 4, 4], &weights(&[3, 3, 4, 4], 1))
        .node("Conv", &["images", "stem.weight"], &["stem"], attributes)
        .node("Flatten", &["stem"], &["flat"], vec![]);
    let mut from = ("flat".to_owned(), flat);
    for layer in 0..3 {
        let (weight, product, to) = (
            format!("w{layer}"),
            format!("product{layer}"),
            format!("layer{layer}"),
        );
        let shape = [from.1, WIDTH];
        g = g
            .weight(&weight, &shape, &weights(&shape, 2 + layer))
            .node("MatMul", &[&from.0, &weight], &[&product], vec![])
            .node("Relu", &[&product], &[&to], vec![]);
        from = (to, WIDTH);
    }
    g.weight("classes", &[WIDTH, 10], &weights(&[WIDTH, 10], 9))
        .node("MatMul", &[&from.0, "classes"], &["logits"], vec![])
        .output("logits", DType::F32, &[1, 10])
        .model()
        .expect("the graph is valid")
}

/// 16 × 16 patches of a picture of 64 × 64, and one block of attention and two layers as in a vision transformer, 384 wide.
fn transformer() -> Model {
    const D: usize = 384;
    let numbers = |values: &[i64]| {
        Tensor::new(vec![values.len()], values.to_vec()).expect("as many as there are")
    };
    let w = |a: usize, b: usize, seed| (vec![a, b], weights(&[a, b], seed));
    let mut g = GraphBuilder::new(17)
        .input("images", DType::F32, &[1, 3, 64, 64])
        .weight("patch", &[D, 3, 16, 16], &weights(&[D, 3, 16, 16], 1))
        .weight("token", &[1, 1, D], &weights(&[1, 1, D], 2))
        .constant("columns.shape", &numbers(&[1, D as i64, 16]));
    for (name, (shape, data)) in [
        ("q", w(D, D, 3)),
        ("k", w(D, D, 4)),
        ("v", w(D, D, 5)),
        ("up", w(D, 4 * D, 6)),
        ("down", w(4 * D, D, 7)),
        ("classes", w(D, 10, 8)),
    ] {
        g = g.weight(name, &shape, &data);
    }
    let first = Tensor::new(vec![], vec![0i64]).expect("one number");
    g.constant("first", &first)
        .node(
            "Conv",
            &["images", "patch"],
            &["patches"],
            vec![ints("strides", &[16, 16])],
        )
        .node(
            "Reshape",
            &["patches", "columns.shape"],
            &["columns"],
            vec![],
        )
        .node(
            "Transpose",
            &["columns"],
            &["rows"],
            vec![ints("perm", &[0, 2, 1])],
        )
        .node("Concat", &["token", "rows"], &["x"], vec![int("axis", 1)])
        .node("MatMul", &["x", "q"], &["queries"], vec![])
        .node("MatMul", &["x", "k"], &["keys.rows"], vec![])
        .node(
            "Transpose",
            &["keys.rows"],
            &["keys"],
            vec![ints("perm", &[0, 2, 1])],
        )
        .node("MatMul", &["x", "v"], &["values"], vec![])
        .node("MatMul", &["queries", "keys"], &["scores"], vec![])
        .node(
            "Softmax",
            &["scores"],
            &["attention"],
            vec![int("axis", -1)],
        )
        .node("MatMul", &["attention", "values"], &["mixed"], vec![])
        .node("Add", &["x", "mixed"], &["y"], vec![])
        .node("MatMul", &["y", "up"], &["wider"], vec![])
        .node("Relu", &["wider"], &["hidden"], vec![])
        .node("MatMul", &["hidden", "down"], &["narrow"], vec![])
        .node("Add", &["y", "narrow"], &["z"], vec![])
        .node("Gather", &["z", "first"], &["answer"], vec![int("axis", 1)])
        .node("MatMul", &["answer", "classes"], &["logits"], vec![])
        .output("logits", DType::F32, &[1, 10])
        .model()
        .expect("the graph is valid")
}
