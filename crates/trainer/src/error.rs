// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Why training did not start, or stopped.

use splitinfer_grad::GradError;
use splitinfer_graph::GraphError;
use splitinfer_runtime::RuntimeError;

/// One line: what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    #[error(transparent)]
    Grad(#[from] GradError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("no weight of the model is called like '{pattern}'; its weights: {weights}")]
    NoSuchWeight { pattern: String, weights: String },
    #[error("'{tensor}' is no place to train from: {reason}")]
    NoSuchCut { tensor: String, reason: String },
    #[error("a sample has {got} {what}, but the model needs {expected}")]
    SampleCount {
        what: &'static str,
        expected: usize,
        got: usize,
    },
    #[error("{what} '{name}' of a sample is {got}, but must be {expected}")]
    SampleShape {
        what: &'static str,
        name: String,
        expected: String,
        got: String,
    },
    #[error("a step needs at least one sample, and at most {batch}; {got} were given")]
    BatchSize { batch: usize, got: usize },
    #[error(
        "the {what} is {value}: the learning rate is too high, or a sample holds values that are not numbers"
    )]
    Diverged { what: &'static str, value: f32 },
    #[error("'{text}' is no {what}; one is written {expected}")]
    Word {
        what: &'static str,
        text: String,
        expected: &'static str,
    },
    #[error("a tensor of shape {by:?} cannot weigh the elements of one of shape {shape:?}")]
    Weighing { by: Vec<usize>, shape: Vec<usize> },
    #[error("changes do not fit the model: {0}")]
    Delta(String),
    #[error("a state is not of this training: {0}")]
    State(String),
    #[error("there is nothing to train on: {0}")]
    NoSamples(String),
}
