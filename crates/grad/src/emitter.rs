// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Writing a graph: nodes with fresh names, constants that are kept once, shapes worked out on the way.
//!
//! All sizes are known, so a shape is a list of numbers and what depends on shapes is decided here and
//! not in the graph. Operators are those of operator set 17, and 18 where their form changed.

use std::collections::{HashMap, HashSet};

use splitinfer_graph::build;
use splitinfer_graph::proto::{AttributeProto, NodeProto, TensorProto};
use splitinfer_tensor::{DType, Tensor};

use crate::value::Value;

/// Collects the nodes and constants of the graph that is being written.
#[derive(Debug)]
pub struct Emitter {
    /// Version of the default operator set.
    pub opset: i64,
    pub nodes: Vec<NodeProto>,
    pub constants: Vec<TensorProto>,
    taken: HashSet<String>,
    known: HashMap<(DType, Vec<usize>, Vec<u8>), Value>,
    count: usize,
}

impl Emitter {
    /// `taken`: names that the graph has already.
    pub fn new(opset: i64, taken: impl IntoIterator<Item = String>) -> Self {
        Self {
            opset,
            nodes: Vec::new(),
            constants: Vec::new(),
            taken: taken.into_iter().collect(),
            known: HashMap::new(),
            count: 0,
        }
    }

    /// A name that nothing has, made from `hint`.
    pub fn fresh(&mut self, hint: &str) -> String {
        loop {
            let name = format!("{hint}/{}", self.count);
            self.count += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// The exact name, if nothing has it; else one made from it.
    pub fn named(&mut self, name: &str) -> String {
        match self.taken.insert(name.to_owned()) {
            true => name.to_owned(),
            false => self.fresh(name),
        }
    }

    /// A node with one output of this shape and type.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&Value],
        shape: &[usize],
        dtype: DType,
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let output = self.fresh(&format!("grad/{op}"));
        let inputs: Vec<&str> = inputs.iter().map(|v| &*v.name).collect();
        let node = build::node(op, &inputs, &[&output], attributes);
        self.nodes.push(node);
        Value::new(&output, shape, dtype)
    }

    /// Gives a value the name `name` (by an Identity node, which ONNX Runtime drops).
    pub fn publish(&mut self, value: &Value, name: &str) -> Value {
        let name = self.named(name);
        let node = build::node("Identity", &[&value.name], &[&name], vec![]);
        self.nodes.push(node);
        Value::new(&name, &value.shape, value.dtype)
    }

    /// A constant; the same one is kept once.
    pub fn constant(&mut self, tensor: &Tensor) -> Value {
        let key = (
            tensor.dtype(),
            tensor.shape().to_vec(),
            tensor.to_le_bytes(),
        );
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let name = self.fresh("grad/constant");
        self.constants.push(build::tensor(&name, tensor));
        let value = Value::new(&name, tensor.shape(), tensor.dtype());
        self.known.insert(key, value.clone());
        value
    }

    /// A constant of this shape and floating-point type.
    ///
    /// # Panics
    /// When `data` does not hold the product of `shape`: the shapes are the caller's own.
    pub fn floats(&mut self, shape: &[usize], data: &[f64], dtype: DType) -> Value {
        let bytes: Vec<u8> = match dtype {
            DType::F64 => data.iter().flat_map(|v| v.to_le_bytes()).collect(),
            DType::F16 => data
                .iter()
                .flat_map(|v| half_bits(*v).to_le_bytes())
                .collect(),
            _ => data
                .iter()
                .flat_map(|v| (*v as f32).to_le_bytes())
                .collect(),
        };
        let dtype = match dtype {
            DType::F64 | DType::F16 => dtype,
            _ => DType::F32,
        };
        let tensor = Tensor::from_le_bytes(dtype, shape.to_vec(), &bytes);
        self.constant(&tensor.unwrap_or_else(|e| panic!("a constant of the gradient: {e}")))
    }

    /// A scalar of this type.
    pub fn scalar(&mut self, value: f64, dtype: DType) -> Value {
        self.floats(&[], &[value], dtype)
    }

    /// A list of 64-bit integers: a shape, axes, positions.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        self.int_tensor(&[values.len()], values.to_vec())
    }

    /// 64-bit integers of any shape.
    ///
    /// # Panics
    /// As [`Emitter::floats`].
    pub fn int_tensor(&mut self, shape: &[usize], values: Vec<i64>) -> Value {
        let tensor = Tensor::new(shape.to_vec(), values);
        self.constant(&tensor.unwrap_or_else(|e| panic!("a constant of the gradient: {e}")))
    }
}

fn half_bits(value: f64) -> u16 {
    half::f16::from_f64(value).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fresh_and_constants_kept_once() {
        let mut e = Emitter::new(17, ["grad/constant/0".to_owned()]);
        let a = e.scalar(2.0, DType::F32);
        let b = e.scalar(2.0, DType::F32);
        assert_eq!(a, b);
        assert_ne!(&*a.name, "grad/constant/0");
        assert_ne!(e.scalar(2.0, DType::F64), a);
        assert_eq!(e.constants.len(), 2);
    }
}
