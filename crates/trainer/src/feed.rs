// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From samples to what a training graph is fed, and from its outputs to a report.

use splitinfer_grad::TrainingGraph;
use splitinfer_tensor::{DType, Data, Tensor};

use crate::error::TrainError;
use crate::sample::{Sample, Slot};

/// What a step told.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Before the step: the sum of all losses times their factors.
    pub loss: f32,
    /// Each loss.
    pub terms: Vec<f32>,
    /// Euclidean norm of all gradients before clipping.
    pub gradient_norm: f32,
}

/// A training graph and the form of the samples that it is fed.
pub(crate) struct Feed {
    pub graph: TrainingGraph,
    /// Inputs of a sample.
    pub inputs: Vec<Slot>,
    /// Targets of a sample.
    pub targets: Vec<Slot>,
}

impl Feed {
    /// What a run that trains is fed: `samples` of a batch that takes so many `runs`, of which this may be the last.
    ///
    /// # Errors
    /// When a sample does not fit.
    pub fn training<'a>(
        &'a self,
        samples: &[&Sample],
        rate: f64,
        runs: usize,
        last: bool,
    ) -> Result<Vec<(&'a str, Tensor)>, TrainError> {
        let mut feeds = self.data(samples)?;
        feeds.push((&self.graph.learning_rate, scalar(rate as f32)));
        if let Some(gate) = &self.graph.accumulation {
            feeds.push((&gate.share, scalar(1.0 / runs as f32)));
            let apply = Tensor::from_data(vec![], Data::Bool(vec![u8::from(last)]));
            feeds.push((&gate.apply, apply.unwrap_or_else(|e| unreachable!("{e}"))));
        }
        Ok(feeds)
    }

    /// Inputs, targets and weights of samples, stacked.
    ///
    /// # Errors
    /// When a sample does not fit.
    pub fn data<'a>(&'a self, samples: &[&Sample]) -> Result<Vec<(&'a str, Tensor)>, TrainError> {
        for sample in samples {
            let counts = [
                ("inputs", self.inputs.len(), sample.inputs.len()),
                ("targets", self.targets.len(), sample.targets.len()),
                (
                    "weights (or their absence)",
                    self.targets.len(),
                    sample.weights.len(),
                ),
            ];
            if let Some((what, expected, got)) = counts.into_iter().find(|(_, e, g)| e != g) {
                return Err(TrainError::SampleCount {
                    what,
                    expected,
                    got,
                });
            }
        }
        let mut feeds = Vec::new();
        for (i, slot) in self.inputs.iter().enumerate() {
            let column: Vec<&Tensor> = samples.iter().map(|s| &s.inputs[i]).collect();
            feeds.push((slot.name.as_str(), slot.stack("input", &column)?));
        }
        for (i, slot) in self.targets.iter().enumerate() {
            let column: Vec<&Tensor> = samples.iter().map(|s| &s.targets[i]).collect();
            feeds.push((
                self.graph.targets[i].as_str(),
                slot.stack("target", &column)?,
            ));
            let Some(name) = &self.graph.weights[i] else {
                continue;
            };
            let ones = ones(slot);
            let column: Vec<&Tensor> = samples
                .iter()
                .map(|s| s.weights[i].as_ref().unwrap_or(&ones))
                .collect();
            feeds.push((name, slot.stack("weights", &column)?));
        }
        Ok(feeds)
    }

    /// What a run gave, counted as a share of its batch.
    pub fn report(&self, outputs: &[(String, Tensor)], share: f32) -> StepReport {
        let value = |name: &str| {
            let found = outputs.iter().find(|(n, _)| n == name);
            found
                .and_then(|(_, t)| t.to_f32_vec().first().copied())
                .unwrap_or(f32::NAN)
        };
        StepReport {
            loss: share * value(&self.graph.loss),
            terms: self.graph.terms.iter().map(|t| share * value(t)).collect(),
            // Of the sum so far: that of the last run counts.
            gradient_norm: value(&self.graph.gradient_norm),
        }
    }
}

impl Default for StepReport {
    fn default() -> Self {
        Self {
            loss: f32::NAN,
            terms: vec![],
            gradient_norm: f32::NAN,
        }
    }
}

impl StepReport {
    /// Both parts of a batch together.
    pub fn plus(&self, next: &Self) -> Self {
        let terms = self.terms.iter().zip(&next.terms);
        Self {
            loss: self.loss + next.loss,
            terms: terms.map(|(a, b)| a + b).collect(),
            gradient_norm: next.gradient_norm,
        }
    }
}

fn scalar(value: f32) -> Tensor {
    Tensor::new(vec![], vec![value]).unwrap_or_else(|e| unreachable!("{e}"))
}

fn ones(slot: &Slot) -> Tensor {
    let count = slot.shape.iter().product();
    let data = match slot.dtype {
        DType::F64 => Data::F64(vec![1.0; count]),
        _ => Data::F32(vec![1.0; count]),
    };
    Tensor::from_data(slot.shape.clone(), data).unwrap_or_else(|e| unreachable!("{e}"))
}
