// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which constants of a model are its weights.
//!
//! A constant is a weight by what reads it: the kernel of a convolution, the scale of a normalisation. Other
//! constants, such as the grid that a detector adds to its boxes, the bounds of a Clip or running statistics,
//! are part of what the model means, and training must not touch them.

use std::collections::{HashMap, HashSet};

use splitinfer_graph::Model;
use splitinfer_graph::proto::{NodeProto, TensorProto};
use splitinfer_tensor::DType;

/// A weight of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name of the initializer.
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: DType,
}

/// Operators through which a weight may pass before it is used.
const HAND_ON: [&str; 6] = [
    "Identity",
    "Cast",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
];

/// Operators that a bias or a scale of its own may follow.
const TAKE_BIAS: [&str; 6] = [
    "Conv",
    "ConvTranspose",
    "MatMul",
    "Gemm",
    "InstanceNormalization",
    "LayerNormalization",
];

/// The weights of a model, in the order of its initializers.
pub fn parameters(model: &Model) -> Vec<Parameter> {
    let Some(graph) = &model.proto().graph else {
        return vec![];
    };
    let uses = Uses::new(model);
    let weights = graph.initializer.iter().filter(|t| uses.is_weight(t));
    weights.filter_map(describe).collect()
}

/// Name, shape and type of an initializer of floats.
pub(crate) fn describe(initializer: &TensorProto) -> Option<Parameter> {
    let dtype = DType::from_onnx(initializer.data_type()).filter(|d| d.is_float())?;
    let dims = initializer.dims.iter().map(|d| usize::try_from(*d).ok());
    Some(Parameter {
        name: initializer.name().to_owned(),
        shape: dims.collect::<Option<_>>()?,
        dtype,
    })
}

/// Who reads a tensor, and who makes it.
struct Uses<'a> {
    readers: HashMap<&'a str, Vec<(&'a NodeProto, usize)>>,
    maker: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Uses<'a> {
    fn new(model: &'a Model) -> Self {
        let mut uses = Self {
            readers: HashMap::new(),
            maker: HashMap::new(),
        };
        for node in model.ordered_nodes() {
            for (i, input) in node.input.iter().enumerate() {
                uses.readers.entry(input).or_default().push((node, i));
            }
            for output in &node.output {
                uses.maker.insert(output, node);
            }
        }
        uses
    }

    fn is_weight(&self, initializer: &TensorProto) -> bool {
        let float = DType::from_onnx(initializer.data_type()).is_some_and(DType::is_float);
        float && self.read_as_weight(initializer.name(), &initializer.dims)
    }

    fn read_as_weight(&self, tensor: &str, dims: &[i64]) -> bool {
        let mut todo = vec![tensor];
        let mut seen = HashSet::new();
        while let Some(tensor) = todo.pop() {
            for (node, input) in self.readers.get(tensor).into_iter().flatten() {
                if self.weighs(node, *input, dims) {
                    return true;
                }
                let output = node.output.first().map_or("", String::as_str);
                if *input == 0 && HAND_ON.contains(&node.op_type()) && seen.insert(output) {
                    todo.push(output);
                }
            }
        }
        false
    }

    /// Whether this input of the node is where its operator has a weight.
    fn weighs(&self, node: &NodeProto, input: usize, dims: &[i64]) -> bool {
        match (node.op_type(), input) {
            ("Conv" | "ConvTranspose" | "Gemm", 1 | 2) => true,
            ("MatMul", 0 | 1) => dims.len() >= 2,
            (
                "BatchNormalization"
                | "LayerNormalization"
                | "InstanceNormalization"
                | "GroupNormalization",
                1 | 2,
            ) => true,
            ("PRelu", 1) => true,
            ("Gather", 0) => dims.len() == 2,
            ("Add" | "Mul", 0 | 1) => self.follows_a_layer(node, 1 - input) && is_vector(dims),
            _ => false,
        }
    }

    /// Whether an input comes from a layer, perhaps reshaped or scaled on the way.
    fn follows_a_layer(&self, node: &NodeProto, input: usize) -> bool {
        let mut tensor = node.input[input].as_str();
        while let Some(maker) = self.maker.get(tensor) {
            match maker.op_type() {
                op if TAKE_BIAS.contains(&op) => return true,
                "Reshape" | "Transpose" | "Mul" | "Add" if !maker.input.is_empty() => {
                    // Of a scale's two inputs, the one that is made by a node.
                    let made = |i: &&String| self.maker.contains_key(i.as_str());
                    let mut inputs = maker.input.iter();
                    match inputs.find(made) {
                        Some(next) => tensor = next,
                        None => return false,
                    }
                }
                _ => return false,
            }
        }
        false
    }
}

/// A number a channel: one axis (the last, or with places after it the one before them) longer than 1.
fn is_vector(dims: &[i64]) -> bool {
    let longer: Vec<usize> = (0..dims.len()).filter(|i| dims[*i] > 1).collect();
    let after = |i: usize| dims.len() - 1 - i;
    matches!(longer.as_slice(), [i] if after(*i) == 0 || after(*i) == 2)
}
