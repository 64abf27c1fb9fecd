// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A graph of a single convolution's gradient that grows node by node, from `x` and `seed/y` to `dw`.

use anyhow::Result;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_graph::proto::AttributeProto;
use splitinfer_tensor::{DType, Tensor};

use super::convolution::Convolution;

/// A graph that grows; tensors are numbered.
pub struct Draft {
    builder: GraphBuilder,
    count: usize,
}

impl Draft {
    pub fn new(c: &Convolution) -> Self {
        let [height, width] = c.output();
        let builder = GraphBuilder::new(17)
            .input("x", DType::F32, &[c.pictures, c.inputs, c.height, c.width])
            .input(
                "seed/y",
                DType::F32,
                &[c.pictures, c.outputs, height, width],
            );
        Self { builder, count: 0 }
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("t{}", self.count);
        self.count += 1;
        let builder = std::mem::replace(&mut self.builder, GraphBuilder::new(17));
        self.builder = builder.node(op, inputs, &[&output], attributes);
        output
    }

    fn list(&mut self, values: &[usize]) -> Result<String> {
        let name = format!("c{}", self.count);
        self.count += 1;
        let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
        let builder = std::mem::replace(&mut self.builder, GraphBuilder::new(17));
        self.builder = builder.constant(&name, &Tensor::new(vec![values.len()], values)?);
        Ok(name)
    }

    pub fn reshape(&mut self, x: &str, shape: &[usize]) -> Result<String> {
        let shape = self.list(shape)?;
        Ok(self.node("Reshape", &[x, &shape], vec![]))
    }

    pub fn transpose(&mut self, x: &str, perm: &[i64]) -> String {
        self.node("Transpose", &[x], vec![ints("perm", perm)])
    }

    /// `ends` are absolute.
    pub fn slice(
        &mut self,
        x: &str,
        axes: &[usize],
        starts: &[usize],
        ends: &[usize],
        step: usize,
    ) -> Result<String> {
        let lists = [starts, ends, axes, &vec![step; axes.len()]].map(|l| self.list(l));
        let [starts, ends, axes, steps] = lists;
        Ok(self.node("Slice", &[x, &starts?, &ends?, &axes?, &steps?], vec![]))
    }

    /// Zeros after and before the last two axes.
    pub fn pad(&mut self, x: &str, before: usize, after: [usize; 2]) -> Result<String> {
        if before == 0 && after == [0, 0] {
            return Ok(x.to_owned());
        }
        let pads = self.list(&[0, 0, before, before, 0, 0, after[0], after[1]])?;
        Ok(self.node("Pad", &[x, &pads], vec![]))
    }

    pub fn sum(&mut self, x: &str, axes: &[usize]) -> Result<String> {
        let axes = self.list(axes)?;
        Ok(self.node("ReduceSum", &[x, &axes], vec![int("keepdims", 0)]))
    }

    pub fn finish(mut self, c: &Convolution, dw: &str) -> Result<Model> {
        let shape = [c.outputs, c.inputs / c.groups, c.kernel, c.kernel];
        let sizes = self.list(&shape)?;
        let builder = self.builder.node("Reshape", &[dw, &sizes], &["dw"], vec![]);
        Ok(builder.output("dw", DType::F32, &shape).model()?)
    }
}
