// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where the time of a step goes: each node's, by ONNX Runtime's own clock, summed by what the node is for.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use splitinfer_grad::TrainingGraph;
use splitinfer_graph::Model;
use splitinfer_graph::proto::NodeProto;
use splitinfer_runtime::Session;
use splitinfer_tensor::Tensor;

use super::job::{RATE, batch};
use splitinfer_grad_reference::{Trainee, options};

/// What a node of a training step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The model and its losses.
    Forward,
    /// Gradients on their way down, which several parameters need.
    Data,
    /// The gradient of one parameter alone.
    Weight,
    /// The optimizer, and the norm of all gradients.
    Update,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Forward, Self::Data, Self::Weight, Self::Update];

    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Data => "dX",
            Self::Weight => "dW",
            Self::Update => "optimizer",
        }
    }
}

/// Time of a node of the optimised graph.
#[derive(Clone, Debug)]
pub struct NodeTime {
    pub part: Part,
    pub op: String,
    /// The parameter whose gradient alone needs the node.
    pub parameter: Option<String>,
    /// Seconds a step.
    pub seconds: f64,
}

/// Runs a step of the trainee `runs` times, the whole batch in one graph; the mean time of each node.
///
/// # Errors
/// When ONNX Runtime fails.
pub fn node_times(trainee: &Trainee, threads: usize, runs: usize) -> Result<Vec<NodeTime>> {
    let step = TrainingGraph::new(&trainee.model, &trainee.facts, &trainee.spec())?;
    let inputs = inputs(&step, trainee)?;
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let folder = tempfile::tempdir()?;
    let session = Session::recorded(&step.model, &options(threads), folder.path())?;
    for _ in 0..=runs {
        session.run(&inputs)?;
    }
    let record: Vec<Value> = serde_json::from_slice(&std::fs::read(session.end_record()?)?)?;
    let optimised = Model::load(&folder.path().join("optimised.onnx"))?;
    let purpose = Purposes::new(&optimised, &step)?;
    let nodes: HashMap<&str, &NodeProto> =
        optimised.ordered_nodes().map(|n| (n.name(), n)).collect();
    let mut seconds: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for event in &record {
        let name = event["name"]
            .as_str()
            .and_then(|n| n.strip_suffix("_kernel_time"));
        if let (Some(name), Some(time)) = (name, event["dur"].as_f64()) {
            seconds
                .entry(name.to_owned())
                .or_default()
                .push(time * 1e-6);
        }
    }
    let times = seconds.into_iter().map(|(name, times)| {
        let node = *nodes
            .get(name.as_str())
            .with_context(|| format!("no node is called '{name}'"))?;
        let (part, parameter) = purpose.of(node);
        // The first run plans its memory.
        let later = &times[times.len() / (runs + 1)..];
        let seconds = later.iter().sum::<f64>() / runs as f64;
        Ok(NodeTime {
            part,
            op: node.op_type().to_owned(),
            parameter,
            seconds,
        })
    });
    times.collect()
}

/// All inputs of a step.
fn inputs(step: &TrainingGraph, trainee: &Trainee) -> Result<Vec<(String, Tensor)>> {
    let ports = step.losses.data.iter().chain(&step.losses.targets);
    let data = ports
        .cloned()
        .zip(batch(trainee)?)
        .map(|(port, (_, tensor))| (port, tensor));
    let carried = step
        .step
        .carried()
        .map(|c| (c.input.clone(), c.initial.clone()));
    let rate = (
        step.step.learning_rate.clone(),
        Tensor::new(vec![], vec![RATE])?,
    );
    Ok(data.chain(carried).chain([rate]).collect())
}

/// What each tensor of a step is needed for.
struct Purposes {
    forward: HashSet<String>,
    update: HashSet<String>,
    /// The parameters whose gradients need a tensor.
    parameters: HashMap<String, HashSet<String>>,
}

impl Purposes {
    fn new(optimised: &Model, step: &TrainingGraph) -> Result<Self> {
        let losses = step.losses.terms.iter().chain([&step.losses.loss]).cloned();
        let (row, gradients) = gradients(optimised, &step.step.gradient_norm)?;
        ensure!(
            gradients.len() == step.step.parameters.len(),
            "the step joins {} gradients",
            gradients.len()
        );
        let mut parameters: HashMap<String, HashSet<String>> = HashMap::new();
        for ((name, _), gradient) in step.step.parameters.iter().zip(gradients) {
            for tensor in before(optimised, [gradient].into()) {
                parameters.entry(tensor).or_default().insert(name.clone());
            }
        }
        Ok(Self {
            forward: before(optimised, losses.collect()),
            update: after(optimised, [row].into()),
            parameters,
        })
    }

    fn of(&self, node: &NodeProto) -> (Part, Option<String>) {
        let makes = |of: &HashSet<String>| node.output.iter().any(|o| of.contains(o));
        if makes(&self.forward) {
            return (Part::Forward, None);
        }
        let needed: HashSet<&String> = node
            .output
            .iter()
            .filter_map(|o| self.parameters.get(o))
            .flatten()
            .collect();
        match (makes(&self.update), needed.len()) {
            (true, _) | (_, 0) => (Part::Update, None),
            (_, 1) => (Part::Weight, needed.into_iter().next().cloned()),
            _ => (Part::Data, None),
        }
    }
}

/// The row of all gradients, known by the squares that make their norm, and the gradients that are joined to it.
fn gradients(model: &Model, norm: &str) -> Result<(String, Vec<String>)> {
    let maker = |tensor: &str| {
        model
            .ordered_nodes()
            .find(|n| n.output.iter().any(|o| o == tensor))
    };
    let mut tensor = norm.to_owned();
    loop {
        let node = maker(&tensor).with_context(|| format!("nothing makes '{tensor}'"))?;
        tensor.clone_from(
            node.input
                .first()
                .context("the norm is made of gradients")?,
        );
        if node.op_type() == "ReduceSumSquare" {
            break;
        }
    }
    let joined = maker(&tensor).filter(|n| n.op_type() == "Concat");
    let parts = joined.map_or_else(|| vec![tensor.clone()], |n| n.input.clone());
    Ok((tensor, parts))
}

/// Everything that some tensors are made from, themselves included.
fn before(model: &Model, mut of: HashSet<String>) -> HashSet<String> {
    let nodes: Vec<_> = model.ordered_nodes().collect();
    for node in nodes.into_iter().rev() {
        if node.output.iter().any(|o| of.contains(o)) {
            of.extend(node.input.iter().filter(|i| !i.is_empty()).cloned());
        }
    }
    of
}

/// Everything that is made from some tensors, themselves included.
fn after(model: &Model, mut of: HashSet<String>) -> HashSet<String> {
    for node in model.ordered_nodes() {
        if node.input.iter().any(|i| of.contains(i)) {
            of.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
        }
    }
    of
}
