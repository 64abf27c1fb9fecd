// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model that is differentiated: its nodes in order, and what is known of its tensors.

use std::collections::{BTreeMap, HashMap, HashSet};

use splitinfer_graph::proto::{GraphProto, NodeProto, TensorProto};
use splitinfer_graph::{Facts, Model};
use splitinfer_tensor::{DType, Tensor};

use crate::error::GradError;
use crate::upgrade;
use crate::value::Value;

/// Constants with more elements are weights: no rule asks for their values.
const LARGEST_KNOWN: usize = 4096;

/// Nodes, shapes and values of a model whose input shapes are fixed.
pub(crate) struct Forward {
    pub opset: i64,
    /// Each after those it reads from.
    pub nodes: Vec<NodeProto>,
    /// Place of the node that makes each tensor.
    pub makers: HashMap<String, usize>,
    /// Initializers, by name.
    pub initializers: BTreeMap<String, TensorProto>,
    /// Every tensor of known type and shape.
    pub values: HashMap<String, Value>,
    /// Values that are the same on every run.
    pub constants: HashMap<String, Tensor>,
}

impl Forward {
    /// `facts`: of every tensor, constants included (`Model::probe_all`).
    ///
    /// # Errors
    /// When the operator set is too old.
    pub fn new(model: &Model, facts: &Facts) -> Result<Self, GradError> {
        let empty = GraphProto::default();
        let proto = model.proto();
        let graph = proto.graph.as_ref().unwrap_or(&empty);
        let opset = upgrade::opset(proto);
        if opset < upgrade::OPSET {
            return Err(GradError::OldOpset(opset));
        }
        let nodes: Vec<NodeProto> = model.ordered_nodes().cloned().collect();
        let outputs = |(i, n): (usize, &NodeProto)| {
            n.output.iter().map(|o| (o.clone(), i)).collect::<Vec<_>>()
        };
        let mut forward = Self {
            opset,
            makers: nodes.iter().enumerate().flat_map(outputs).collect(),
            nodes,
            initializers: BTreeMap::new(),
            values: HashMap::new(),
            constants: HashMap::new(),
        };
        for initializer in &graph.initializer {
            forward.add_constant(initializer.name(), initializer);
            forward
                .initializers
                .insert(initializer.name().to_owned(), initializer.clone());
        }
        for node in &graph.node {
            let value = node
                .attribute
                .iter()
                .find(|a| a.name() == "value")
                .and_then(|a| a.t.as_ref());
            if let (Some(name), "Constant", Some(value)) =
                (node.output.first(), node.op_type(), value)
            {
                forward.add_constant(name, value);
            }
        }
        for (name, fact) in &facts.0 {
            let value = || Value::new(name, &fact.shape, fact.dtype);
            forward.values.entry(name.clone()).or_insert_with(value);
            if let Some(value) = &fact.value {
                forward
                    .constants
                    .entry(name.clone())
                    .or_insert_with(|| value.clone());
            }
        }
        Ok(forward)
    }

    fn add_constant(&mut self, name: &str, proto: &TensorProto) {
        let Some(dtype) = DType::from_onnx(proto.data_type()) else {
            return;
        };
        let shape: Vec<usize> = proto
            .dims
            .iter()
            .map(|d| usize::try_from(*d).unwrap_or(0))
            .collect();
        self.values
            .insert(name.to_owned(), Value::new(name, &shape, dtype));
        if shape.iter().product::<usize>() <= LARGEST_KNOWN
            && let Some(value) = splitinfer_graph::read_constant(proto)
        {
            self.constants.insert(name.to_owned(), value);
        }
    }

    /// # Errors
    /// When type or shape are not known.
    pub fn value(&self, name: &str) -> Result<&Value, GradError> {
        let known = self.values.get(name);
        known.ok_or_else(|| GradError::UnknownShape(name.to_owned()))
    }

    /// Every name in use.
    pub fn names(&self) -> HashSet<String> {
        let touched = self
            .nodes
            .iter()
            .flat_map(|n| n.input.iter().chain(&n.output))
            .cloned();
        touched.chain(self.values.keys().cloned()).collect()
    }
}
