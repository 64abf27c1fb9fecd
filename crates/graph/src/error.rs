// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What can be wrong with a model.

/// One clear line: which model, and what is wrong with it.
///
/// `subject` is the path the model was loaded from, or "the model" when it came as bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} {problem}")]
pub struct GraphError {
    pub subject: String,
    pub problem: Problem,
}

/// The predicate of a [`GraphError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is not an ONNX model: {0}")]
    NotOnnx(String),
    #[error("is not supported: {0}")]
    Unsupported(String),
    #[error("is not a valid ONNX graph: {0}")]
    Invalid(String),
    #[error("keeps the data of tensor '{tensor}' in another file, {reason}")]
    ExternalData { tensor: String, reason: String },
    #[error("has no tensor named '{0}'")]
    NoSuchTensor(String),
    #[error("has no input named '{name}'; its inputs: {inputs}")]
    NoSuchInput { name: String, inputs: String },
    #[error("cannot take shape {shape:?} at input '{name}': {reason}")]
    InputShape {
        name: String,
        shape: Vec<usize>,
        reason: String,
    },
    #[error("cannot be cut at {tensors}: {reason}")]
    NotACut { tensors: String, reason: String },
    #[error("has no part from {inputs} to {outputs}: {reason}")]
    NoSuchPart {
        inputs: String,
        outputs: String,
        reason: String,
    },
    #[error("cannot compute several frames at once: {0}")]
    NotBatchable(String),
}

impl Problem {
    pub(crate) fn of(self, subject: &str) -> GraphError {
        GraphError {
            subject: subject.to_owned(),
            problem: self,
        }
    }
}
