// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a worker is to do: a file of JSON, and beside it the model and the tensors it needs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use splitinfer_grad::{Loss, TrainingGraph};
use splitinfer_graph::Model;
use splitinfer_graph::build::{tensor, value};
use splitinfer_graph::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use splitinfer_runtime::random_tensor;
use splitinfer_tensor::{DType, Tensor};

use splitinfer_grad_reference::Trainee;

/// Small enough that losses stay finite over a measurement's steps.
const RATE: f32 = 1e-4;

/// Read by `worker` and by crates/grad/tests/fixtures/pytorch/worker.py.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub model: PathBuf,
    /// A file of tensors: `in:NAME`, `target:NAME`, and for our worker `initial:NAME`.
    pub data: PathBuf,
    pub threads: usize,
    /// Whether a step trains, or only runs the model.
    pub train: bool,
    pub rate: f32,
    /// Weights to train, and losses: PyTorch writes the step itself.
    pub parameters: Vec<String>,
    pub losses: Vec<Term>,
    /// In our training graph, what is carried from step to step: input, output.
    pub carried: Vec<(String, String)>,
    /// In our training graph, the inputs by what they are in `data`; the learning rate is `rate`.
    pub feeds: Vec<(String, String)>,
    pub learning_rate: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Term {
    pub tensor: String,
    pub kind: String,
}

/// The jobs that are compared: the same training by us and by PyTorch, and the forward pass alone.
#[derive(Clone)]
pub struct Jobs {
    pub ours: Job,
    pub pytorch: Job,
    pub forward: Job,
    pub step: TrainingGraph,
}

impl Jobs {
    /// Writes models and tensors into `folder`.
    ///
    /// # Errors
    /// When the model cannot be trained or the files cannot be written.
    pub fn new(trainee: &Trainee, folder: &Path) -> Result<Self> {
        let spec = trainee.spec();
        let step = TrainingGraph::new(&trainee.model, &trainee.facts, &spec)?;
        let file = |name: &str| folder.join(name);
        step.model.save(&file("step.onnx"))?;
        trainee.model.save(&file("forward.onnx"))?;
        let carried: Vec<_> = step
            .parameters
            .iter()
            .map(|(_, c)| c)
            .chain(&step.memories)
            .collect();
        let mut data = Vec::new();
        for (name, dtype, shape) in trainee.inputs() {
            data.push((format!("in:{name}"), random_tensor(dtype, &shape, 1.0, 1)));
        }
        let mut feeds: Vec<(String, String)> = step
            .data
            .iter()
            .map(|n| (format!("in:{n}"), n.clone()))
            .collect();
        for (term, target) in trainee.losses.iter().zip(&step.targets) {
            let shape = &trainee
                .facts
                .get(&term.tensor)
                .context("a loss's tensor is known")?
                .shape;
            data.push((
                format!("target:{}", term.tensor),
                random_tensor(DType::F32, shape, 1.0, 2),
            ));
            feeds.push((format!("target:{}", term.tensor), target.clone()));
        }
        save_tensors(&file("pytorch-data.onnx"), &data)?;
        data.extend(
            carried
                .iter()
                .map(|c| (format!("initial:{}", c.input), c.initial.clone())),
        );
        save_tensors(&file("data.onnx"), &data)?;
        let pytorch = Job {
            model: file("forward.onnx"),
            data: file("pytorch-data.onnx"),
            threads: 1,
            train: true,
            rate: RATE,
            parameters: spec.parameters.clone(),
            losses: trainee
                .losses
                .iter()
                .map(|l| Term {
                    tensor: l.tensor.clone(),
                    kind: kind(l.loss),
                })
                .collect(),
            carried: vec![],
            feeds: vec![],
            learning_rate: String::new(),
        };
        let ours = Job {
            model: file("step.onnx"),
            data: file("data.onnx"),
            carried: carried
                .iter()
                .map(|c| (c.input.clone(), c.output.clone()))
                .collect(),
            feeds: feeds.clone(),
            learning_rate: step.learning_rate.clone(),
            ..pytorch.clone()
        };
        feeds.retain(|(key, _)| key.starts_with("in:"));
        let forward = Job {
            train: false,
            feeds,
            ..pytorch.clone()
        };
        Ok(Self {
            ours,
            pytorch,
            forward,
            step,
        })
    }

    pub fn with_threads(&self, threads: usize) -> Self {
        let mut jobs = self.clone();
        for job in [&mut jobs.ours, &mut jobs.pytorch, &mut jobs.forward] {
            job.threads = threads;
        }
        jobs
    }
}

/// As PyTorch's worker calls it.
fn kind(loss: Loss) -> String {
    match loss {
        Loss::BinaryCrossEntropyWithLogits => "bce_with_logits",
        _ => "mse",
    }
    .to_owned()
}

/// Writes tensors as the initializers of an ONNX file, which everybody here can read; the first is its output, because a
/// graph must have one.
///
/// # Errors
/// When the file cannot be written.
pub fn save_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let graph = GraphProto {
        name: Some("tensors".into()),
        output: tensors
            .iter()
            .take(1)
            .map(|(name, t)| value(name, t.dtype(), t.shape()))
            .collect(),
        initializer: tensors.iter().map(|(name, t)| tensor(name, t)).collect(),
        ..Default::default()
    };
    let default_set = OperatorSetIdProto {
        domain: Some(String::new()),
        version: Some(17),
    };
    let proto = ModelProto {
        ir_version: Some(8),
        opset_import: vec![default_set],
        graph: Some(graph),
        ..Default::default()
    };
    Ok(Model::from_proto(proto)?.save(path)?)
}
