// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A convolution by itself: its sizes, how a table says them, and the ways in which the gradient of its weights can be
//! written in ordinary operators.

use std::collections::HashMap;
use std::fmt;

use splitinfer_grad::parameters;
use splitinfer_graph::proto::{AttributeProto, NodeProto};
use splitinfer_graph::{Facts, Model};

/// Sizes of a convolution of pictures; the same on both axes, and before as after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Convolution {
    pub pictures: usize,
    pub inputs: usize,
    pub height: usize,
    pub width: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub padding: usize,
    pub groups: usize,
}

impl Convolution {
    /// `weight`: the shape of its weights. `None` for one that is not like this.
    pub fn of(node: &NodeProto, weight: &[usize], facts: &Facts) -> Option<Self> {
        let (x, w) = (&facts.get(&node.input[0])?.shape, weight);
        let [pictures, inputs, height, width] = x[..] else {
            return None;
        };
        let [outputs, _, kernel, other] = w[..] else {
            return None;
        };
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
        let one = |name: &str, otherwise: usize| match attribute(name) {
            Some(a) if a.ints.iter().all(|v| *v == a.ints[0]) => usize::try_from(a.ints[0]).ok(),
            Some(_) => None,
            None => Some(otherwise),
        };
        let groups = attribute("group").map_or(1, AttributeProto::i);
        (kernel == other).then_some(Self {
            pictures,
            inputs,
            height,
            width,
            outputs,
            kernel,
            stride: one("strides", 1)?,
            dilation: one("dilations", 1)?,
            padding: one("pads", 0)?,
            groups: usize::try_from(groups).ok()?,
        })
    }

    /// Each convolution of a model with the names of its weights and bias.
    pub fn all(model: &Model, facts: &Facts) -> Vec<(Self, Vec<String>)> {
        let shapes: HashMap<String, Vec<usize>> = parameters(model)
            .into_iter()
            .map(|p| (p.name, p.shape))
            .collect();
        let convolutions = model.ordered_nodes().filter(|n| n.op_type() == "Conv");
        let known = |node: &NodeProto| {
            let weight = shapes.get(node.input.get(1)?)?;
            Some((Self::of(node, weight, facts)?, node.input[1..].to_vec()))
        };
        convolutions.filter_map(known).collect()
    }

    /// Height and width of the output.
    pub fn output(&self) -> [usize; 2] {
        [self.height, self.width].map(|n| {
            (n + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
        })
    }

    /// Multiply–accumulate operations forward.
    pub fn macs(&self) -> usize {
        let [height, width] = self.output();
        self.pictures * self.outputs * height * width * self.inputs / self.groups
            * self.kernel
            * self.kernel
    }

    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs
    }
}

impl fmt::Display for Convolution {
    /// `8×24×44×80 → 48, 3×3, stride 2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pictures,
            inputs,
            height,
            width,
            outputs,
            kernel,
            ..
        } = self;
        write!(
            f,
            "{pictures}×{inputs}×{height}×{width} → {outputs}, {kernel}×{kernel}"
        )?;
        for (what, value) in [
            ("stride", self.stride),
            ("dilation", self.dilation),
            ("groups", self.groups),
        ] {
            if value > 1 {
                write!(f, ", {what} {value}")?;
            }
        }
        Ok(())
    }
}
