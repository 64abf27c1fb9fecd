// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From samples to what graphs are fed, and from their outputs to losses.

use splitinfer_grad::{GradError, LossPorts, Spec};
use splitinfer_graph::Facts;
use splitinfer_runtime::{Given, Held};
use splitinfer_tensor::{DType, Data, Tensor};

use crate::error::TrainError;
use crate::sample::{Sample, Slot};

/// What a training graph, or the losses alone, are fed of samples.
pub(crate) struct Feed {
    /// Inputs of a sample, by the names of the graph's inputs for them.
    pub inputs: Vec<Slot>,
    /// Targets of a sample.
    pub targets: Vec<Slot>,
    /// Of each target: the graph's input for it.
    pub target_inputs: Vec<String>,
    /// Of each target: the graph's input for the weights of its elements, if it has one.
    pub weight_inputs: Vec<Option<String>>,
    /// Of each target: the input for the sum of the whole batch's weights, if it has one.
    pub total_inputs: Vec<Option<String>>,
}

/// What one run is fed.
pub(crate) struct Run(Vec<(String, Held)>);

impl Run {
    pub fn given(&self) -> impl Iterator<Item = (&str, Given<'_>)> {
        self.0
            .iter()
            .map(|(name, held)| (name.as_str(), held.into()))
    }

    pub fn held(&self) -> impl Iterator<Item = (&str, &Held)> {
        self.0.iter().map(|(name, held)| (name.as_str(), held))
    }
}

impl Feed {
    /// `facts`: of the model for one example.
    ///
    /// # Errors
    /// When one of its tensors is not among them.
    pub fn new(facts: &Facts, ports: &LossPorts, spec: &Spec) -> Result<Self, TrainError> {
        let slots = |names: &mut dyn Iterator<Item = &String>| {
            let slots = names.map(|n| slot(facts, n));
            slots.collect::<Result<Vec<Slot>, _>>()
        };
        Ok(Self {
            inputs: slots(&mut ports.data.iter())?,
            targets: slots(&mut spec.losses.iter().map(|l| &l.tensor))?,
            target_inputs: ports.targets.clone(),
            weight_inputs: ports.weights.clone(),
            total_inputs: ports.totals.clone(),
        })
    }

    /// A batch in runs of so many `examples`.
    ///
    /// # Errors
    /// When a sample does not fit.
    pub fn runs(&self, batch: &[&Sample], examples: usize) -> Result<Vec<Run>, TrainError> {
        let run = |samples: &[&Sample]| {
            let mut feeds = self.data(samples)?;
            feeds.extend(self.totals(batch));
            let held = feeds
                .into_iter()
                .map(|(name, tensor)| Ok((name.to_owned(), Held::new(tensor)?)));
            held.collect::<Result<_, TrainError>>().map(Run)
        };
        batch.chunks(examples).map(run).collect()
    }

    /// Inputs, targets and weights of samples, stacked.
    ///
    /// # Errors
    /// When a sample does not fit.
    pub fn data<'a>(&'a self, samples: &[&Sample]) -> Result<Vec<(&'a str, Tensor)>, TrainError> {
        for sample in samples {
            self.check_counts(sample)?;
        }
        let mut feeds = Vec::new();
        for (i, slot) in self.inputs.iter().enumerate() {
            let column: Vec<&Tensor> = samples.iter().map(|s| &s.inputs[i]).collect();
            feeds.push((slot.name.as_str(), slot.stack("input", &column)?));
        }
        for (i, slot) in self.targets.iter().enumerate() {
            let column: Vec<&Tensor> = samples.iter().map(|s| &s.targets[i]).collect();
            feeds.push((
                self.target_inputs[i].as_str(),
                slot.stack("target", &column)?,
            ));
            let Some(name) = &self.weight_inputs[i] else {
                continue;
            };
            let ones = filled(1.0, &slot.shape, slot.dtype);
            let column: Vec<&Tensor> = samples
                .iter()
                .map(|s| s.weights[i].as_ref().unwrap_or(&ones))
                .collect();
            feeds.push((name, slot.stack("weights", &column)?));
        }
        Ok(feeds)
    }

    fn check_counts(&self, sample: &Sample) -> Result<(), TrainError> {
        let targets = self.targets.len();
        let counts = [
            ("inputs", self.inputs.len(), sample.inputs.len()),
            ("targets", targets, sample.targets.len()),
            ("weights (or their absence)", targets, sample.weights.len()),
        ];
        match counts.into_iter().find(|(_, e, g)| e != g) {
            None => Ok(()),
            Some((what, expected, got)) => Err(TrainError::SampleCount {
                what,
                expected,
                got,
            }),
        }
    }

    /// The sums of a batch's weights.
    fn totals<'a>(&'a self, batch: &[&Sample]) -> impl Iterator<Item = (&'a str, Tensor)> {
        let named = self.total_inputs.iter().zip(&self.targets).enumerate();
        named.filter_map(move |(i, (name, slot))| {
            let all: usize = slot.shape.iter().product();
            let of_sample = |s: &&Sample| match &s.weights[i] {
                Some(weights) => sum(weights),
                None => all as f64,
            };
            let total = batch.iter().map(of_sample).sum();
            Some((name.as_deref()?, filled(total, &[], slot.dtype)))
        })
    }
}

fn slot(facts: &Facts, name: &str) -> Result<Slot, TrainError> {
    let fact = facts.get(name);
    let fact = fact.ok_or_else(|| GradError::UnknownShape(name.to_owned()))?;
    Ok(Slot {
        name: name.to_owned(),
        dtype: fact.dtype,
        shape: fact.shape.clone(),
    })
}

/// The outputs that tell losses.
pub(crate) struct Losses {
    /// The sum of all, and each.
    names: Vec<String>,
}

impl Losses {
    pub fn new(ports: &LossPorts) -> Self {
        let names = std::iter::once(&ports.loss).chain(&ports.terms);
        Self {
            names: names.cloned().collect(),
        }
    }

    /// The sum, and each loss.
    pub fn of(&self, outputs: &[(String, Tensor)]) -> Vec<f32> {
        self.names.iter().map(|n| number(n, outputs)).collect()
    }

    /// # Errors
    /// When one cannot be read.
    pub fn of_held(&self, outputs: &[(String, Held)]) -> Result<Vec<f32>, TrainError> {
        let named = outputs.iter().filter(|(n, _)| self.names.contains(n));
        let tensors = named.map(|(n, held)| Ok((n.clone(), held.tensor(n)?)));
        Ok(self.of(&tensors.collect::<Result<Vec<_>, TrainError>>()?))
    }
}

/// The first number of an output.
pub(crate) fn number(name: &str, outputs: &[(String, Tensor)]) -> f32 {
    let found = outputs.iter().find(|(n, _)| n == name);
    let first = found.and_then(|(_, t)| t.to_f32_vec().first().copied());
    first.unwrap_or(f32::NAN)
}

/// Floats of one value.
pub(crate) fn filled(value: f64, shape: &[usize], dtype: DType) -> Tensor {
    let count = shape.iter().product();
    let data = match dtype {
        DType::F64 => Data::F64(vec![value; count]),
        _ => Data::F32(vec![value as f32; count]),
    };
    Tensor::from_data(shape.to_vec(), data).unwrap_or_else(|e| unreachable!("{e}"))
}

fn sum(tensor: &Tensor) -> f64 {
    match tensor.data() {
        Data::F64(v) => v.iter().sum(),
        Data::F32(v) => v.iter().map(|x| f64::from(*x)).sum(),
        _ => tensor.to_f32_vec().iter().map(|x| f64::from(*x)).sum(),
    }
}
