// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The training step as a model: forward, losses, backward, optimizer, in one graph of ordinary operators.

use std::collections::{HashMap, HashSet};

use splitinfer_graph::build::value;
use splitinfer_graph::proto::{GraphProto, ModelProto, ValueInfoProto};
use splitinfer_graph::{Facts, Model, read_constant};
use splitinfer_tensor::{DType, Tensor};

use crate::backward::backward;
use crate::emitter::Emitter;
use crate::error::GradError;
use crate::forward::Forward;
use crate::loss::{self, Loss, Reduction};
use crate::optimizer::{self, Optimizer};
use crate::value::Value;

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
    /// Whether gradients of several runs are added up before a step: see [`Accumulation`].
    pub accumulate: bool,
}

/// Inputs of a graph that adds up gradients over several runs, for models whose batch size is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulation {
    /// Scalar input: what this run's gradients count, such as 1 / runs for the mean.
    pub share: String,
    /// Boolean scalar input: whether the step is made in this run. If not, parameters stay as they are.
    pub apply: String,
}

/// An input and the output that takes its place in the next step.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    pub input: String,
    pub output: String,
    pub initial: Tensor,
}

/// A graph that makes one step, and what its inputs and outputs are called.
#[derive(Clone, Debug)]
pub struct TrainingGraph {
    pub model: Model,
    /// Inputs of the model itself.
    pub data: Vec<String>,
    /// Of each loss: the input for its target, in the shape of the tensor.
    pub targets: Vec<String>,
    /// Of each loss that has them: the input for its elements' weights.
    pub weights: Vec<Option<String>>,
    /// Scalar input.
    pub learning_rate: String,
    /// The parameters, by name of the initializer.
    pub parameters: Vec<(String, Carried)>,
    /// What the optimizer remembers, and sums of gradients.
    pub memories: Vec<Carried>,
    pub accumulation: Option<Accumulation>,
    /// Scalar output: the sum of all losses times their factors, before this step.
    pub loss: String,
    /// Of each loss, its own scalar output.
    pub terms: Vec<String>,
    /// Scalar output: Euclidean norm of all gradients, before clipping.
    pub gradient_norm: String,
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
        let mut judged = writer.losses(&spec.losses)?;
        let seeds = std::mem::take(&mut judged.seeds);
        let wanted: Vec<String> = parameters.iter().map(|(v, _)| v.name.to_string()).collect();
        let found = backward(&mut writer.forward, &mut writer.emitter, &wanted, seeds)?;
        let gradients: Result<Vec<Value>, GradError> = wanted
            .iter()
            .map(|p| found.get(p).cloned().ok_or_else(|| GradError::Unreached(p.clone())))
            .collect();
        let step = writer.steps(spec, &parameters, gradients?);
        let (loss, terms) = writer.loss_outputs(&judged, &spec.losses);
        let gradient_norm = writer.output(&step.norm, "gradient-norm");
        Ok(Self {
            data: model.inputs().into_iter().map(|i| i.name).collect(),
            targets: judged.targets,
            weights: judged.weights,
            learning_rate: step.rate,
            parameters: spec.parameters.iter().cloned().zip(step.parameters).collect(),
            memories: step.memories,
            accumulation: step.accumulation,
            loss,
            terms,
            gradient_norm,
            model: writer.model(model)?,
        })
    }
}

/// The losses alone, as a model: inputs of the model, targets and weights; the parameters are inputs too.
/// Its outputs are called as in a [`TrainingGraph`] of the same `spec`.
///
/// # Errors
/// As [`TrainingGraph::new`].
pub fn loss_graph(model: &Model, facts: &Facts, spec: &Spec) -> Result<Model, GradError> {
    let mut writer = Writer::new(model, facts)?;
    writer.take_parameters(&spec.parameters)?;
    let judged = writer.losses(&spec.losses)?;
    writer.loss_outputs(&judged, &spec.losses);
    writer.model(model)
}

/// The gradients of some tensors as a model: `model` with an input `seed/NAME` for each of `outputs` (the
/// gradient of whatever is differentiated with respect to it, in its shape) and an output `gradient/NAME` for
/// each of `wanted`. Where no seed depends on one of them it has no output.
///
/// # Errors
/// As [`TrainingGraph::new`].
pub fn gradient_graph(model: &Model, facts: &Facts, outputs: &[String], wanted: &[String]) -> Result<Model, GradError> {
    let mut writer = Writer::new(model, facts)?;
    let mut seeds = Vec::new();
    for output in outputs {
        let like = writer.forward.value(output)?.clone();
        seeds.push((output.clone(), writer.input(&format!("seed/{output}"), &like.shape, like.dtype)));
    }
    let found = backward(&mut writer.forward, &mut writer.emitter, wanted, seeds)?;
    if found.is_empty() {
        return Err(GradError::Unreached(wanted.first().cloned().unwrap_or_default()));
    }
    for tensor in wanted {
        if let Some(gradient) = found.get(tensor) {
            writer.output(gradient, &format!("gradient/{tensor}"));
        }
    }
    writer.model(model)
}

