// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Models to train, with a loss on what their last convolutions give: the raw outputs of the heads, before any decoding.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use splitinfer_grad::{Loss, LossTerm, Optimizer, Parameter, Spec, parameters, trainable_form};
use splitinfer_graph::build::{untyped, value};
use splitinfer_graph::proto::ModelProto;
use splitinfer_graph::{Cut, Dim, Facts, Model};
use splitinfer_runtime::{SessionOptions, probe_all};
use splitinfer_tensor::DType;

/// A model that ends at the tensors which its losses judge, with all shapes fixed.
pub struct Trainee {
    pub model: Model,
    pub facts: Facts,
    pub losses: Vec<LossTerm>,
    pub batch: usize,
}

impl Trainee {
    /// For batches of `batch` pictures, or of one where the graph has that fixed.
    ///
    /// # Errors
    /// When the model cannot be read, or has no convolution.
    pub fn load(path: &Path, batch: usize) -> Result<Self> {
        let model = trainable_form(&Model::load(path)?)?;
        Self::with_batch(&model, batch).or_else(|_| Self::with_batch(&model, 1))
    }

    fn with_batch(model: &Model, batch: usize) -> Result<Self> {
        let whole = with_batch(model, batch)?;
        let losses = losses(model);
        ensure!(!losses.is_empty(), "the model has no convolution");
        let judged: Vec<String> = losses.iter().map(|l| l.tensor.clone()).collect();
        let inputs: Vec<String> = whole.inputs().into_iter().map(|i| i.name).collect();
        // Decoding may have the batch size fixed where the layers before have not.
        let model = whole
            .part(&Facts::default(), &inputs, &judged)
            .or_else(|_| {
                whole
                    .part(&probe_all(&whole, &[], &options(2))?, &inputs, &judged)
                    .map_err(anyhow::Error::from)
            })?;
        Self::new(model, losses, batch)
    }

    fn new(model: Model, losses: Vec<LossTerm>, batch: usize) -> Result<Self> {
        let facts = probe_all(&model, &[], &options(2))?;
        for term in &losses {
            let shape = facts.get(&term.tensor).map(|f| f.shape.as_slice());
            let given = shape.and_then(<[_]>::first) == Some(&batch);
            ensure!(given, "'{}' is of shape {shape:?}", term.tensor);
        }
        Ok(Self {
            model,
            facts,
            losses,
            batch,
        })
    }

    /// What comes after a cut; its inputs are the tensors there.
    ///
    /// # Errors
    /// When the model cannot be taken apart there, or a loss judges a tensor before it.
    pub fn tail(&self, cut: &Cut) -> Result<Self> {
        let model = self.after(cut).context("a loss lies before the cut")?;
        Self::new(model, self.losses.clone(), self.batch)
    }

    /// What comes after a cut, if all losses do.
    fn after(&self, cut: &Cut) -> Option<Model> {
        let from: Vec<String> = cut.tensors.iter().map(|t| t.name.clone()).collect();
        let judged: Vec<String> = self.losses.iter().map(|l| l.tensor.clone()).collect();
        let model = self.model.part(&self.facts, &from, &judged).ok()?;
        let made: HashSet<&String> = model.ordered_nodes().flat_map(|n| &n.output).collect();
        judged.iter().all(|t| made.contains(t)).then_some(model)
    }

    /// The cut for which the tail is trained: of those that leave a tenth to a third of the computing and all losses
    /// behind them, the one with the smallest tensors; where there is none, the one that leaves least.
    ///
    /// # Errors
    /// When the model has no cut at all before its losses.
    pub fn late_cut(&self) -> Result<Cut> {
        let share = |c: &Cut| c.tail_macs as f64 / (c.head_macs + c.tail_macs).max(1) as f64;
        let mut cuts = self.model.cuts(&self.facts);
        cuts.retain(|c| c.tail_macs > 0 && self.after(c).is_some());
        let late = cuts
            .iter()
            .filter(|c| (0.1..=1.0 / 3.0).contains(&share(c)));
        let smallest = late.min_by_key(|c| c.raw_bytes);
        let cut = smallest
            .or_else(|| cuts.iter().min_by_key(|c| c.tail_macs))
            .cloned();
        cut.context("the model cannot be cut before its losses")
    }

    pub fn parameters(&self) -> Vec<Parameter> {
        parameters(&self.model)
    }

    /// A step of Adam on all weights.
    pub fn spec(&self) -> Spec {
        Spec {
            parameters: self.parameters().into_iter().map(|p| p.name).collect(),
            losses: self.losses.clone(),
            optimizer: Optimizer::adam(),
            clip_norm: None,
        }
    }

    /// Name, type and shape of each input.
    pub fn inputs(&self) -> Vec<(String, DType, Vec<usize>)> {
        let known = |name: String| {
            let fact = self.facts.get(&name)?;
            Some((name, fact.dtype, fact.shape.clone()))
        };
        self.model
            .inputs()
            .into_iter()
            .filter_map(|i| known(i.name))
            .collect()
    }
}

pub fn options(threads: usize) -> SessionOptions {
    SessionOptions {
        threads,
        ..Default::default()
    }
}

/// The model for another number of pictures, also where its file says one: whether its nodes can do that shows when it
/// runs.
fn with_batch(model: &Model, batch: usize) -> Result<Model> {
    let mut proto = ModelProto::clone(model.proto());
    let graph = proto.graph.as_mut().context("the model has no graph")?;
    for input in model.inputs() {
        let dims = input.shape.context("an input has no shape")?;
        let size = |(i, dim): (usize, &Dim)| match dim {
            _ if i == 0 => Ok(batch),
            Dim::Fixed(n) => Ok(*n),
            Dim::Symbol(s) => Err(anyhow!("the size {s:?} of '{}' is open", input.name)),
        };
        let shape = dims
            .iter()
            .enumerate()
            .map(size)
            .collect::<Result<Vec<_>>>()?;
        let dtype = input.dtype.context("an input has no type")?;
        let own = graph.input.iter_mut().find(|i| i.name() == input.name);
        *own.context("an input of the model")? = value(&input.name, dtype, &shape);
    }
    // What the file says of other shapes holds for its own batch.
    graph.value_info.clear();
    for output in &mut graph.output {
        *output = untyped(output.name());
    }
    Ok(Model::from_proto(proto)?)
}

/// A loss for each convolution that no other comes after: binary cross-entropy where a sigmoid follows, else the mean
/// square.
fn losses(model: &Model) -> Vec<LossTerm> {
    let nodes: Vec<_> = model.ordered_nodes().collect();
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        for input in &node.input {
            readers.entry(input).or_default().push(i);
        }
    }
    let mut before_another = HashSet::new();
    for (i, node) in nodes.iter().enumerate().rev() {
        let mut after = node
            .output
            .iter()
            .flat_map(|o| readers.get(o.as_str()).into_iter().flatten());
        if after.any(|r| nodes[*r].op_type() == "Conv" || before_another.contains(r)) {
            before_another.insert(i);
        }
    }
    let last =
        (0..nodes.len()).filter(|i| nodes[*i].op_type() == "Conv" && !before_another.contains(i));
    let term = |i: usize| {
        let output = nodes[i].output[0].as_str();
        let mut after = readers.get(output).into_iter().flatten();
        let loss = match after.any(|r| nodes[*r].op_type() == "Sigmoid") {
            true => Loss::BinaryCrossEntropyWithLogits,
            false => Loss::MeanSquared,
        };
        LossTerm::new(output, loss)
    };
    last.map(term).collect()
}
