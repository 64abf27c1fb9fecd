// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An operator through which no gradient passes, and from where on training gets around it.

use anyhow::{Error, anyhow};
use splitinfer_grad::{differentiable_operators, parameters};
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
    let TrainError::Grad(grad) = &error else {
        return error.into();
    };
    let known: HashSet<&str> = differentiable_operators().chain(["Constant"]).collect();
    let (what, cut) = match grad {
        GradError::NoRule {
            node, op, reason, ..
        } => (
            format!("node '{node}' ({op}) cannot be differentiated: {reason}"),
            first_cut(model, losses, options, |tail| {
                tail.ordered_nodes().all(|n| known.contains(n.op_type()))
            }),
        ),
        // An operator that gives steps, such as ArgMax, lets no gradient through.
        GradError::Unreached(weight) => (
            format!("no gradient reaches '{weight}'"),
            first_cut(model, losses, options, |tail| {
                parameters(tail).iter().all(|p| p.name != *weight)
            }),
        ),
        _ => return error.into(),
    };
    match cut {
        Some(cut) => anyhow!("{what}; freeze it and what is before it: --trainable 'after:{cut}'"),
        None => anyhow!(
            "{what}; there is no place behind it from which the losses follow by operators that can be \
             differentiated: attach a loss to a tensor before it (--loss TENSOR=…)"
        ),
    }
}

/// The first cut whose tail is `good` and has something to learn.
fn first_cut(
    model: &Model,
    losses: &[LossTerm],
    options: &SessionOptions,
    good: impl Fn(&Model) -> bool,
) -> Option<String> {
    let facts = probe(model, options).ok()?;
    let mut judged: Vec<String> = losses.iter().map(|l| l.tensor.clone()).collect();
    judged.sort();
    judged.dedup();
    let tail = |cut: &Cut| {
        let crossing: Vec<String> = cut.tensors.iter().map(|t| t.name.clone()).collect();
        model.part(&facts, &crossing, &judged).ok()
    };
    let fits = |cut: &&Cut| tail(cut).is_some_and(|t| good(&t) && !parameters(&t).is_empty());
    let cuts = model.cuts(&facts);
    cuts.iter().find(fits).map(|cut| shortest_name(cut, &cuts))
}

/// The cut's name, or a tensor of it that no cut before it has: names of many tensors are long.
fn shortest_name(cut: &Cut, cuts: &[Cut]) -> String {
    let first_with = |tensor: &str| {
        let through = |c: &&Cut| c.tensors.iter().any(|t| t.name == tensor);
        let named = cuts.iter().find(|c| c.name == tensor);
        named.or_else(|| cuts.iter().find(through))
    };
    let alone = |tensor: &&String| first_with(tensor).is_some_and(|c| c.name == cut.name);
    let tensors = cut.tensors.iter().map(|t| &t.name);
    let shortest = tensors.filter(alone).min_by_key(|t| t.len());
    shortest.unwrap_or(&cut.name).clone()
}
