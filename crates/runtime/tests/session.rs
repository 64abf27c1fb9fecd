// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Sessions: every element type in and out, and clear errors for whatever does not fit.

mod common;

use common::runtime;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int};
use splitinfer_graph::proto::DimensionValue;
use splitinfer_runtime::{Provider, RuntimeError, Session, SessionOptions, probe, random_tensor};
use splitinfer_tensor::{DType, Tensor};

const TYPES: [DType; 8] = [
    DType::F32,
    DType::U8,
    DType::I8,
    DType::I32,
    DType::I64,
    DType::Bool,
    DType::F16,
    DType::F64,
];

fn identity(dtype: DType, shape: &[usize]) -> Model {
    GraphBuilder::new(17)
        .input("x", dtype, shape)
        .node("Identity", &["x"], &["y"], vec![])
        .output("y", dtype, shape)
        .model()
        .unwrap()
}

fn session(model: &Model) -> Session {
    Session::from_model(model, &SessionOptions::default()).unwrap()
}

#[test]
fn every_element_type_goes_in_and_comes_out_unchanged() {
    if !runtime() {
        return;
    }
    for dtype in TYPES {
        for shape in [&[2, 3, 5][..], &[7], &[]] {
            let x = random_tensor(dtype, shape, 1.0, 7);
            let out = session(&identity(dtype, shape)).run(&[("x", &x)]).unwrap();
            assert_eq!(out, [("y".to_owned(), x)], "{dtype} {shape:?}");
        }
    }
}

#[test]
fn several_inputs_go_by_name_in_any_order() {
    if !runtime() {
        return;
    }
    let model = GraphBuilder::new(17)
        .input("a", DType::F32, &[2])
        .input("b", DType::F32, &[2])
        .node("Sub", &["a", "b"], &["difference"], vec![])
        .node("Cast", &["difference"], &["whole"], vec![int("to", 6)])
        .output("whole", DType::I32, &[2])
        .output("difference", DType::F32, &[2])
        .model()
        .unwrap();
    let (a, b) = (
        Tensor::new(vec![2], vec![5f32, 1.0]).unwrap(),
        Tensor::new(vec![2], vec![2f32, 1.0]).unwrap(),
    );
    let out = session(&model).run(&[("b", &b), ("a", &a)]).unwrap();
    assert_eq!(out[0].0, "whole");
    assert_eq!(out[0].1.as_slice::<i32>().unwrap(), [3, 0]);
    assert_eq!(out[1].1.as_slice::<f32>().unwrap(), [3.0, 0.0]);
}

#[test]
fn inputs_that_do_not_fit_are_named_with_what_was_expected() {
    if !runtime() {
        return;
    }
    let session = session(&identity(DType::F32, &[1, 3]));
    let right = random_tensor(DType::F32, &[1, 3], 1.0, 1);
    let error = |inputs: &[(&str, &Tensor)]| session.run(inputs).unwrap_err().to_string();
    for wrong in [
        random_tensor(DType::F32, &[1, 4], 1.0, 1),
        random_tensor(DType::F32, &[3], 1.0, 1),
        random_tensor(DType::U8, &[1, 3], 1.0, 1),
    ] {
        let e = error(&[("x", &wrong)]);
        assert!(e.contains("`x`") && e.contains("float32 [1, 3]"), "{e}");
    }
    assert!(error(&[("y", &right)]).contains("no input `y`; its inputs are: x"));
    assert!(error(&[]).contains("`x` was not given"));
    // And it still works after all that.
    assert!(session.run(&[("x", &right)]).is_ok());
}

#[test]
fn what_is_not_a_model_is_refused_in_one_line() {
    if !runtime() {
        return;
    }
    for bytes in [&b""[..], b"not a model at all", &[0xff; 64]] {
        let e = Session::from_bytes(bytes, &SessionOptions::default()).unwrap_err();
        assert!(matches!(e, RuntimeError::Load(_)), "{e:?}");
        assert_eq!(e.to_string().lines().count(), 1);
    }
    let unknown = GraphBuilder::new(17)
        .input("x", DType::F32, &[1])
        .node("NoSuchOperator", &["x"], &["y"], vec![])
        .output("y", DType::F32, &[1])
        .model()
        .unwrap();
    let e = Session::from_model(&unknown, &SessionOptions::default()).unwrap_err();
    assert!(e.to_string().contains("NoSuchOperator"), "{e}");
}

