// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a training keeps in memory, before it is tried.

use splitinfer_grad::TrainingGraph;
use splitinfer_graph::{Facts, Model};

/// Bytes, by what they are for. An estimate from above: ONNX Runtime reuses what it no longer needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights that learn; as much again for their gradients, and for the weights of the next step.
    pub parameters: u64,
    /// What the optimizer remembers.
    pub optimizer: u64,
    /// What the layers of the trained part make of one run; the way back needs most of it.
    pub activations: u64,
}

impl Memory {
    /// All of it at the same time.
    pub fn total(&self) -> u64 {
        3 * self.parameters + 2 * self.optimizer + 2 * self.activations
    }

    /// `trained`: the model whose steps `graph` makes, with the facts of its tensors.
    pub(crate) fn of(graph: &TrainingGraph, trained: &Model, facts: &Facts) -> Self {
        let parameters = graph.parameters.iter().map(|(_, c)| c);
        let bytes = |carried: &splitinfer_grad::Carried| carried.initial.byte_len() as u64;
        let made = trained
            .ordered_nodes()
            .filter(|n| n.op_type() != "Constant")
            .flat_map(|n| &n.output);
        Self {
            parameters: parameters.map(bytes).sum(),
            optimizer: graph.memories.iter().map(bytes).sum(),
            activations: made
                .filter_map(|name| facts.get(name))
                .map(|f| f.byte_len())
                .sum(),
        }
    }
}