/// What the losses need and give.
struct Judged {
    targets: Vec<String>,
    weights: Vec<Option<String>>,
    terms: Vec<Value>,
    seeds: Vec<(String, Value)>,
}

struct Steps {
    rate: String,
    parameters: Vec<Carried>,
    memories: Vec<Carried>,
    accumulation: Option<Accumulation>,
    norm: Value,
}

/// Values that decide what a run does with its gradients.
struct Gate {
    share: Value,
    apply: Value,
}

/// A model that grows inputs and outputs.
struct Writer {
    forward: Forward,
    emitter: Emitter,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

impl Writer {
    fn new(model: &Model, facts: &Facts) -> Result<Self, GradError> {
        let forward = Forward::new(model, facts)?;
        let emitter = Emitter::new(forward.opset, forward.names());
        let (inputs, outputs) = (Vec::new(), Vec::new());
        Ok(Self {
            forward,
            emitter,
            inputs,
            outputs,
        })
    }

    fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> Value {
        let name = self.emitter.named(name);
        self.inputs.push(value(&name, dtype, shape));
        Value::new(&name, shape, dtype)
    }

    fn output(&mut self, x: &Value, name: &str) -> String {
        let published = self.emitter.publish(x, name);
        self.outputs.push(value(&published.name, x.dtype, &x.shape));
        published.name.to_string()
    }

    /// Makes parameters inputs.
    fn take_parameters(&mut self, names: &[String]) -> Result<Vec<(Value, Tensor)>, GradError> {
        if names.is_empty() {
            return Err(GradError::NothingToTrain("none was named".into()));
        }
        let mut seen = HashSet::new();
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            let unfit = |reason: &str| GradError::NotAParameter {
                name: name.clone(),
                reason: reason.to_owned(),
            };
            let initializer = self.forward.initializers.remove(name);
            let initializer = initializer.ok_or_else(|| match seen.contains(name) {
                true => unfit("it is named twice"),
                false => unfit("the model has no initializer of that name"),
            })?;
            seen.insert(name.clone());
            let initial = read_constant(&initializer).ok_or_else(|| unfit("its values cannot be read"))?;
            if !matches!(initial.dtype(), DType::F32 | DType::F64) {
                return Err(unfit(&format!("it is of type {}", initial.dtype())));
            }
            self.inputs.push(value(name, initial.dtype(), initial.shape()));
            self.forward.constants.remove(name);
            taken.push((Value::new(name, initial.shape(), initial.dtype()), initial));
        }
        Ok(taken)
    }

    fn losses(&mut self, terms: &[LossTerm]) -> Result<Judged, GradError> {
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
            let weights = term.weighted.then(|| self.input(&format!("weights/{}", term.tensor), &shape, dtype));
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
    fn loss_outputs(&mut self, judged: &Judged, terms: &[LossTerm]) -> (String, Vec<String>) {
        let e = &mut self.emitter;
        let loss = e.sum(&judged.terms).unwrap_or_else(|| e.scalar(0.0, DType::F32));
        let loss = self.output(&loss, "loss");
        let values = judged.terms.iter().zip(terms);
        let terms = values.map(|(value, term)| self.output(value, &format!("loss/{}", term.tensor)));
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
            Loss::CrossEntropy { axis } | Loss::KullbackLeibler { axis } if axis >= value.rank() => {
                Err(unfit(format!("it has no axis {axis}; its shape is {:?}", value.shape)))
            }
            Loss::Huber { delta } if delta.is_nan() || delta <= 0.0 => {
                Err(unfit(format!("the delta of Huber's loss must be above 0, not {delta}")))
            }
            _ => Ok(value.clone()),
        }
    }

