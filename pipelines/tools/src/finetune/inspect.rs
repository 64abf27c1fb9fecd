// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What would be trained.

use super::Request;
use super::plan::Plan;
use splitinfer_trainer::{Memory, Sharing, Trainer};
use std::collections::BTreeMap;
use std::fmt;

/// What `--inspect` tells.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Of the model.
    pub operators: Vec<(String, usize)>,
    /// Values in the model's weights.
    pub parameters: u64,
    pub losses: Vec<String>,
    /// Names and shapes of the weights that learn.
    pub trained: Vec<(String, Vec<usize>)>,
    /// Nodes of the graphs that make a step.
    pub step_nodes: usize,
    pub batch: usize,
    /// How a batch is shared out; `None` where there is no step.
    pub sharing: Option<Sharing>,
    pub memory: Memory,
    /// Why it cannot be trained like this.
    pub obstacle: Option<String>,
}

impl Inspection {
    pub(super) fn new(request: &Request, plan: &Plan, trainer: &anyhow::Result<Trainer>) -> Self {
        let mut operators: BTreeMap<String, usize> = BTreeMap::new();
        for node in plan.student.model.ordered_nodes() {
            *operators.entry(node.op_type().to_owned()).or_default() += 1;
        }
        let mut operators: Vec<_> = operators.into_iter().collect();
        operators.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let made = trainer.as_ref().ok();
        let trained = made.map(|t| {
            let names = t.parameters().map(str::to_owned);
            names
                .zip(t.parameter_shapes().map(<[usize]>::to_vec))
                .collect()
        });
        Self {
            operators,
            parameters: plan.student.model.parameters(),
            losses: plan.goals.words(),
            trained: trained.unwrap_or_default(),
            step_nodes: made.map_or(0, |t| {
                let nodes = t.graphs().iter().map(|g| g.ordered_nodes().count());
                nodes.sum()
            }),
            batch: request.trainer.batch,
            sharing: made.map(Trainer::sharing),
            memory: made.map(Trainer::memory).unwrap_or_default(),
            obstacle: trainer.as_ref().err().map(|e| format!("{e:#}")),
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operators: Vec<String> = self
            .operators
            .iter()
            .map(|(op, n)| format!("{n} {op}"))
            .collect();
        writeln!(
            f,
            "model: {} parameters; {}",
            self.parameters,
            operators.join(", ")
        )?;
        for loss in &self.losses {
            writeln!(f, "loss: {loss}")?;
        }
        if let Some(obstacle) = &self.obstacle {
            return write!(f, "it cannot be trained like this: {obstacle}");
        }
        let values: usize = self
            .trained
            .iter()
            .map(|(_, s)| s.iter().product::<usize>())
            .sum();
        let runs = self.sharing.map(|s| s.to_string()).unwrap_or_default();
        writeln!(f, "operators without a rule on the way: none")?;
        writeln!(
            f,
            "a step: {} nodes, batch of {} {runs}",
            self.step_nodes, self.batch
        )?;
        writeln!(
            f,
            "memory: at most about {} (weights {}, optimizer {}, activations {} at a time)",
            bytes(self.memory.total()),
            bytes(self.memory.parameters),
            bytes(self.memory.optimizer),
            bytes(self.memory.activations)
        )?;
        write!(
            f,
            "trained: {values} parameters in {} weights",
            self.trained.len()
        )?;
        for (name, shape) in &self.trained {
            write!(f, "\n  {name} {shape:?}")?;
        }
        Ok(())
    }
}

/// With three digits.
pub(super) fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        c if c >= 1e9 => format!("{:.2} GB", c / 1e9),
        c if c >= 1e6 => format!("{:.1} MB", c / 1e6),
        c => format!("{:.1} kB", c / 1e3),
    }
}
