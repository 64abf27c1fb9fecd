// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model that grows inputs and outputs: where differentiation writes its nodes.

use std::collections::{HashMap, HashSet};

use splitinfer_graph::build::value;
use splitinfer_graph::proto::{GraphProto, ModelProto, ValueInfoProto};
use splitinfer_graph::{Facts, Model, read_constant};
use splitinfer_tensor::{DType, Tensor};

use crate::emitter::Emitter;
use crate::error::GradError;
use crate::forward::Forward;
use crate::value::Value;

/// A model that grows inputs and outputs.
pub(crate) struct Writer {
    pub forward: Forward,
    pub emitter: Emitter,
    /// Inputs of the model that is differentiated.
    data: Vec<ValueInfoProto>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

impl Writer {
    pub fn new(model: &Model, facts: &Facts) -> Result<Self, GradError> {
        let forward = Forward::new(model, facts)?;
        let emitter = Emitter::new(forward.opset, forward.names());
        let graph = model.proto().graph.as_ref();
        Ok(Self {
            data: graph.map(|g| g.input.clone()).unwrap_or_default(),
            forward,
            emitter,
            inputs: Vec::new(),
            outputs: Vec::new(),
        })
    }

    /// Leaves out the model itself: what is written here works on other inputs alone.
    pub fn forget_the_model(&mut self) {
        self.data.clear();
        self.forward.nodes.clear();
    }

    pub fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> Value {
        let name = self.emitter.named(name);
        self.inputs.push(value(&name, dtype, shape));
        Value::new(&name, shape, dtype)
    }

    pub fn output(&mut self, x: &Value, name: &str) -> String {
        let published = self.emitter.publish(x, name);
        self.outputs.push(value(&published.name, x.dtype, &x.shape));
        published.name.to_string()
    }

    /// Makes parameters inputs.
    pub fn take_parameters(&mut self, names: &[String]) -> Result<Vec<(Value, Tensor)>, GradError> {
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
            let initial =
                read_constant(&initializer).ok_or_else(|| unfit("its values cannot be read"))?;
            if !matches!(initial.dtype(), DType::F32 | DType::F64) {
                return Err(unfit(&format!("it is of type {}", initial.dtype())));
            }
            if taken
                .first()
                .is_some_and(|(v, _): &(Value, Tensor)| v.dtype != initial.dtype())
            {
                return Err(unfit("the others are of another type"));
            }
            self.inputs
                .push(value(name, initial.dtype(), initial.shape()));
            self.forward.constants.remove(name);
            taken.push((Value::new(name, initial.shape(), initial.dtype()), initial));
        }
        Ok(taken)
    }

    /// The finished model. It gives what was published here, and no output of the old model by itself; nodes
    /// that nothing published needs are left out.
    pub fn model(self, model: &Model) -> Result<Model, GradError> {
        let proto = model.proto();
        let nodes = self
            .forward
            .nodes
            .into_iter()
            .chain(self.emitter.nodes)
            .collect();
        let mut graph = GraphProto {
            name: Some("training".into()),
            node: nodes,
            input: self.data,
            output: self.outputs,
            ..Default::default()
        };
        graph
            .input
            .retain(|i| !self.forward.initializers.contains_key(i.name()));
        graph.input.extend(self.inputs);
        graph.initializer = self
            .forward
            .initializers
            .into_values()
            .chain(self.emitter.constants)
            .collect();
        drop_unused(&mut graph);
        name_at_the_source(&mut graph);
        Ok(Model::from_proto(ModelProto {
            graph: Some(graph),
            training_info: Vec::new(),
            ..proto.clone()
        })?)
    }
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

/// Lets what makes an output give it the output's name, instead of an Identity node behind it, which would copy
/// it.
fn name_at_the_source(graph: &mut GraphProto) {
    let outputs: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let made: HashSet<String> = graph.node.iter().flat_map(|n| &n.output).cloned().collect();
    let mut names: HashMap<String, String> = HashMap::new();
    graph.node.retain(|node| {
        let (input, output) = (&node.input[..], &node.output[..]);
        let ([input], [output], "Identity") = (input, output, node.op_type()) else {
            return true;
        };
        let free = made.contains(input) && !outputs.contains(input) && !names.contains_key(input);
        if outputs.contains(output) && free {
            names.insert(input.clone(), output.clone());
            return false;
        }
        true
    });
    for node in &mut graph.node {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if let Some(new) = names.get(name) {
                name.clone_from(new);
            }
        }
    }
}
