// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model of an older operator set, as the same model of set 17, which the rules are written for.
//!
//! Only what changed its form between sets 7 and 17 is rewritten: axes, sizes and bounds that became inputs,
//! the softmax that lost its flattening, Upsample that became Resize, outputs that training once had. This form is for training alone; the
//! weights go back into the model as it was.

use std::collections::HashSet;

use splitinfer_graph::Model;
use splitinfer_graph::build::{int, node, string, tensor};
use splitinfer_graph::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use splitinfer_tensor::Tensor;

use crate::error::GradError;
use crate::widen::widen;

/// The set that models are raised to.
pub(crate) const OPSET: i64 = 17;

/// The same model in the form that can be trained: of operator set 17 or newer, with weights that are kept as
/// float16 as float32. Tensors and initializers keep their names.
///
/// # Errors
/// When what would have to be rewritten is inside control flow.
pub fn trainable_form(model: &Model) -> Result<Model, GradError> {
    let mut proto = ModelProto::clone(model.proto());
    let from = opset(&proto);
    if let Some(graph) = &mut proto.graph {
        widen(graph);
        if from < OPSET {
            raise(graph, from)?;
        }
    }
    for import in &mut proto.opset_import {
        if matches!(import.domain(), "" | "ai.onnx") {
            import.version = Some(import.version().max(OPSET));
        }
    }
    proto.ir_version = Some(proto.ir_version().max(8));
    Ok(Model::from_proto(proto)?)
}

/// Version of the default operator set.
pub(crate) fn opset(proto: &ModelProto) -> i64 {
    let mut imports = proto.opset_import.iter();
    let default = imports.find(|o| matches!(o.domain(), "" | "ai.onnx"));
    default.map_or(0, |o| o.version())
}

fn raise(graph: &mut GraphProto, from: i64) -> Result<(), GradError> {
    let mut names = Names(taken(graph));
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        let inner = node.attribute.iter().filter_map(|a| a.g.as_ref());
        if inner.flat_map(|g| &g.node).any(|n| changed(n, from)) {
            return Err(GradError::OldOpset(from));
        }
        if !changed(&node, from) {
            nodes.push(node);
            continue;
        }
        let mut inputs = Inputs {
            names: &mut names,
            constants: &mut graph.initializer,
        };
        match node.op_type() {
            "Softmax" | "LogSoftmax" | "Hardmax" => {
                nodes.extend(flattened(node, &mut names));
                continue;
            }
            "BatchNormalization" => node.output.truncate(1),
            "Dropout" => node.attribute.retain(|a| a.name() != "ratio"),
            "Scatter" => node.op_type = Some("ScatterElements".into()),
            "Upsample" | "Resize" => inputs.as_resize(&mut node),
            "Slice" => inputs.take(&mut node, &["starts", "ends", "axes"]),
            "Pad" => inputs.take(&mut node, &["pads", "value"]),
            "Clip" => inputs.take(&mut node, &["min", "max"]),
            "TopK" => inputs.take(&mut node, &["k"]),
            "Split" => inputs.take(&mut node, &["split"]),
            _ => inputs.take(&mut node, &["axes"]),
        }
        nodes.push(node);
    }
    graph.node = nodes;
    Ok(())
}

/// Whether a node has another form in operator set 17.
fn changed(node: &NodeProto, from: i64) -> bool {
    let since = match node.op_type() {
        "Slice" | "TopK" | "Upsample" => 10,
        "Clip" | "Pad" | "Resize" | "Scatter" => 11,
        "Dropout" => 12,
        "ReduceSum" | "Squeeze" | "Unsqueeze" | "Split" | "Softmax" | "LogSoftmax" | "Hardmax" => {
            13
        }
        "BatchNormalization" => 14,
        _ => return false,
    };
    from < since && matches!(node.domain(), "" | "ai.onnx")
}

/// Where attributes become inputs.
struct Inputs<'a> {
    names: &'a mut Names,
    constants: &'a mut Vec<TensorProto>,
}

impl Inputs<'_> {
    /// Turns attributes into the inputs after the first, in this order; one that is absent is left out.
    fn take(&mut self, node: &mut NodeProto, attributes: &[&str]) {
        node.input.truncate(1);
        for name in attributes {
            let at = node.attribute.iter().position(|a| a.name() == *name);
            let value = at.and_then(|at| as_tensor(name, &node.attribute.remove(at)));
            let input = value.map(|value| self.constant(node, name, &value));
            node.input.push(input.unwrap_or_default());
        }
        while node.input.last().is_some_and(String::is_empty) {
            node.input.pop();
        }
    }

    fn constant(&mut self, node: &NodeProto, name: &str, value: &Tensor) -> String {
        let output = node.output.first().map_or("", String::as_str);
        let input = self.names.fresh(&format!("{output}/{name}"));
        self.constants.push(tensor(&input, value));
        input
    }

    /// Upsample, and Resize as it first was: scales alone, counted from the corner, rounded down.
    fn as_resize(&mut self, node: &mut NodeProto) {
        let mut scales = node.input.get(1).cloned().unwrap_or_default();
        if let Some(at) = node.attribute.iter().position(|a| a.name() == "scales") {
            let values = node.attribute.remove(at).floats;
            if let Ok(values) = Tensor::new(vec![values.len()], values) {
                scales = self.constant(node, "scales", &values);
            }
        }
        node.op_type = Some("Resize".into());
        node.input = vec![node.input[0].clone(), String::new(), scales];
        node.attribute
            .push(string("coordinate_transformation_mode", "asymmetric"));
        node.attribute.push(string("nearest_mode", "floor"));
    }
}

/// An attribute's value in the form of the input that takes its place: bounds are scalars, the rest lists.
fn as_tensor(name: &str, attribute: &AttributeProto) -> Option<Tensor> {
    match name {
        "min" | "max" | "value" => Tensor::new(vec![], vec![attribute.f()]).ok(),
        "k" => Tensor::new(vec![1], vec![attribute.i()]).ok(),
        _ => Tensor::new(vec![attribute.ints.len()], attribute.ints.clone()).ok(),
    }
}

/// The softmax over everything from `axis` on: flattened to a matrix, and back.
fn flattened(softmax: NodeProto, names: &mut Names) -> Vec<NodeProto> {
    let axis = softmax
        .attribute
        .iter()
        .find(|a| a.name() == "axis")
        .map_or(1, AttributeProto::i);
    let (x, y) = (softmax.input[0].clone(), softmax.output[0].clone());
    let [flat, soft, shape] = ["flat", "soft", "shape"].map(|n| names.fresh(&format!("{y}/{n}")));
    vec![
        node("Flatten", &[&x], &[&flat], vec![int("axis", axis)]),
        node(softmax.op_type(), &[&flat], &[&soft], vec![int("axis", -1)]),
        node("Shape", &[&x], &[&shape], vec![]),
        node("Reshape", &[&soft, &shape], &[&y], vec![]),
    ]
}

/// The names a graph uses.
pub(crate) fn taken(graph: &GraphProto) -> HashSet<String> {
    let made = graph
        .node
        .iter()
        .flat_map(|n| n.output.iter().chain(&n.input));
    let constants = graph.initializer.iter().map(|t| t.name().to_owned());
    let values = graph
        .input
        .iter()
        .chain(&graph.output)
        .map(|v| v.name().to_owned());
    made.cloned().chain(constants).chain(values).collect()
}

struct Names(HashSet<String>);

impl Names {
    fn fresh(&mut self, hint: &str) -> String {
        let mut name = hint.to_owned();
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}
