// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model and the graph that trains it: steps on batches, losses without a step, new weights.

use std::collections::HashMap;

use half::f16;
use splitinfer_grad::{LossTerm, Optimizer, Spec, loss_graph, parameters, trainable_form};
use splitinfer_graph::proto::TensorProto;
use splitinfer_graph::{Model, read_constant};
use splitinfer_runtime::{Session, SessionOptions, probe, probe_all};
use splitinfer_tensor::{DType, Data, Tensor};

use crate::delta::Delta;
use crate::division::divide;
use crate::error::TrainError;
use crate::floor::floor;
use crate::sample::Sample;
use crate::selection::Trainable;
use crate::state::State;
use crate::step::{Losses, Memory, Sharing, StepReport, Stepper};

/// How a model is trained.
#[derive(Clone, Debug)]
pub struct TrainerSettings {
    pub optimizer: Optimizer,
    /// Largest norm of all gradients together.
    pub clip_norm: Option<f64>,
    /// Samples a step.
    pub batch: usize,
    pub session: SessionOptions,
}

impl Default for TrainerSettings {
    /// AdamW on batches of 8.
    fn default() -> Self {
        Self {
            optimizer: Optimizer::adamw(0.0),
            clip_norm: Some(10.0),
            batch: 8,
            session: SessionOptions::default(),
        }
    }
}

/// Trains one model.
pub struct Trainer {
    model: Model,
    /// Below the cut that training starts from; `None` when everything is in the trained part.
    head: Option<Session>,
    settings: TrainerSettings,
    stepper: Stepper,
    /// Of one sample with any weights, and the names of what it gives.
    losses: (Session, Losses),
    terms: Vec<LossTerm>,
    steps: u64,
}

impl Trainer {
    /// `model`: its input shapes are fixed, with a batch of one.
    ///
    /// # Errors
    /// When the selection names nothing, when an operator that has to be differentiated has no rule, when a
    /// loss judges a tensor that does not depend on the weights, or when ONNX Runtime fails.
    pub fn new(
        model: &Model,
        trainable: &Trainable,
        losses: Vec<LossTerm>,
        settings: TrainerSettings,
    ) -> Result<Self, TrainError> {
        let options = &settings.session;
        let facts = probe(model, options)?;
        let (head, trained) = divide(model, &facts, trainable, &losses, options)?;
        let single = trainable_form(&trained)?;
        let spec = Spec {
            parameters: trainable.choose(&parameters(&single))?,
            optimizer: settings.optimizer,
            clip_norm: settings.clip_norm,
            losses,
        };
        let stepper = Stepper::new(&single, &spec, settings.batch.max(1), options)?;
        let one = probe_all(&single, &[], options)?;
        let (losses, ports) = loss_graph(&single, &one, &spec)?;
        Ok(Self {
            losses: (Session::from_model(&losses, options)?, Losses::new(&ports)),
            terms: spec.losses,
            model: model.clone(),
            head,
            stepper,
            steps: 0,
            settings,
        })
    }

