// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Head after tail is the whole model: for every candidate, from several threads, on small models and real ones.

mod common;

use std::time::Instant;

use common::{bytes_nhwc, long_chain, pyramid, real_model, runtime};
use splitinfer_graph::Model;
use splitinfer_runtime::{
    RuntimeError, SessionOptions, SplitModel, Stop, fix_shapes, probe, sample,
};
use splitinfer_tensor::Tensor;

fn split(model: &Model, limit: usize) -> SplitModel {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    let facts = probe(model, &options).unwrap();
    let candidates = match limit {
        0 => model.cuts(&facts),
        limit => model.candidates(&facts, limit),
    };
    assert!(!candidates.is_empty());
    SplitModel::new(model, &facts, candidates, &options).unwrap()
}

type Outputs = Vec<(String, Tensor)>;

fn assert_same(a: &Outputs, b: &Outputs, tolerance: f32, what: &str) {
    assert_eq!(a.len(), b.len());
    for ((name_a, a), (name_b, b)) in a.iter().zip(b) {
        assert_eq!(
            (name_a, a.dtype(), a.shape()),
            (name_b, b.dtype(), b.shape()),
            "{what}"
        );
        for (i, (x, y)) in a.to_f32_vec().into_iter().zip(b.to_f32_vec()).enumerate() {
            // Relative above 1: YOLOX gives values in the hundreds.
            let bound = tolerance * x.abs().max(1.0);
            assert!(
                (x - y).abs() <= bound,
                "{what}: {name_a}[{i}] is {x} whole and {y} split"
            );
        }
    }
}

/// `tolerance` is for ONNX Runtime as it is used. It fuses operators, on the two sides of a cut others than in the
/// whole model, so last bits differ. Without that there is no difference, and none is accepted.
fn assert_every_candidate_is_the_whole(model: &Model, limit: usize, tolerance: f32) {
    assert_split_is_the_whole(&split(model, limit), tolerance);
    assert_split_is_the_whole(&split(model, limit).unoptimised(), 0.0);
}

fn assert_split_is_the_whole(split: &SplitModel, tolerance: f32) {
    for seed in [1, 2] {
        let input = sample(split.input(), seed).unwrap();
        let whole = split.whole(&input).unwrap();
        let mut walked = split.head(0, &input).unwrap();
        for (i, cut) in split.candidates().iter().enumerate() {
            let crossing = split.head(i, &input).unwrap();
            if let Some(last) = i.checked_sub(1) {
                walked = split.onward(last, &walked).unwrap();
            }
            for (a, b) in walked.iter().zip(&crossing) {
                assert!(a == b, "{}: from candidate to candidate", cut.name);
            }
            for (tensor, spec) in crossing.iter().zip(&cut.tensors) {
                let (got, expected) =
                    ((tensor.dtype(), tensor.shape()), (spec.dtype, &*spec.shape));
                assert_eq!(got, expected, "{}", spec.name);
            }
            let outputs = split.tail(i, &crossing).unwrap();
            let what = format!("candidate {i}, {}", cut.name);
            assert_same(&whole, &outputs, tolerance, &what);
        }
    }
}

#[test]
fn every_cut_of_a_pyramid_with_two_outputs_is_the_whole() {
    if runtime() {
        assert_every_candidate_is_the_whole(&pyramid(), 0, 1e-5);
    }
}

#[test]
fn every_cut_of_a_byte_input_in_nhwc_is_the_whole() {
    if runtime() {
        // Where the CPU has no float16, ONNX Runtime computes in float32, and rounds to float16 only at a cut.
        let split = split(&bytes_nhwc(), 0);
        assert_split_is_the_whole(&split, 1e-3);
        assert_split_is_the_whole(&split.unoptimised(), 1e-3);
    }
}

fn real(name: &str, limit: usize, tolerance: f32) {
    if let Some(path) = real_model(name)
        && runtime()
    {
        let model = fix_shapes(&Model::load(&path).unwrap(), &[]).unwrap();
        assert_every_candidate_is_the_whole(&model, limit, tolerance);
    }
}

#[test]
fn yolox_nano_split_is_the_whole() {
    real("yolox_nano_416.onnx", 8, 1e-5);
}

#[test]
fn fastestdet_split_is_the_whole() {
    real("FastestDet.onnx", 8, 1e-5);
}

#[test]
fn movenet_split_is_the_whole() {
    real("movenet_lightning_f32_128.onnx", 8, 1e-5);
}

#[test]
fn quantised_movenet_split_is_the_whole() {
    // Its keypoints come from an ArgMax over 8-bit heatmaps: what one step of theirs is worth, a cut inside a fused
    // 8-bit operator may cost.
    real("movenet_lightning_qdq.onnx", 8, 0.1);
}

#[test]
fn blazepose_split_is_the_whole() {
    // Hundreds of fused operators deep, last bits add up to more.
    real("blazepose_landmark_lite.onnx", 8, 1e-3);
}

#[test]
fn mobilenet_split_is_the_whole() {
    real("mobilenet_v1_0.25_128_f32.onnx", 8, 1e-5);
    real("mobilenet_v2_1.0_224_f32.onnx", 8, 1e-5);
}

