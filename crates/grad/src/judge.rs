// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The losses' part of a graph: inputs for targets and weights, values, and the gradients they start.

use crate::error::GradError;
use crate::loss::{self, Loss};
use crate::training::LossTerm;
use crate::value::Value;
use crate::writer::Writer;
use splitinfer_tensor::DType;

/// What the losses need and give.
pub(crate) struct Judged {
    pub targets: Vec<String>,
    pub weights: Vec<Option<String>>,
    pub terms: Vec<Value>,
    pub seeds: Vec<(String, Value)>,
}

impl Writer {
    /// Adds the losses.
    ///
    /// # Errors
    /// When a tensor does not exist or is unfit, or a setting is out of range.
    pub fn losses(&mut self, terms: &[LossTerm]) -> Result<Judged, GradError> {
        let mut judged = Judged {
            targets: vec![],
            weights: vec![],
            terms: vec![],
            seeds: vec![],
        };
        if terms.is_empty() {
            return Err(GradError::Setting("there is no loss to train on".into()));
        }
        for term in terms {
            let prediction = self.judged(term)?;
            let (shape, dtype) = (prediction.shape.clone(), prediction.dtype);
            let target = self.input(&format!("target/{}", term.tensor), &shape, dtype);
            let weights = term
                .weighted
                .then(|| self.input(&format!("weights/{}", term.tensor), &shape, dtype));
            let (loss, gradient) = loss::emit(
                &mut self.emitter,
                term.loss,
                &prediction,
                &target,
                weights.as_ref(),
                term.reduction,
                term.factor,
            );
            judged.targets.push(target.name.to_string());
            judged.weights.push(weights.map(|w| w.name.to_string()));
            judged.terms.push(loss);
            judged.seeds.push((term.tensor.clone(), gradient));
        }
        Ok(judged)
    }

    /// The sum of all losses and each by itself, as outputs.
    pub fn loss_outputs(&mut self, judged: &Judged, terms: &[LossTerm]) -> (String, Vec<String>) {
        let e = &mut self.emitter;
        let loss = e
            .sum(&judged.terms)
            .unwrap_or_else(|| e.scalar(0.0, DType::F32));
        let loss = self.output(&loss, "loss");
        let values = judged.terms.iter().zip(terms);
        let terms =
            values.map(|(value, term)| self.output(value, &format!("loss/{}", term.tensor)));
        (loss, terms.collect())
    }

    /// The tensor that a loss judges.
    fn judged(&self, term: &LossTerm) -> Result<Value, GradError> {
        let unfit = |reason: String| GradError::Loss {
            tensor: term.tensor.clone(),
            reason,
        };
        let made = |o: &String| *o == term.tensor;
        if !self.forward.nodes.iter().any(|n| n.output.iter().any(made)) {
            return Err(GradError::NoSuchTensor(term.tensor.clone()));
        }
        let value = self.forward.value(&term.tensor)?;
        if !value.dtype.is_float() {
            return Err(unfit(format!("it is of type {}", value.dtype)));
        }
        match term.loss {
            Loss::CrossEntropy { axis } | Loss::KullbackLeibler { axis }
                if axis >= value.rank() =>
            {
                Err(unfit(format!(
                    "it has no axis {axis}; its shape is {:?}",
                    value.shape
                )))
            }
            Loss::Huber { delta } if delta.is_nan() || delta <= 0.0 => Err(unfit(format!(
                "the delta of Huber's loss must be above 0, not {delta}"
            ))),
            _ => Ok(value.clone()),
        }
    }
}