#[test]
fn a_provider_that_is_not_there_is_an_error_and_not_the_cpu() {
    if !runtime() {
        return;
    }
    let model = identity(DType::F32, &[1]);
    for provider in Provider::ALL {
        let options = SessionOptions {
            provider,
            ..SessionOptions::default()
        };
        let made = Session::from_model(&model, &options);
        if provider.is_available().unwrap() {
            // Its hardware may still be missing; that must be said, not crash.
            made.map(drop)
                .unwrap_or_else(|e| println!("{provider}: {e}"));
        } else {
            let e = made.unwrap_err().to_string();
            assert!(
                e.contains(&format!("`{provider}`")) && e.contains("which has: cpu"),
                "{e}"
            );
        }
    }
}

#[test]
fn probing_a_shape_that_is_not_fixed_says_which_and_how_to_fix_it() {
    if !runtime() {
        return;
    }
    let name = |s: &str| DimensionValue::Param(s.to_owned());
    let model = GraphBuilder::new(17)
        .symbolic_input(
            "images",
            DType::F32,
            &[
                name("batch"),
                DimensionValue::Value(3),
                name("height"),
                name("width"),
            ],
        )
        .node("Relu", &["images"], &["y"], vec![])
        .untyped_output("y")
        .model()
        .unwrap();
    let options = SessionOptions::default();
    let e = probe(&model, &options).unwrap_err().to_string();
    for part in ["`images`", "(batch, height, width)", "images=1x3x416x416"] {
        assert!(e.contains(part), "{e}");
    }
    let fixed = model.with_input_shape("images", &[1, 3, 8, 8]).unwrap();
    assert_eq!(probe(&fixed, &options).unwrap().0["y"].shape, [1, 3, 8, 8]);
}

#[test]
fn probing_tells_data_dependent_shapes_from_stable_ones() {
    if !runtime() {
        return;
    }
    let model = GraphBuilder::new(17)
        .input("x", DType::F32, &[8, 8])
        .constant("threshold", &Tensor::new(vec![], vec![100f32]).unwrap())
        .node("Greater", &["x", "threshold"], &["mask"], vec![])
        .node("NonZero", &["mask"], &["places"], vec![])
        .node("Shape", &["x"], &["size"], vec![])
        .untyped_output("places")
        .untyped_output("size")
        .model()
        .unwrap();
    let facts = probe(&model, &SessionOptions::default()).unwrap();
    assert!(!facts.0["places"].stable);
    assert!(facts.0["mask"].stable);
    assert_eq!(facts.0["mask"].dtype, DType::Bool);
    assert_eq!(facts.0["mask"].value, None, "it depends on data");
    assert_eq!(
        facts.0["size"].value,
        Some(Tensor::new(vec![2], vec![8i64, 8]).unwrap())
    );
}

/// Megabytes of this process that no other has.
#[cfg(target_os = "linux")]
fn private_mb() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup
        .lines()
        .find_map(|l| l.strip_prefix("Private_Dirty:"));
    let kb = line.and_then(|l| l.split_whitespace().next()).unwrap();
    kb.parse::<u64>().unwrap() / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn sessions_that_run_one_after_another_take_memory_for_their_tensors_once() {
    if !runtime() {
        return;
    }
    const SIDE: usize = 2048;
    // Between its input and its output of a few kilobytes a tensor of 16 MB.
    let model = GraphBuilder::new(17)
        .input("row", DType::F32, &[1, SIDE])
        .weight("column", &[SIDE, 1], &[0.5; SIDE])
        .node("Mul", &["row", "column"], &["square"], vec![])
        .node("ReduceMax", &["square"], &["largest"], vec![])
        .output("largest", DType::F32, &[1, 1])
        .model()
        .unwrap();
    let row = random_tensor(DType::F32, &[1, SIDE], 1.0, 3);
    let before = private_mb();
    let sessions: Vec<_> = (0..16).map(|_| session(&model)).collect();
    for session in &sessions {
        session.run(&[("row", &row)]).unwrap();
    }
    let more = private_mb().saturating_sub(before);
    assert!(more < 16 * 16 / 3, "{more} MB");
}