#[test]
fn threads_may_split_wherever_they_like_at_once() {
    if !runtime() {
        return;
    }
    let split = split(&pyramid(), 0);
    let n = split.candidates().len();
    let inputs: Vec<Tensor> = (1..=6)
        .map(|seed| sample(split.input(), seed).unwrap())
        .collect();
    let whole: Vec<Outputs> = inputs.iter().map(|x| split.whole(x).unwrap()).collect();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (split, inputs, whole) = (&split, &inputs, &whole);
            scope.spawn(move || {
                for round in 0..60 {
                    let (i, frame) = ((thread + round) % n, (thread * 7 + round) % inputs.len());
                    let crossing = split.head(i, &inputs[frame]).unwrap();
                    let outputs = split.tail(i, &crossing).unwrap();
                    assert_same(&whole[frame], &outputs, 1e-5, "concurrently");
                }
            });
        }
    });
}

#[test]
fn what_does_not_fit_is_refused_with_names_and_numbers() {
    if !runtime() {
        return;
    }
    let split = split(&pyramid(), 0);
    let n = split.candidates().len();
    let input = sample(split.input(), 1).unwrap();
    let wrong = Tensor::new(vec![1, 3, 16, 16], vec![0f32; 768]).unwrap();
    for e in [
        split.head(0, &wrong).unwrap_err(),
        split.whole(&wrong).unwrap_err(),
    ] {
        let e = e.to_string();
        assert!(
            e.contains("`images`") && e.contains("float32 [1, 3, 32, 32]"),
            "{e}"
        );
    }
    let e = split.head(n, &input).unwrap_err().to_string();
    assert!(e.contains(&format!("no candidate number {n}")), "{e}");
    assert!(
        split
            .tail(0, &[])
            .unwrap_err()
            .to_string()
            .contains("0 were given")
    );
    let crossing = split.head(0, &input).unwrap();
    let last = split.head(n - 1, &input).unwrap();
    let e = split.onward(n - 1, &last).unwrap_err().to_string();
    assert!(e.contains(&format!("no candidate number {n}")), "{e}");
    let bad = vec![wrong; crossing.len()];
    let e = split.tail(0, &bad).unwrap_err().to_string();
    assert!(e.contains(&split.candidates()[0].tensors[0].name), "{e}");
    // And nothing is broken by it.
    assert!(split.tail(0, &crossing).is_ok());
}

#[test]
fn candidates_out_of_order_are_refused() {
    if !runtime() {
        return;
    }
    let model = pyramid();
    let options = SessionOptions::default();
    let facts = probe(&model, &options).unwrap();
    let mut candidates = model.cuts(&facts);
    candidates.reverse();
    let Err(e) = SplitModel::new(&model, &facts, candidates, &options) else {
        panic!("they are in reverse order");
    };
    assert!(e.to_string().contains("order"), "{e}");
}

#[test]
fn a_profile_has_both_sides_of_every_candidate() {
    if !runtime() {
        return;
    }
    let split = split(&pyramid(), 0);
    let profile = split.profile(5).unwrap();
    assert_eq!(profile.head.len(), split.candidates().len());
    assert_eq!(profile.tail.len(), split.candidates().len());
    let all = profile
        .head
        .iter()
        .chain(&profile.tail)
        .chain([&profile.whole]);
    assert!(all.into_iter().all(|t| !t.is_zero()));
}

#[test]
fn other_weights_take_the_same_cuts() {
    if !runtime() {
        return;
    }
    let model = pyramid();
    let before = split(&model, 4);
    let mut proto = model.proto().clone();
    let tensor = &mut proto.graph.as_mut().unwrap().initializer[0];
    let raw = tensor.raw_data.take().unwrap();
    let values = raw.as_chunks::<4>().0.iter();
    let doubled = values.flat_map(|b| (f32::from_le_bytes(*b) * 2.0).to_le_bytes());
    tensor.raw_data = Some(doubled.collect::<Vec<u8>>().into());
    let changed = Model::from_proto(proto).unwrap();

    let after = before.with_weights(&changed).unwrap();
    assert_eq!(after.candidates(), before.candidates());
    assert_split_is_the_whole(&after, 1e-4);
    let input = sample(before.input(), 1).unwrap();
    let fresh = split(&changed, 4).whole(&input).unwrap();
    assert_same(&after.whole(&input).unwrap(), &fresh, 0.0, "new weights");
    assert_ne!(after.whole(&input).unwrap(), before.whole(&input).unwrap());
}

#[test]
fn a_run_that_is_stopped_says_so_and_the_next_one_runs() {
    if !runtime() {
        return;
    }
    let split = split(&pyramid(), 0);
    let input = sample(split.input(), 1).unwrap();
    let crossing = split.head(0, &input).unwrap();
    let stop = Stop::new().unwrap();
    let whole = split.whole_until(&input, Some(&stop)).unwrap();
    stop.stop();
    let stopped = |run: Result<Outputs, RuntimeError>| matches!(run, Err(RuntimeError::Stopped));
    assert!(stopped(split.whole_until(&input, Some(&stop))));
    assert!(stopped(split.tail_until(0, &crossing, Some(&stop))));
    assert_same(&whole, &split.whole(&input).unwrap(), 0.0, "after it");
}

#[test]
fn a_run_under_way_is_stopped_by_another_thread() {
    if !runtime() {
        return;
    }
    let (model, options) = (long_chain(), SessionOptions::default());
    let facts = probe(&model, &options).unwrap();
    let split = SplitModel::new(&model, &facts, Vec::new(), &options).unwrap();
    let input = sample(split.input(), 1).unwrap();
    let begun = Instant::now();
    split.whole(&input).unwrap();
    let whole = begun.elapsed();
    let stop = Stop::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // One that came to its end would have an outcome.
            let outcome = split.whole_until(&input, Some(&stop));
            assert!(matches!(outcome, Err(RuntimeError::Stopped)), "{outcome:?}");
        });
        std::thread::sleep(whole / 10);
        stop.stop();
    });
}
