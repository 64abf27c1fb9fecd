// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model as what runs once a sample and what is trained.

use splitinfer_grad::LossTerm;
use splitinfer_graph::{Facts, Model};
use splitinfer_runtime::{Session, SessionOptions};

use crate::error::TrainError;
use crate::selection::Trainable;

/// The part below the cut as a session, and the part that learns: up to the tensors that losses judge.
pub(crate) fn divide(
    model: &Model,
    facts: &Facts,
    trainable: &Trainable,
    losses: &[LossTerm],
    options: &SessionOptions,
) -> Result<(Option<Session>, Model), TrainError> {
    let mut judged: Vec<String> = losses.iter().map(|l| l.tensor.clone()).collect();
    judged.sort();
    judged.dedup();
    let inputs: Vec<String> = model.inputs().into_iter().map(|i| i.name).collect();
    let Some(cut) = trainable.cut(model, facts)? else {
        return Ok((None, model.part(facts, &inputs, &judged)?));
    };
    let crossing: Vec<String> = cut.tensors.iter().map(|t| t.name.clone()).collect();
    let head = Session::from_model(&model.part(facts, &inputs, &crossing)?, options)?;
    let tail = model
        .part(facts, &crossing, &judged)
        .map_err(|e| TrainError::NoSuchCut {
            tensor: cut.name,
            reason: format!("what the losses judge does not follow from it alone ({e})"),
        })?;
    Ok((Some(head), tail))
}
