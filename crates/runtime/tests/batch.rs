// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Several frames at once give what each gives alone, from every candidate on; what might mix them is refused.

mod common;

use common::{bytes_nhwc, pyramid, real_model, runtime};
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_runtime::{SessionOptions, SplitModel, fix_shapes, probe, random_tensor, sample};
use splitinfer_tensor::{DType, Tensor};
use std::path::Path;

fn split(model: &Model) -> SplitModel {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    let facts = probe(model, &options).unwrap();
    let candidates = model.candidates(&facts, 8);
    SplitModel::new(model, &facts, candidates, &options).unwrap()
}

/// Runs `n` frames from there at once, and each alone.
fn assert_each_is_as_alone(split: &SplitModel, from: Option<usize>, n: u64, tolerance: f32) {
    let batched = split
        .batched(from)
        .unwrap_or_else(|e| panic!("from {from:?}: {e}"));
    let inputs: Vec<_> = (1..=n)
        .map(|seed| sample(split.input(), 10 + seed).unwrap())
        .collect();
    let frames: Vec<Vec<Tensor>> = inputs
        .iter()
        .map(|input| match from {
            Some(candidate) => split.head(candidate, input).unwrap(),
            None => vec![input.clone()],
        })
        .collect();
    let together = batched
        .run(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>())
        .unwrap();
    assert_eq!(together.len(), frames.len());
    for (frame, together) in frames.iter().zip(together) {
        let alone = match from {
            Some(candidate) => split.tail(candidate, frame).unwrap(),
            None => split.whole(&frame[0]).unwrap(),
        };
        for ((name, a), (_, b)) in alone.iter().zip(&together) {
            assert_eq!(a.shape(), b.shape(), "{name}");
            let largest = a.to_f32_vec().iter().fold(0f32, |m, x| m.max(x.abs()));
            for (x, y) in a.to_f32_vec().iter().zip(b.to_f32_vec()) {
                assert!(
                    (x - y).abs() <= tolerance * largest.max(1e-6),
                    "{name}: {x} alone, {y}"
                );
            }
        }
    }
}

fn assert_batchable(model: &Model, tolerance: f32) {
    let split = split(model);
    assert_each_is_as_alone(&split, None, 3, tolerance);
    for candidate in 0..split.candidates().len() {
        assert_each_is_as_alone(&split, Some(candidate), 2, tolerance);
    }
    assert_each_is_as_alone(&split, Some(0), 8, tolerance);
    assert_each_is_as_alone(&split, Some(0), 1, tolerance);
}

#[test]
fn every_candidate_of_a_pyramid_takes_several_frames() {
    if runtime() {
        assert_batchable(&pyramid(), 1e-5);
    }
}

#[test]
fn every_candidate_of_a_byte_input_takes_several_frames() {
    if runtime() {
        assert_batchable(&bytes_nhwc(), 1e-3);
    }
}

/// Patches, a class token that is concatenated, attention, and a classification of the token.
fn transformer() -> Model {
    let noise = |shape: &[usize], seed| -> Vec<f32> {
        let noise = random_tensor(DType::F32, shape, 1.0, seed).to_f32_vec();
        noise.into_iter().map(|x| x - 0.5).collect()
    };
    let numbers = |values: &[i64]| Tensor::new(vec![values.len()], values.to_vec()).unwrap();
    GraphBuilder::new(17)
        .input("images", DType::F32, &[1, 3, 16, 16])
        .weight("patch", &[8, 3, 4, 4], &noise(&[8, 3, 4, 4], 1))
        .weight("token", &[1, 1, 8], &noise(&[1, 1, 8], 2))
        .weight("place", &[1, 17, 8], &noise(&[1, 17, 8], 3))
        .weight("query", &[8, 8], &noise(&[8, 8], 4))
        .weight("classes", &[8, 5], &noise(&[8, 5], 5))
        .weight("bias", &[5], &noise(&[5], 6))
        .constant("flat", &numbers(&[1, 8, 16]))
        .constant("zero", &Tensor::new(vec![], vec![0i64]).unwrap())
        .node(
            "Conv",
            &["images", "patch"],
            &["patches"],
            vec![ints("strides", &[4, 4])],
        )
        .node("Reshape", &["patches", "flat"], &["columns"], vec![])
        .node(
            "Transpose",
            &["columns"],
            &["rows"],
            vec![ints("perm", &[0, 2, 1])],
        )
        .node(
            "Concat",
            &["token", "rows"],
            &["sequence"],
            vec![int("axis", 1)],
        )
        .node("Add", &["sequence", "place"], &["placed"], vec![])
        .node("MatMul", &["placed", "query"], &["queries"], vec![])
        .node(
            "Transpose",
            &["placed"],
            &["keys"],
            vec![ints("perm", &[0, 2, 1])],
        )
        .node("MatMul", &["queries", "keys"], &["scores"], vec![])
        .node(
            "Softmax",
            &["scores"],
            &["attention"],
            vec![int("axis", -1)],
        )
        .node("MatMul", &["attention", "placed"], &["mixed"], vec![])
        .node(
            "Gather",
            &["mixed", "zero"],
            &["first"],
            vec![int("axis", 1)],
        )
        .node("Gemm", &["first", "classes", "bias"], &["logits"], vec![])
        .output("logits", DType::F32, &[1, 5])
        .model()
        .unwrap()
}

