// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a training keeps in memory, before it is tried.

use splitinfer_grad::{Carried, StepPorts};
use splitinfer_graph::{Facts, Model};

use super::sharing::Sharing;

/// Bytes, by what they are for. An estimate from above: ONNX Runtime reuses what it no longer needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights that learn; as much again for those of the next step.
    pub parameters: u64,
    /// Their gradients, of each lane.
    pub gradients: u64,
    /// What the optimizer remembers; as much again for what it remembers next.
    pub optimizer: u64,
    /// What the layers of the trained part make of the runs that go on at a time; the way back needs most of it.
    pub activations: u64,
}

impl Memory {
    /// All of it at the same time.
    pub fn total(&self) -> u64 {
        2 * (self.parameters + self.optimizer + self.activations) + self.gradients
    }

    /// `trained`: the model for the examples of one run, with the facts of its tensors.
    pub(crate) fn of(step: &StepPorts, trained: &Model, facts: &Facts, sharing: &Sharing) -> Self {
        let bytes = |carried: &Carried| carried.initial.byte_len() as u64;
        let parameters: u64 = step.parameters.iter().map(|(_, c)| bytes(c)).sum();
        // Those of a lane's runs so far, and with those of its present run.
        let gradients = match sharing.is_whole() {
            true => 1,
            false => 2 * sharing.lanes as u64,
        };
        let made = trained
            .ordered_nodes()
            .filter(|n| n.op_type() != "Constant")
            .flat_map(|n| &n.output);
        let run: u64 = made
            .filter_map(|name| facts.get(name))
            .map(|f| f.byte_len())
            .sum();
        Self {
            parameters,
            gradients: gradients * parameters,
            optimizer: step.memories.iter().map(bytes).sum(),
            activations: run * sharing.lanes as u64,
        }
    }
}