    /// Names of the weights that learn.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.stepper.parameters().map(|(name, _)| name)
    }

    /// Shapes of the weights that learn, in the same order.
    pub fn parameter_shapes(&self) -> impl Iterator<Item = &[usize]> {
        self.stepper.parameters().map(|(_, t)| t.shape())
    }

    /// Number of values that learn.
    pub fn parameter_count(&self) -> usize {
        self.stepper.parameters().map(|(_, t)| t.len()).sum()
    }

    /// The graphs that make a step.
    pub fn graphs(&self) -> &[Model] {
        self.stepper.graphs()
    }

    /// What training keeps in memory, at most.
    pub fn memory(&self) -> Memory {
        self.stepper.memory()
    }

    /// How a batch is shared out among threads.
    pub fn sharing(&self) -> Sharing {
        self.stepper.sharing()
    }

    /// Samples of a full batch.
    pub fn batch(&self) -> usize {
        self.settings.batch.max(1)
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Names of the tensors that a sample's targets are for, in order.
    pub fn target_names(&self) -> impl Iterator<Item = &str> {
        self.stepper.feed().targets.iter().map(|t| t.name.as_str())
    }

    /// Whether a sample holds the model's inputs, and not what crosses a cut.
    pub fn takes_inputs(&self) -> bool {
        self.head.is_none()
    }

    /// Shape of each target.
    pub fn target_shapes(&self) -> impl Iterator<Item = &[usize]> {
        self.stepper
            .feed()
            .targets
            .iter()
            .map(|t| t.shape.as_slice())
    }

    /// Type of each target's values.
    pub fn target_types(&self) -> impl Iterator<Item = DType> {
        self.stepper.feed().targets.iter().map(|t| t.dtype)
    }

    /// What a sample's inputs are for these inputs of the model: what crosses the cut that training starts
    /// from, or the inputs themselves.
    ///
    /// # Errors
    /// When they are not what the model takes.
    pub fn features(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, TrainError> {
        let Some(head) = &self.head else {
            return Ok(inputs.iter().map(|t| (*t).clone()).collect());
        };
        let names = self.model.inputs();
        let fed: Vec<(&str, &Tensor)> = names
            .iter()
            .map(|i| i.name.as_str())
            .zip(inputs.iter().copied())
            .collect();
        let crossing = head.run(&fed)?;
        Ok(crossing.into_iter().map(|(_, tensor)| tensor).collect())
    }

    /// One step on a batch at this learning rate. A batch that is not full is filled by repeating its samples.
    ///
    /// # Errors
    /// When the batch is empty or too large, or a sample does not fit; when the loss or the gradient is no number
    /// any more ([`TrainError::Diverged`], the weights are then those after the step).
    pub fn step(&mut self, samples: &[&Sample], rate: f64) -> Result<StepReport, TrainError> {
        let batch = self.stepper.batch(samples)?;
        let report = self.stepper.step(&batch, rate)?;
        self.steps += 1;
        let said = [
            ("loss", report.loss),
            ("gradient's norm", report.gradient_norm),
        ];
        match said.into_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(report),
            Some((what, value)) => Err(TrainError::Diverged { what, value }),
        }
    }

    /// The least mean loss over samples that any weights can have: with soft labels it is not 0.
    pub fn floor(&self, samples: &[&Sample]) -> f32 {
        let sum: f32 = samples.iter().map(|s| floor(&self.terms, s)).sum();
        sum / samples.len().max(1) as f32
    }

    /// The mean loss over samples with the weights as they are.
    ///
    /// # Errors
    /// When there are none, or one does not fit.
    pub fn loss(&self, samples: &[&Sample]) -> Result<f32, TrainError> {
        self.loss_with(&self.stepper.carried()?, samples)
    }

    /// The mean loss over samples with the weights that another model has, the same graph.
    ///
    /// # Errors
    /// When it lacks one of the weights, and as [`Trainer::loss`].
    pub fn loss_of(&self, model: &Model, samples: &[&Sample]) -> Result<f32, TrainError> {
        let initializers = model.proto().graph.iter().flat_map(|g| &g.initializer);
        let known: HashMap<&str, &TensorProto> = initializers.map(|t| (t.name(), t)).collect();
        let weights: Option<Vec<Tensor>> = self
            .parameters()
            .map(|name| read_constant(known.get(name)?).map(widened))
            .collect();
        let weights = weights.ok_or_else(|| TrainError::State("a weight is missing".into()))?;
        self.loss_with(&weights, samples)
    }

    /// `weights`: in the order of the parameters; more may follow.
    fn loss_with(&self, weights: &[Tensor], samples: &[&Sample]) -> Result<f32, TrainError> {
        if samples.is_empty() {
            return Err(TrainError::NoSamples(
                "no sample to take the loss of".into(),
            ));
        }
        let weights: Vec<(&str, &Tensor)> = self.parameters().zip(weights).collect();
        let mut sum = 0.0;
        for sample in samples {
            let data = self.stepper.feed().data(&[sample])?;
            let fed = data
                .iter()
                .map(|(n, t)| (*n, t))
                .chain(weights.iter().copied());
            let (session, losses) = &self.losses;
            let outputs = session.run(&fed.collect::<Vec<_>>())?;
            sum += losses.of(&outputs)[0];
        }
        Ok(sum / samples.len() as f32)
    }

    /// The weights that learn, as they are now, in the types they have in the model.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn weights(&self) -> Result<Vec<(String, Tensor)>, TrainError> {
        let values = self.stepper.carried()?;
        let kept = self.parameters().zip(values).map(|(name, value)| {
            let half = self.initializer_type(name) == Some(DType::F16);
            (name.to_owned(), if half { as_half(&value) } else { value })
        });
        Ok(kept.collect())
    }

    fn initializer_type(&self, name: &str) -> Option<DType> {
        let initializers = self.model.proto().graph.iter().flat_map(|g| &g.initializer);
        let mut found = initializers.filter(|t| t.name() == name);
        DType::from_onnx(found.next()?.data_type())
    }

    /// The model with the weights as they are now: the same graph, the same names.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn model(&self) -> Result<Model, TrainError> {
        Delta::new(&self.model, self.weights()?)?.apply(&self.model)
    }

    /// Everything that is needed to go on from here.
    ///
    /// # Errors
    /// When the weights cannot be read.
    pub fn state(&self) -> Result<State, TrainError> {
        let names = self.stepper.carried_names().map(str::to_owned);
        Ok(State {
            tensors: names.zip(self.stepper.carried()?).collect(),
            steps: self.steps,
        })
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// When it is of another training.
    pub fn restore(&mut self, state: &State) -> Result<(), TrainError> {
        let names: Vec<&str> = self.stepper.carried_names().collect();
        let given: Vec<&str> = state.tensors.iter().map(|(n, _)| n.as_str()).collect();
        if names != given {
            return Err(TrainError::State(
                "other weights learn, or by another optimizer".into(),
            ));
        }
        let tensors: Vec<&Tensor> = state.tensors.iter().map(|(_, t)| t).collect();
        self.stepper.set(&tensors)?;
        self.steps = state.steps;
        Ok(())
    }
}

/// Weights kept as float16 learn as float32.
fn widened(tensor: Tensor) -> Tensor {
    match tensor.dtype() {
        DType::F16 => Tensor::new(tensor.shape().to_vec(), tensor.to_f32_vec())
            .unwrap_or_else(|e| unreachable!("{e}")),
        _ => tensor,
    }
}

fn as_half(tensor: &Tensor) -> Tensor {
    let values = tensor.to_f32_vec().into_iter().map(f16::from_f32).collect();
    Tensor::from_data(tensor.shape().to_vec(), Data::F16(values))
        .unwrap_or_else(|e| unreachable!("{e}"))
}