#[test]
fn a_transformer_takes_several_frames() {
    if runtime() {
        assert_batchable(&transformer(), 1e-5);
    }
}

#[test]
fn a_model_that_looks_at_the_whole_batch_is_refused_and_says_where() {
    if !runtime() {
        return;
    }
    let model = GraphBuilder::new(17)
        .input("images", DType::F32, &[1, 3, 4, 4])
        .node("Relu", &["images"], &["positive"], vec![])
        .node("ReduceMax", &["positive"], &["most"], vec![])
        .node("Div", &["positive", "most"], &["scaled"], vec![])
        .output("scaled", DType::F32, &[1, 3, 4, 4])
        .model()
        .unwrap();
    let e = split(&model).batched(None).err().unwrap().to_string();
    assert!(
        e.contains("several frames at once") && e.contains("'most'"),
        "{e}"
    );
}

#[test]
fn frames_that_do_not_fit_are_refused() {
    if !runtime() {
        return;
    }
    let split = split(&pyramid());
    let batched = split.batched(None).unwrap();
    assert!(batched.run(&[]).is_err());
    let right = sample(split.input(), 1).unwrap();
    let wrong = random_tensor(DType::F32, &[1, 3, 32, 31], 1.0, 1);
    let e = batched.run(&[&[right], &[wrong]]).unwrap_err().to_string();
    assert!(e.contains("images") && e.contains("31"), "{e}");
    let two = split.head(0, &sample(split.input(), 1).unwrap()).unwrap();
    assert!(batched.run(&[&two, &[]]).is_err());
}

#[test]
fn the_shipped_models_take_several_frames() {
    if !runtime() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for name in [
        "traffic-student",
        "walker-student",
        "traffic-teacher",
        "walker-teacher",
    ] {
        let model = Model::load(&folder.join(format!("{name}.onnx"))).unwrap();
        let split = split(&fix_shapes(&model, &[]).unwrap());
        assert_each_is_as_alone(&split, None, 2, 1e-4);
        let middle = split.candidates().len() / 2;
        assert_each_is_as_alone(&split, Some(middle), 2, 1e-4);
    }
}

/// Whether the whole of a real model takes several frames; where it does, that each comes out as alone.
fn real(name: &str, takes: bool) {
    if let Some(path) = real_model(name)
        && runtime()
    {
        let model = fix_shapes(&Model::load(&path).unwrap(), &[]).unwrap();
        let split = split(&model);
        match (split.batched(None), takes) {
            (Ok(_), true) => assert_each_is_as_alone(&split, None, 3, 1e-3),
            (Err(e), false) => println!("{name}: {e}"),
            (Err(e), true) => panic!("{name}: {e}"),
            (Ok(_), false) => panic!("{name} takes several frames"),
        }
    }
}

#[test]
fn real_models_take_several_frames_where_their_operators_keep_them_apart() {
    real("yolox_nano_416.onnx", true);
    real("blazepose_landmark_lite.onnx", true);
    real("light_person_detector_192.onnx", true);
    real("mobilenet_v1_0.25_128_f32.onnx", true);
    real("mobilenet_v2_1.0_224_f32.onnx", true);
    // Its channels change places in a tensor whose first axis counts channels and frames.
    real("FastestDet.onnx", false);
    // They look up places of keypoints across the batch.
    real("movenet_lightning_f32_192.onnx", false);
    real("movenet_lightning_qdq.onnx", false);
}
