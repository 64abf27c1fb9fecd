// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One operator on its way through the frames: which of its inputs hold frames, and what is known of them.

use crate::constant::read_constant;
use crate::cost::attribute;
use crate::depend::Level;
use crate::facts::Facts;
use crate::model::{Dim, Model};
use crate::order::{Source, subgraphs};
use crate::proto::{NodeProto, TensorProto};

pub(super) struct Call<'a> {
    model: &'a Model,
    facts: &'a Facts,
    node: &'a NodeProto,
    inputs: Vec<Input>,
    /// Of the first output.
    output: Vec<usize>,
}

struct Input {
    /// It holds one entry of its first axis for each frame.
    frames: bool,
    shape: Vec<usize>,
}

impl<'a> Call<'a> {
    /// # Errors
    /// When it is no standard operator without subgraphs, or a tensor's shape is not known, or its first size is not one
    /// where it holds frames.
    pub fn new(model: &'a Model, facts: &'a Facts, node: &'a NodeProto) -> Result<Self, String> {
        let of = |reason: &str| refusal(node, reason);
        if !matches!(node.domain(), "" | "ai.onnx") {
            return Err(of(&format!("it is of the domain {}", node.domain())));
        }
        if subgraphs(&node.attribute).next().is_some() {
            return Err(of("it has subgraphs"));
        }
        let inputs = node.input.iter().map(|name| input(model, facts, name));
        let inputs = inputs.collect::<Result<_, _>>().map_err(|e| of(&e))?;
        let first = node.output.first().map_or("", String::as_str);
        let mut output = Vec::new();
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            let shape = shape(model, facts, name).ok_or_else(|| of("a shape is not known"))?;
            leads(&shape).map_err(|e| of(&e))?;
            if name == first {
                output = shape;
            }
        }
        Ok(Self {
            model,
            facts,
            node,
            inputs,
            output,
        })
    }

    pub fn refusal(&self, reason: &str) -> String {
        refusal(self.node, reason)
    }

    pub fn op(&self) -> &str {
        self.node.op_type()
    }

    pub fn outputs(&self) -> usize {
        self.node.output.iter().filter(|o| !o.is_empty()).count()
    }

    /// The sizes of the first output.
    pub fn output(&self) -> &[usize] {
        &self.output
    }

    /// The name of an input; empty where it is left out.
    pub fn input(&self, i: usize) -> &str {
        self.node.input.get(i).map_or("", String::as_str)
    }

    pub fn is_given(&self, i: usize) -> bool {
        !self.input(i).is_empty()
    }

    pub fn inputs(&self) -> std::ops::Range<usize> {
        0..self.inputs.len()
    }

    /// Whether this input holds frames, and is no constant.
    pub fn has_frames(&self, i: usize) -> bool {
        self.inputs.get(i).is_some_and(|input| input.frames)
    }

    /// The first input that holds frames.
    pub fn any_frames(&self) -> &str {
        let at = self.inputs().find(|i| self.has_frames(*i));
        at.map_or("", |i| self.input(i))
    }

    /// The sizes of an input.
    pub fn shape(&self, i: usize) -> &[usize] {
        self.inputs.get(i).map_or(&[], |input| &input.shape)
    }

    pub fn has(&self, attribute_name: &str) -> bool {
        attribute(self.node, attribute_name).is_some()
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        attribute(self.node, name).map_or(default, |a| a.i())
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        attribute(self.node, name).map(|a| a.ints.as_slice())
    }

    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        attribute(self.node, name).map(|a| a.floats.as_slice())
    }

    /// The numbers of a constant input; `None` if it is not there or no constant that can be read.
    pub fn constant(&self, i: usize) -> Option<Vec<f64>> {
        let name = self.input(i);
        let value = match self.facts.get(name).and_then(|fact| fact.value.clone()) {
            Some(value) => value,
            None => read_constant(self.stored(name)?)?,
        };
        // Sizes and places, which single precision would not hold all of.
        if let Some(values) = value.as_slice::<i64>() {
            return Some(values.iter().map(|v| *v as f64).collect());
        }
        Some(value.to_f32_vec().into_iter().map(f64::from).collect())
    }

    fn stored(&self, name: &str) -> Option<&TensorProto> {
        let id = self.model.graph().id(name)?;
        match self.model.graph().tensors[id].source {
            Source::Initializer(at) => Some(&self.model.main().initializer[at]),
            _ => None,
        }
    }
}

fn refusal(node: &NodeProto, reason: &str) -> String {
    let output = node.output.first().map_or("", String::as_str);
    format!("{} at '{output}': {reason}", node.op_type())
}

fn input(model: &Model, facts: &Facts, name: &str) -> Result<Input, String> {
    let id = model.graph().id(name);
    let level = id.map_or(Level::Constant, |t| model.graph().tensors[t].depends.value);
    let shape = shape(model, facts, name);
    match level {
        Level::Shapes => Err(format!("'{name}' depends on the shape of the input")),
        Level::Data => {
            let shape = shape.ok_or_else(|| format!("the shape of '{name}' is not known"))?;
            leads(&shape)?;
            Ok(Input {
                frames: true,
                shape,
            })
        }
        Level::Constant if name.is_empty() => Ok(Input {
            frames: false,
            shape: Vec::new(),
        }),
        Level::Constant => Ok(Input {
            frames: false,
            shape: shape.ok_or_else(|| format!("the shape of '{name}' is not known"))?,
        }),
    }
}

fn leads(shape: &[usize]) -> Result<(), String> {
    match shape.first() {
        Some(1) => Ok(()),
        _ => Err(format!(
            "a tensor of shape {shape:?} has no first axis for frames"
        )),
    }
}

/// Of one frame.
fn shape(model: &Model, facts: &Facts, name: &str) -> Option<Vec<usize>> {
    if let Some(fact) = facts.get(name) {
        return fact.stable.then(|| fact.shape.clone());
    }
    let id = model.graph().id(name)?;
    match model.graph().tensors[id].source {
        Source::Initializer(at) => {
            let dims = model.main().initializer[at].dims.iter();
            dims.map(|d| usize::try_from(*d).ok()).collect()
        }
        Source::Input => {
            let inputs = model.inputs();
            let dims = inputs.into_iter().find(|i| i.name == name)?.shape?;
            let size = |dim: Dim| match dim {
                Dim::Fixed(size) => Some(size),
                Dim::Symbol(_) => None,
            };
            dims.into_iter().map(size).collect()
        }
        Source::Node(_) | Source::Sparse(_) => None,
    }
}
