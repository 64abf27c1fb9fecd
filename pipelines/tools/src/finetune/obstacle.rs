// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An operator through which no gradient passes, and from where on training gets around it.

use anyhow::{Error, anyhow};
use splitinfer_grad::differentiable_operators;
use splitinfer_graph::{Cut, Model};
use splitinfer_runtime::{SessionOptions, probe};
use splitinfer_trainer::{GradError, LossTerm, TrainError};
use std::collections::HashSet;

/// Why a trainer could not be made, with what to do on the command line.
pub(super) fn explained(
    error: TrainError,
    model: &Model,
    losses: &[LossTerm],
    options: &SessionOptions,
) -> Error {
    let TrainError::Grad(GradError::NoRule {
        node, op, reason, ..
    }) = &error
    else {
        return error.into();
    };
    let what = format!("node '{node}' ({op}) cannot be differentiated: {reason}");
    match first_free(model, losses, options) {
        Some(cut) => anyhow!("{what}; freeze it and what is before it: --trainable 'after:{cut}'"),
        None => anyhow!(
            "{what}; there is no place behind it from which the losses follow by operators that can be \
             differentiated: attach a loss to a tensor before it (--loss TENSOR=…)"
        ),
    }
}

/// The first cut behind which every operator can be differentiated and something learns.
fn first_free(model: &Model, losses: &[LossTerm], options: &SessionOptions) -> Option<String> {
    let facts = probe(model, options).ok()?;
    let known: HashSet<&str> = differentiable_operators().chain(["Constant"]).collect();
    let judged: Vec<String> = {
        let mut names: Vec<String> = losses.iter().map(|l| l.tensor.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let tail = |cut: &Cut| {
        let crossing: Vec<String> = cut.tensors.iter().map(|t| t.name.clone()).collect();
        model.part(&facts, &crossing, &judged).ok()
    };
    let free = |cut: &&Cut| {
        tail(cut).is_some_and(|tail| {
            tail.ordered_nodes().all(|n| known.contains(n.op_type()))
                && !splitinfer_grad::parameters(&tail).is_empty()
        })
    };
    let cuts = model.cuts(&facts);
    cuts.iter().find(free).map(|c| c.name.clone())
}
