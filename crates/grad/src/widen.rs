// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Weights kept as float16 and widened before use: training works on the wide form.

use std::collections::HashMap;

use splitinfer_graph::build::tensor;
use splitinfer_graph::proto::{GraphProto, NodeProto};
use splitinfer_graph::read_constant;
use splitinfer_tensor::{DType, Tensor};

/// Makes every float16 initializer that only Cast nodes read one of float32. The casts then change nothing.
pub(crate) fn widen(graph: &mut GraphProto) {
    let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in &graph.node {
        for input in &node.input {
            readers.entry(input).or_default().push(node);
        }
    }
    let widened = |node: &&NodeProto| {
        let to = node.attribute.iter().find(|a| a.name() == "to");
        node.op_type() == "Cast" && to.is_some_and(|a| a.i() == i64::from(DType::F32.to_onnx()))
    };
    let only_widened = |name: &str| readers.get(name).is_some_and(|r| r.iter().all(widened));
    let half = DType::F16.to_onnx();
    let wide: Vec<usize> = (0..graph.initializer.len())
        .filter(|i| graph.initializer[*i].data_type() == half)
        .filter(|i| only_widened(graph.initializer[*i].name()))
        .collect();
    for i in wide {
        let name = graph.initializer[i].name().to_owned();
        let value = read_constant(&graph.initializer[i]);
        let value = value.and_then(|v| Tensor::new(v.shape().to_vec(), v.to_f32_vec()).ok());
        if let Some(value) = value {
            graph.initializer[i] = tensor(&name, &value);
        }
    }
}
