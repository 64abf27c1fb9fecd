// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The training step as a model: forward, losses, backward, optimizer, in one graph of ordinary operators.

use splitinfer_graph::{Facts, Model};
use splitinfer_tensor::Tensor;

use crate::backward::backward;
use crate::error::GradError;
use crate::loss::{Loss, Reduction};
use crate::optimizer::Optimizer;
use crate::writer::Writer;

/// A loss and the tensor it judges.
#[derive(Clone, Debug, PartialEq)]
pub struct LossTerm {
    /// Any tensor of the model, not only an output.
    pub tensor: String,
    pub loss: Loss,
    pub reduction: Reduction,
    /// What this loss counts among several.
    pub factor: f64,
    /// Whether each element has a weight of its own, 0 to leave it out.
    pub weighted: bool,
}

impl LossTerm {
    /// The mean over all elements of a tensor.
    pub fn new(tensor: &str, loss: Loss) -> Self {
        Self {
            tensor: tensor.to_owned(),
            loss,
            reduction: Reduction::default(),
            factor: 1.0,
            weighted: false,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Names of initializers.
    pub parameters: Vec<String>,
    pub losses: Vec<LossTerm>,
    pub optimizer: Optimizer,
    /// Largest Euclidean norm of all gradients together.
    pub clip_norm: Option<f64>,
}

/// An input and the output that takes its place in the next step.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    pub input: String,
    pub output: String,
    pub initial: Tensor,
}

/// What the inputs and outputs of a graph's losses are called.
#[derive(Clone, Debug, PartialEq)]
pub struct LossPorts {
    /// Inputs of the model itself.
    pub data: Vec<String>,
    /// Of each loss: the input for its target, in the shape of the tensor.
    pub targets: Vec<String>,
    /// Of each loss that has them: the input for its elements' weights.
    pub weights: Vec<Option<String>>,
    /// Of each loss that is a mean by weight, where the graph has only a share of the batch: the scalar input for the
    /// sum of the whole batch's weights.
    pub totals: Vec<Option<String>>,
    /// Scalar output: the sum of all losses times their factors, before a step; of a share, what it adds to it.
    pub loss: String,
    /// Of each loss, its own scalar output.
    pub terms: Vec<String>,
}

/// What the inputs and outputs of a graph's optimizer are called.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPorts {
    /// Scalar input.
    pub learning_rate: String,
    /// The parameters, by name of the initializer.
    pub parameters: Vec<(String, Carried)>,
    /// What the optimizer remembers.
    pub memories: Vec<Carried>,
    /// Scalar output: Euclidean norm of all gradients, before clipping.
    pub gradient_norm: String,
}

impl StepPorts {
    /// All that is carried from step to step: the parameters first.
    pub fn carried(&self) -> impl Iterator<Item = &Carried> {
        let parameters = self.parameters.iter().map(|(_, c)| c);
        parameters.chain(&self.memories)
    }
}

/// A graph that makes one step.
#[derive(Clone, Debug)]
pub struct TrainingGraph {
    pub model: Model,
    pub losses: LossPorts,
    pub step: StepPorts,
}

impl TrainingGraph {
    /// `model` in its [`trainable_form`](crate::trainable_form) with fixed input shapes; `facts` of every
    /// tensor of it, constants included.
    ///
    /// # Errors
    /// When a tensor or parameter does not exist or is of an unfit type, when an operator between a parameter
    /// and a loss has no rule, when no loss depends on a parameter, or when a setting is out of range.
    pub fn new(model: &Model, facts: &Facts, spec: &Spec) -> Result<Self, GradError> {
        spec.optimizer.check().map_err(GradError::Setting)?;
        let mut writer = Writer::new(model, facts)?;
        let parameters = writer.take_parameters(&spec.parameters)?;
        let mut judged = writer.losses(&spec.losses, None)?;
        let gradient = writer.gradient(&parameters, &mut judged)?;
        let step = writer.steps(spec, &parameters, &gradient);
        Ok(Self {
            losses: writer.loss_ports(model, judged, &spec.losses),
            step,
            model: writer.model(model)?,
        })
    }
}

/// The losses alone, as a model: inputs of the model, targets and weights; the parameters are inputs too.
///
/// # Errors
/// As [`TrainingGraph::new`].
pub fn loss_graph(
    model: &Model,
    facts: &Facts,
    spec: &Spec,
) -> Result<(Model, LossPorts), GradError> {
    let mut writer = Writer::new(model, facts)?;
    writer.take_parameters(&spec.parameters)?;
    let judged = writer.losses(&spec.losses, None)?;
    let ports = writer.loss_ports(model, judged, &spec.losses);
    Ok((writer.model(model)?, ports))
}

/// The gradients of some tensors as a model: `model` with an input `seed/NAME` for each of `outputs` (the
/// gradient of whatever is differentiated with respect to it, in its shape) and an output `gradient/NAME` for
/// each of `wanted`. Where no seed depends on one of them it has no output.
///
/// # Errors
/// As [`TrainingGraph::new`].
pub fn gradient_graph(
    model: &Model,
    facts: &Facts,
    outputs: &[String],
    wanted: &[String],
) -> Result<Model, GradError> {
    let mut writer = Writer::new(model, facts)?;
    let mut seeds = Vec::new();
    for output in outputs {
        let like = writer.forward.value(output)?.clone();
        seeds.push((
            output.clone(),
            writer.input(&format!("seed/{output}"), &like.shape, like.dtype),
        ));
    }
    let found = backward(&mut writer.forward, &mut writer.emitter, wanted, seeds)?;
    if found.is_empty() {
        return Err(GradError::Unreached(
            wanted.first().cloned().unwrap_or_default(),
        ));
    }
    for tensor in wanted {
        if let Some(gradient) = found.get(tensor) {
            writer.output(gradient, &format!("gradient/{tensor}"));
        }
    }
    writer.model(model)
}
