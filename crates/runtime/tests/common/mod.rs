// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Small models for tests that run wherever ONNX Runtime is, and the way to the real ones.
#![allow(dead_code)] // each test program uses its own part

use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_runtime::{load_library, random_tensor};
use splitinfer_tensor::{DType, Tensor};
use std::path::{Path, PathBuf};

/// Whether ONNX Runtime is here; says so when it is not.
pub fn runtime() -> bool {
    load_library(None)
        .inspect_err(|e| println!("skipped: {e}"))
        .is_ok()
}

/// A real model, if the project's test data is here.
pub fn real_model(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("SPLITINFER_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = data.join("models").join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn weights(shape: &[usize], seed: u64) -> Vec<f32> {
    let noise = random_tensor(DType::F32, shape, 1.0, seed);
    noise
        .to_f32_vec()
        .into_iter()
        .map(|x| (x - 0.5) * 0.2)
        .collect()
}

fn conv(
    graph: GraphBuilder,
    from: &str,
    to: &str,
    inputs: usize,
    outputs: usize,
    stride: i64,
) -> GraphBuilder {
    let weight = format!("{to}.weight");
    let raw = format!("{to}.conv");
    let shape = [outputs, inputs, 3, 3];
    graph
        .weight(&weight, &shape, &weights(&shape, outputs as u64))
        .node(
            "Conv",
            &[from, &weight],
            &[&raw],
            vec![
                ints("kernel_shape", &[3, 3]),
                ints("pads", &[1, 1, 1, 1]),
                ints("strides", &[stride, stride]),
            ],
        )
        .node("Relu", &[&raw], &[to], vec![])
}

/// A picture of 32×32 through a backbone, a skip connection and a feature pyramid of two levels to two outputs;
/// one of them reshaped to what a `Shape` of an earlier tensor says.
pub fn pyramid() -> Model {
    let mut g = GraphBuilder::new(17).input("images", DType::F32, &[1, 3, 32, 32]);
    g = conv(g, "images", "stem", 3, 8, 2);
    g = conv(g, "stem", "a", 8, 8, 1);
    g = conv(g, "a", "b", 8, 8, 1).node("Add", &["b", "stem"], &["p3"], vec![]);
    g = conv(g, "p3", "p4", 8, 16, 2);
    g = conv(g, "p4", "p5", 16, 16, 2);
    g = conv(g, "p3", "level3", 8, 4, 1);
    g = conv(g, "p5", "level5", 16, 4, 1);
    g.constant("first", &Tensor::new(vec![1], vec![0i64]).unwrap())
        .constant("rest", &Tensor::new(vec![1], vec![-1i64]).unwrap())
        .node("Shape", &["stem"], &["stem.shape"], vec![])
        .node("Gather", &["stem.shape", "first"], &["batch"], vec![])
        .node(
            "Concat",
            &["batch", "rest"],
            &["flat.shape"],
            vec![int("axis", 0)],
        )
        .node("Reshape", &["level3", "flat.shape"], &["flat"], vec![])
        .node("Sigmoid", &["level5"], &["scores"], vec![])
        .output("flat", DType::F32, &[1, 1024])
        .output("scores", DType::F32, &[1, 4, 4, 4])
        .model()
        .unwrap()
}

/// Hundreds of convolutions, one after the other, each of which takes little.
pub fn long_chain() -> Model {
    const LENGTH: usize = 300;
    let mut g = GraphBuilder::new(17).input("x0", DType::F32, &[1, 8, 96, 96]);
    for i in 0..LENGTH {
        g = conv(g, &format!("x{i}"), &format!("x{}", i + 1), 8, 8, 1);
    }
    g.output(&format!("x{LENGTH}"), DType::F32, &[1, 8, 96, 96])
        .model()
        .unwrap()
}

/// Bytes in NHWC order, as models converted from TensorFlow Lite take them; half the model in float16.
pub fn bytes_nhwc() -> Model {
    let mut g = GraphBuilder::new(17)
        .input("picture", DType::U8, &[1, 16, 16, 3])
        .node("Cast", &["picture"], &["floats"], vec![int("to", 1)])
        .node(
            "Transpose",
            &["floats"],
            &["nchw"],
            vec![ints("perm", &[0, 3, 1, 2])],
        );
    g = conv(g, "nchw", "features", 3, 4, 2);
    g.node("Cast", &["features"], &["half"], vec![int("to", 10)])
        .node("GlobalAveragePool", &["half"], &["pooled"], vec![])
        .node("Cast", &["pooled"], &["mean"], vec![int("to", 1)])
        .node("ArgMax", &["mean"], &["best"], vec![int("axis", 1)])
        .output("mean", DType::F32, &[1, 4, 1, 1])
        .output("best", DType::I64, &[1, 1, 1, 1])
        .model()
        .unwrap()
}
