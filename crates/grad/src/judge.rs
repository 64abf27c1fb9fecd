// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The losses' part of a graph: inputs for targets and weights, values, and the gradients they start.

use crate::backward::backward;
use crate::error::GradError;
use crate::loss::{self, BOX, Count, Loss, Reduction};
use crate::training::{LossPorts, LossTerm};
use crate::value::Value;
use crate::writer::Writer;
use splitinfer_graph::Model;
use splitinfer_tensor::{DType, Tensor};

/// What the losses need and give.
pub(crate) struct Judged {
    pub targets: Vec<String>,
    pub weights: Vec<Option<String>>,
    pub totals: Vec<Option<String>>,
    pub terms: Vec<Value>,
    pub seeds: Vec<(String, Value)>,
}

impl Writer {
    /// Adds the losses of a whole batch, or of one of `shares` of the same size.
    ///
    /// # Errors
    /// When a tensor does not exist or is unfit, or a setting is out of range.
    pub fn losses(
        &mut self,
        terms: &[LossTerm],
        shares: Option<usize>,
    ) -> Result<Judged, GradError> {
        let mut judged = Judged {
            targets: vec![],
            weights: vec![],
            totals: vec![],
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
            let by_weight = term.weighted && term.reduction == Reduction::WeightedMean;
            let total = (by_weight && shares.is_some())
                .then(|| self.input(&format!("total/{}", term.tensor), &[], dtype));
            let count = Count {
                reduction: term.reduction,
                factor: term.factor,
                shares: shares.unwrap_or(1),
                total: total.as_ref(),
            };
            let (loss, gradient) = loss::emit(
                &mut self.emitter,
                term.loss,
                &prediction,
                &target,
                weights.as_ref(),
                &count,
            );
            judged.targets.push(target.name.to_string());
            judged.weights.push(weights.map(|w| w.name.to_string()));
            judged.totals.push(total.map(|t| t.name.to_string()));
            judged.terms.push(loss);
            judged.seeds.push((term.tensor.clone(), gradient));
        }
        Ok(judged)
    }

    /// The gradients of the losses by all parameters, their elements in a row.
    ///
    /// # Errors
    /// When an operator on the way has no rule, or a parameter is not reached.
    pub fn gradient(
        &mut self,
        parameters: &[(Value, Tensor)],
        judged: &mut Judged,
    ) -> Result<Value, GradError> {
        let seeds = std::mem::take(&mut judged.seeds);
        let wanted: Vec<String> = parameters.iter().map(|(v, _)| v.name.to_string()).collect();
        let found = backward(&mut self.forward, &mut self.emitter, &wanted, seeds)?;
        let unreached = |p: &String| GradError::Unreached(p.clone());
        let gradients = wanted
            .iter()
            .map(|p| found.get(p).cloned().ok_or_else(|| unreached(p)))
            .collect::<Result<Vec<Value>, GradError>>()?;
        Ok(self.joined(&gradients))
    }

    /// The sum of all losses and each by itself, as outputs of `model`'s graph.
    pub fn loss_ports(&mut self, model: &Model, judged: Judged, terms: &[LossTerm]) -> LossPorts {
        let e = &mut self.emitter;
        let loss = e
            .sum(&judged.terms)
            .unwrap_or_else(|| e.scalar(0.0, DType::F32));
        let loss = self.output(&loss, "loss");
        let values = judged.terms.iter().zip(terms);
        let terms =
            values.map(|(value, term)| self.output(value, &format!("loss/{}", term.tensor)));
        LossPorts {
            data: model.inputs().into_iter().map(|i| i.name).collect(),
            loss,
            terms: terms.collect(),
            targets: judged.targets,
            weights: judged.weights,
            totals: judged.totals,
        }
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
            Loss::Boxes { axis, first, .. }
                if value.shape.get(axis).is_none_or(|n| *n < first + BOX) =>
            {
                Err(unfit(format!(
                    "it has no {BOX} numbers from {first} on along axis {axis}; its shape is {:?}",
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
