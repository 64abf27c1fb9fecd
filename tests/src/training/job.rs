// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a worker is to do: a file of JSON, and beside it the model and the tensors it needs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use splitinfer_grad::{Loss, LossTerm};
use splitinfer_graph::Model;
use splitinfer_graph::build::{tensor, value};
use splitinfer_graph::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use splitinfer_runtime::random_tensor;
use splitinfer_tensor::{DType, Tensor};

use splitinfer_grad_reference::Trainee;

/// Small enough that losses stay finite over a measurement's steps.
pub const RATE: f32 = 1e-4;

/// Read by `worker` and by crates/grad/tests/fixtures/pytorch/worker.py.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// For the whole batch; for our training, for one picture.
    pub model: PathBuf,
    /// A file of the batch's tensors: `in:NAME`, `target:NAME`.
    pub data: PathBuf,
    pub batch: usize,
    pub threads: usize,
    /// Whether a step trains, or only runs the model.
    pub train: bool,
    pub rate: f32,
    pub parameters: Vec<String>,
    pub losses: Vec<Term>,
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
}

impl Jobs {
    /// Writes models and tensors into `folder`. `single` is the trainee for one picture.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn new(trainee: &Trainee, single: &Trainee, folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        single.model.save(&file("single.onnx"))?;
        trainee.model.save(&file("batch.onnx"))?;
        save_tensors(&file("data.onnx"), &batch(trainee)?)?;
        let term = |l: &LossTerm| Term {
            tensor: l.tensor.clone(),
            kind: kind(l.loss),
        };
        let pytorch = Job {
            model: file("batch.onnx"),
            data: file("data.onnx"),
            batch: trainee.batch,
            threads: 1,
            train: true,
            rate: RATE,
            parameters: trainee.parameters().into_iter().map(|p| p.name).collect(),
            losses: trainee.losses.iter().map(term).collect(),
        };
        let ours = Job {
            model: file("single.onnx"),
            ..pytorch.clone()
        };
        let forward = Job {
            train: false,
            ..pytorch.clone()
        };
        Ok(Self {
            ours,
            pytorch,
            forward,
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

/// Inputs and targets, as files of tensors call them.
///
/// # Errors
/// When a loss judges a tensor that the model has not.
pub fn batch(trainee: &Trainee) -> Result<Vec<(String, Tensor)>> {
    let inputs = trainee.inputs().into_iter().map(|(name, dtype, shape)| {
        Ok((format!("in:{name}"), random_tensor(dtype, &shape, 1.0, 1)))
    });
    let targets = trainee.losses.iter().map(|term| {
        let fact = trainee.facts.get(&term.tensor);
        let shape = &fact.context("a loss's tensor is known")?.shape;
        let target = random_tensor(DType::F32, shape, 1.0, 2);
        Ok((format!("target:{}", term.tensor), target))
    });
    inputs.chain(targets).collect()
}

const WITH_LOGITS: &str = "bce_with_logits";

/// As PyTorch's worker calls it.
fn kind(loss: Loss) -> String {
    match loss {
        Loss::BinaryCrossEntropyWithLogits => WITH_LOGITS,
        _ => "mse",
    }
    .to_owned()
}

impl Term {
    pub fn loss(&self) -> LossTerm {
        let loss = match self.kind.as_str() {
            WITH_LOGITS => Loss::BinaryCrossEntropyWithLogits,
            _ => Loss::MeanSquared,
        };
        LossTerm::new(&self.tensor, loss)
    }
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
