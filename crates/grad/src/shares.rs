// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A training step in two graphs: the gradients of a share of the batch, and the step that the sum of them makes.
//!
//! Shares may run one after another, where a model takes no more pictures at once, or side by side, each on a thread
//! of its own. The latter is faster than sharing out each operator's work: threads wait for one another once a step
//! and not once an operator, and operators that ONNX Runtime does not share out (Pad, Slice, the gathering of a
//! ConvTranspose) run side by side too. The step is that of the whole batch, but for the order in which it is added up.

use splitinfer_graph::{Facts, Model};

use crate::error::GradError;
use crate::training::{LossPorts, Spec, StepPorts};
use crate::value::Value;
use crate::writer::Writer;

/// The gradients of a share of a batch, added to those of shares before.
#[derive(Clone, Debug)]
pub struct ShareGraph {
    pub model: Model,
    pub losses: LossPorts,
    /// Inputs for the parameters, by the names of the initializers.
    pub parameters: Vec<String>,
    /// Input: the gradients of shares before this one, all parameters' elements in a row; zeros if it is the first.
    pub before: String,
    /// Output: the same with this share's.
    pub gradient: String,
}

/// The step that gradients make.
#[derive(Clone, Debug)]
pub struct UpdateGraph {
    pub model: Model,
    /// Inputs whose sum is the batch's gradient; each as [`ShareGraph::gradient`].
    pub gradients: Vec<String>,
    pub step: StepPorts,
}

impl ShareGraph {
    /// `model`, in its [`trainable_form`](crate::trainable_form), takes one of the `shares` of a batch, all of one
    /// size; `facts` as for [`TrainingGraph::new`](crate::TrainingGraph::new).
    ///
    /// # Errors
    /// As [`TrainingGraph::new`](crate::TrainingGraph::new).
    pub fn new(
        model: &Model,
        facts: &Facts,
        spec: &Spec,
        shares: usize,
    ) -> Result<Self, GradError> {
        let mut writer = Writer::new(model, facts)?;
        let parameters = writer.take_parameters(&spec.parameters)?;
        let mut judged = writer.losses(&spec.losses, Some(shares.max(1)))?;
        let own = writer.gradient(&parameters, &mut judged)?;
        let before = writer.input("before", &own.shape, own.dtype);
        let sum = writer.emitter.add(&before, &own);
        let gradient = writer.output(&sum, "gradient");
        Ok(Self {
            losses: writer.loss_ports(model, judged, &spec.losses),
            parameters: spec.parameters.clone(),
            before: before.name.to_string(),
            gradient,
            model: writer.model(model)?,
        })
    }
}

impl UpdateGraph {
    /// The step of `model`'s parameters on the sum of so many `gradients`.
    ///
    /// # Errors
    /// As [`TrainingGraph::new`](crate::TrainingGraph::new).
    pub fn new(
        model: &Model,
        facts: &Facts,
        spec: &Spec,
        gradients: usize,
    ) -> Result<Self, GradError> {
        spec.optimizer.check().map_err(GradError::Setting)?;
        let mut writer = Writer::new(model, facts)?;
        let parameters = writer.take_parameters(&spec.parameters)?;
        writer.forget_the_model();
        let length = parameters.iter().map(|(v, _)| v.len()).sum();
        let dtype = parameters[0].0.dtype;
        let gradients: Vec<Value> = (0..gradients.max(1))
            .map(|i| writer.input(&format!("gradient/{i}"), &[length], dtype))
            .collect();
        let sum = writer.emitter.sum(&gradients);
        let sum = sum.unwrap_or_else(|| unreachable!("there is at least one"));
        let step = writer.steps(spec, &parameters, &sum);
        Ok(Self {
            gradients: gradients.iter().map(|g| g.name.to_string()).collect(),
            step,
            model: writer.model(model)?,
        })
    }
}
