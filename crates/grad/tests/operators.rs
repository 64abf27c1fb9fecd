// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Every rule against PyTorch's autograd, and against central differences of the ONNX model in double precision.

mod common;

use std::collections::BTreeSet;

use common::runtime;
use splitinfer_grad::differentiable_operators;
use splitinfer_grad_reference::fixture::{Fixture, load, operator_names};
use splitinfer_grad_reference::gradients::{Fusion, of_fixture};

/// Goal: the largest error of any gradient, relative to the largest element of its tensor.
const TOLERANCE: f64 = 1e-5;

/// What is wrong with one fixture's gradients.
fn check(fixture: &Fixture, fusion: Fusion) -> Vec<String> {
    let found = match of_fixture(fixture, fusion) {
        Ok(found) => found,
        Err(e) => return vec![format!("{}: {e}", fixture.name)],
    };
    let mut wrong = Vec::new();
    for reference in ["grad", "central"] {
        for (name, error) in fixture.errors(reference, &found) {
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
    let names = operator_names();
    assert!(names.len() > 200, "only {} fixtures", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        let fixture = load(name);
        wrong.extend(check(&fixture, Fusion::Allowed));
        wrong.extend(check(&fixture, Fusion::Off));
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
    let models = operator_names().into_iter().map(|n| load(&n).model);
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
