// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Gradients as our graphs give them.

use anyhow::{Context, Result};
use splitinfer_grad::{GradError, gradient_graph, trainable_form};
use splitinfer_graph::{Facts, Model};
use splitinfer_runtime::{Session, probe_all};
use splitinfer_tensor::Tensor;

use crate::{Fixture, options};

/// Whether ONNX Runtime may fuse operators, as it does outside of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    Allowed,
    Off,
}

/// The gradients that a fixture has references for, by the name of the tensor; none for what no output depends on.
///
/// # Errors
/// When the model cannot be differentiated or run.
pub fn of_fixture(fixture: &Fixture, fusion: Fusion) -> Result<Vec<(String, Tensor)>> {
    let mut model = trainable_form(&fixture.model)?;
    for (name, tensor) in fixture.kind("in") {
        if tensor.shape().iter().all(|d| *d > 0) {
            model = model.with_input_shape(name, tensor.shape())?;
        }
    }
    let given: Vec<(&str, &Tensor)> = fixture.kind("in").collect();
    let facts = probe_all(&model, &given, &options(1))?;
    let seeds: Vec<(&str, &Tensor)> = fixture.kind("seed").collect();
    let wanted: Vec<String> = fixture.kind("grad").map(|(n, _)| n.to_owned()).collect();
    of_model(&model, &facts, &given, &seeds, &wanted, fusion)
}

/// dL/d`wanted` for L = Σ seed · tensor, by the name of the tensor.
///
/// # Errors
/// As [`of_fixture`].
pub fn of_model(
    model: &Model,
    facts: &Facts,
    inputs: &[(&str, &Tensor)],
    seeds: &[(&str, &Tensor)],
    wanted: &[String],
    fusion: Fusion,
) -> Result<Vec<(String, Tensor)>> {
    let outputs: Vec<String> = seeds.iter().map(|(n, _)| (*n).to_owned()).collect();
    let graph = match gradient_graph(model, facts, &outputs, wanted) {
        // The gradient of a rounding is zero everywhere.
        Err(GradError::Unreached(_)) => return Ok(vec![]),
        graph => graph?,
    };
    let session = match fusion {
        Fusion::Allowed => Session::from_model(&graph, &options(1)),
        Fusion::Off => Session::unoptimised(&graph, &options(1)),
    }?;
    let names: Vec<String> = seeds.iter().map(|(n, _)| format!("seed/{n}")).collect();
    let seeds = names
        .iter()
        .map(String::as_str)
        .zip(seeds.iter().map(|(_, t)| *t));
    let needed = |name: &str| session.inputs().iter().any(|p| p.name == name);
    let fed: Vec<(&str, &Tensor)> = inputs
        .iter()
        .copied()
        .chain(seeds)
        .filter(|(n, _)| needed(n))
        .collect();
    let named = |(name, tensor): (String, Tensor)| {
        let of = name
            .strip_prefix("gradient/")
            .context("an output is no gradient")?;
        Ok((of.to_owned(), tensor))
    };
    session.run(&fed)?.into_iter().map(named).collect()
}
