// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Every rule against PyTorch's autograd, and against central differences of the ONNX model in double precision.

mod common;

use std::collections::BTreeSet;

use common::{Fixture, load, names, relative_error, runtime, size};
use splitinfer_grad::{GradError, differentiable_operators, gradient_graph, trainable_form};
use splitinfer_runtime::{Session, SessionOptions, probe_all};
use splitinfer_tensor::Tensor;

/// Goal: the largest error of any gradient, relative to the largest element of its tensor.
const TOLERANCE: f64 = 1e-5;

/// Fixtures that are not about one operator.
fn is_operator(name: &str) -> bool {
    !name.starts_with("train_") && !name.starts_with("loss_")
}

/// The gradients that a fixture has references for, as our graph gives them. `optimised`: whether ONNX Runtime
/// may fuse operators, as it does outside of tests.
fn gradients(fixture: &Fixture, optimised: bool) -> Result<Vec<(String, Tensor)>, GradError> {
    let options = SessionOptions {
        threads: 1,
        ..Default::default()
    };
    let mut model = trainable_form(&fixture.model)?;
    for (name, tensor) in fixture.kind("in") {
        if tensor.shape().iter().all(|d| *d > 0) {
            model = model.with_input_shape(name, tensor.shape())?;
        }
    }
    let given: Vec<(&str, &Tensor)> = fixture.kind("in").collect();
    let facts =
        probe_all(&model, &given, &options).unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
    let outputs: Vec<String> = fixture.kind("seed").map(|(n, _)| n.to_owned()).collect();
    let wanted: Vec<String> = fixture.kind("grad").map(|(n, _)| n.to_owned()).collect();
    let graph = match gradient_graph(&model, &facts, &outputs, &wanted) {
        // The gradient of a rounding is zero everywhere.
        Err(GradError::Unreached(_)) => return Ok(vec![]),
        graph => graph?,
    };
    let session = match optimised {
        true => Session::from_model(&graph, &options),
        false => Session::unoptimised(&graph, &options),
    };
    let session = session.unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
    let seeds = fixture.kind("seed").map(|(n, t)| (format!("seed/{n}"), t));
    let inputs = fixture.kind("in").map(|(n, t)| (n.to_owned(), t));
    let all: Vec<(String, &Tensor)> = inputs.chain(seeds).collect();
    let needed = |name: &str| session.inputs().iter().any(|p| p.name == name);
    let fed: Vec<(&str, &Tensor)> = all
        .iter()
        .filter(|(n, _)| needed(n))
        .map(|(n, t)| (n.as_str(), *t))
        .collect();
    Ok(session
        .run(&fed)
        .unwrap_or_else(|e| panic!("{}: {e}", fixture.name)))
}

/// What is wrong with one fixture's gradients.
fn check(fixture: &Fixture, optimised: bool) -> Vec<String> {
    let found = match gradients(fixture, optimised) {
        Ok(found) => found,
        Err(e) => return vec![format!("{}: {e}", fixture.name)],
    };
    let beside = fixture.kind("grad").chain(fixture.kind("seed"));
    let scale = beside.map(|(_, t)| size(t)).fold(0.0, f64::max);
    let mut wrong = Vec::new();
    for reference in ["grad", "central"] {
        for (name, expected) in fixture.kind(reference) {
            let got = found
                .iter()
                .find(|(n, _)| n.strip_prefix("gradient/") == Some(name));
            // No gradient means zero.
            let zero =
                || Tensor::new(expected.shape().to_vec(), vec![0f32; expected.len()]).unwrap();
            let got = got.map_or_else(zero, |(_, got)| got.clone());
            let error = relative_error(expected, &got, scale);
            if error > TOLERANCE {
                wrong.push(format!(
                    "{}: {reference} of {name}: error {error:.1e}",
                    fixture.name
                ));
            }
        }
    }
    wrong
}

#[test]
fn gradients_agree_with_pytorch_and_central_differences() {
    if !runtime() {
        return;
    }
    let names: Vec<String> = names("").into_iter().filter(|n| is_operator(n)).collect();
    assert!(names.len() > 200, "only {} fixtures", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        let fixture = load(name);
        wrong.extend(check(&fixture, true));
        wrong.extend(check(&fixture, false));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        names.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_rule_has_a_fixture() {
    let names = names("");
    let models = names
        .iter()
        .filter(|n| is_operator(n))
        .map(|n| load(n).model);
    let used: BTreeSet<String> = models
        .flat_map(|m| {
            m.ordered_nodes()
                .map(|n| n.op_type().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let missing: Vec<&str> = differentiable_operators()
        .filter(|op| !used.contains(*op))
        .collect();
    assert!(missing.is_empty(), "no fixture uses {missing:?}");
}
