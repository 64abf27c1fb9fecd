// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Why a model cannot be trained.

use splitinfer_graph::GraphError;

/// One line: what stands in the way, where, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GradError {
    /// Operator `op` of node `node` lies between a trainable parameter and a loss, and has no rule.
    #[error(
        "node '{node}' ({op}) cannot be differentiated: {reason}; train only what comes after it, from tensor \
         '{output}' on, or attach the loss to a tensor before it"
    )]
    NoRule {
        node: String,
        op: String,
        output: String,
        reason: String,
    },
    #[error("the graph has no tensor '{0}'")]
    NoSuchTensor(String),
    #[error("'{name}' cannot be a parameter: {reason}")]
    NotAParameter { name: String, reason: String },
    #[error("no parameter to train: {0}")]
    NothingToTrain(String),
    #[error(
        "the loss does not depend on parameter '{0}'; attach a loss to a tensor after it, or do not train it"
    )]
    Unreached(String),
    #[error("a loss cannot be attached to '{tensor}': {reason}")]
    Loss { tensor: String, reason: String },
    #[error("{0}")]
    Setting(String),
    #[error(
        "the shape of tensor '{0}' is not known; fix the shapes of the model's inputs and probe it before"
    )]
    UnknownShape(String),
    #[error(
        "operator set {0} is too old to train with control flow (If, Loop); update the model to 17 with \
         onnx.version_converter"
    )]
    OldOpset(i64),
    #[error(transparent)]
    Graph(#[from] GraphError),
}