    /// The optimizer's part: every parameter a step further.
    fn steps(&mut self, spec: &Spec, parameters: &[(Value, Tensor)], gradients: Vec<Value>) -> Steps {
        let rate = self.input("learning-rate", &[], DType::F32);
        let gate = spec.accumulate.then(|| Gate {
            share: self.input("share", &[], DType::F32),
            apply: self.input("apply", &[], DType::Bool),
        });
        let mut memories = Vec::new();
        let gradients = match &gate {
            Some(gate) => self.accumulated(gate, parameters, gradients, &mut memories),
            None => gradients,
        };
        let (norm, factor) = optimizer::clip(&mut self.emitter, &gradients, spec.clip_norm);
        let names = spec.optimizer.corrections().iter();
        let before: Vec<Value> = names.map(|n| self.input(n, &[], DType::F32)).collect();
        let corrections = spec.optimizer.corrected(&mut self.emitter, &before);
        for (old, new) in before.iter().zip(&corrections) {
            memories.push(self.carry(old, new, zeros(old), gate.as_ref()));
        }
        let mut carried = Vec::new();
        for ((parameter, initial), gradient) in parameters.iter().zip(gradients) {
            let gradient = match &factor {
                Some(factor) => self.emitter.mul(&gradient, factor),
                None => gradient,
            };
            let names = spec.optimizer.memories().iter();
            let old: Vec<Value> = names
                .map(|m| self.input(&format!("{m}/{}", parameter.name), &parameter.shape, parameter.dtype))
                .collect();
            let (next, kept) =
                spec.optimizer.step(&mut self.emitter, parameter, &gradient, &rate, &old, &corrections);
            for (old, new) in old.iter().zip(&kept) {
                memories.push(self.carry(old, new, zeros(old), gate.as_ref()));
            }
            carried.push(self.carry(parameter, &next, initial.clone(), gate.as_ref()));
        }
        Steps {
            rate: rate.name.to_string(),
            parameters: carried,
            memories,
            accumulation: gate.map(|g| Accumulation {
                share: g.share.name.to_string(),
                apply: g.apply.name.to_string(),
            }),
            norm,
        }
    }

    /// The gradients with those of earlier runs; the sums start again once a step was made.
    fn accumulated(
        &mut self,
        gate: &Gate,
        parameters: &[(Value, Tensor)],
        gradients: Vec<Value>,
        memories: &mut Vec<Carried>,
    ) -> Vec<Value> {
        let mut sums = Vec::with_capacity(gradients.len());
        for ((parameter, _), gradient) in parameters.iter().zip(gradients) {
            let name = format!("sum/{}", parameter.name);
            let old = self.input(&name, &parameter.shape, parameter.dtype);
            let e = &mut self.emitter;
            let part = e.mul(&gradient, &gate.share);
            let sum = e.add(&old, &part);
            let zero = e.scalar(0.0, sum.dtype);
            let kept = e.select(&gate.apply, &zero, &sum);
            memories.push(self.carry(&old, &kept, zeros(&old), None));
            sums.push(sum);
        }
        sums
    }

    /// `new` takes the place of `old` in the next run; with a gate, only if a step is made.
    fn carry(&mut self, old: &Value, new: &Value, initial: Tensor, gate: Option<&Gate>) -> Carried {
        let new = match gate {
            Some(gate) => self.emitter.select(&gate.apply, new, old),
            None => new.clone(),
        };
        let output = self.output(&new, &format!("next/{}", old.name));
        Carried {
            input: old.name.to_string(),
            output,
            initial,
        }
    }

    /// The finished model. Of the model's own outputs those stay that nothing new has taken the place of;
    /// nodes that no output needs are left out.
    fn model(self, model: &Model) -> Result<Model, GradError> {
        let proto = model.proto();
        let old = proto.graph.clone().unwrap_or_default();
        let nodes = self.forward.nodes.into_iter().chain(self.emitter.nodes).collect();
        let mut graph = GraphProto {
            name: Some("training".into()),
            node: nodes,
            input: old.input,
            output: self.outputs,
            ..Default::default()
        };
        graph.input.retain(|i| !self.forward.initializers.contains_key(i.name()));
        graph.input.extend(self.inputs);
        graph.initializer = self.forward.initializers.into_values().chain(self.emitter.constants).collect();
        drop_unused(&mut graph);
        Ok(Model::from_proto(ModelProto {
            graph: Some(graph),
            training_info: Vec::new(),
            ..proto.clone()
        })?)
    }
}

fn zeros(like: &Value) -> Tensor {
    let bytes = vec![0; like.len() * like.dtype.size()];
    let zeros = Tensor::from_le_bytes(like.dtype, like.shape.to_vec(), &bytes);
    zeros.unwrap_or_else(|e| unreachable!("{e}"))
}

/// Leaves out nodes and constants that no output depends on, such as a model's decoding after the tensor
/// that the loss judges.
fn drop_unused(graph: &mut GraphProto) {
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(i, n)| n.output.iter().map(move |o| (o.as_str(), i)))
        .collect();
    let mut needed: HashSet<String> = HashSet::new();
    let mut keep = vec![false; graph.node.len()];
    let mut todo: Vec<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    while let Some(tensor) = todo.pop() {
        if !needed.insert(tensor.clone()) {
            continue;
        }
        if let Some(&i) = makers.get(tensor.as_str())
            && !std::mem::replace(&mut keep[i], true)
        {
            todo.extend(splitinfer_graph::reads(&graph.node[i]).map(str::to_owned));
        }
    }
    let mut keep = keep.into_iter();
    graph.node.retain(|_| keep.next().unwrap_or(false));
    graph.initializer.retain(|t| needed.contains(t.name()));
}

