// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Small models with every kind of initializer.

#![allow(dead_code, reason = "each test file uses its own part")]

use half::f16;
use splitinfer_graph::Model;
use splitinfer_graph::build::GraphBuilder;
use splitinfer_tensor::{DType, Element, Tensor};

/// Weights of one model: singles, halves and doubles.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub singles: Vec<f32>,
    pub halves: Vec<f32>,
    pub doubles: Vec<f64>,
}

fn tensor<T: Element>(values: Vec<T>) -> Tensor {
    Tensor::new(vec![values.len()], values).unwrap()
}

/// A graph over these weights, and an integer initializer that is no weight.
pub fn model(values: &Values) -> Model {
    let halves = values.halves.iter().map(|v| f16::from_f32(*v)).collect();
    GraphBuilder::new(17)
        .input("x", DType::F32, &[1])
        .constant("axes", &tensor(vec![0i64]))
        .weight("singles", &[values.singles.len()], &values.singles)
        .constant("halves", &tensor::<f16>(halves))
        .constant("doubles", &tensor(values.doubles.clone()))
        .node("Add", &["x", "singles"], &["y"], vec![])
        .node("Identity", &["halves"], &["h"], vec![])
        .node("Identity", &["doubles"], &["d"], vec![])
        .node("Squeeze", &["x", "axes"], &["s"], vec![])
        .untyped_output("y")
        .untyped_output("h")
        .untyped_output("d")
        .untyped_output("s")
        .model()
        .unwrap()
}

/// Only singles matter.
pub fn singles(values: &[f32]) -> Model {
    model(&Values {
        singles: values.to_vec(),
        halves: vec![1.0],
        doubles: vec![1.0],
    })
}

/// The singles of a model.
pub fn stored(model: &Model) -> Vec<f32> {
    let graph = model.proto().graph.as_ref().unwrap();
    let mut tensors = graph.initializer.iter();
    let tensor = tensors.find(|t| t.name() == "singles").unwrap();
    let raw = tensor.raw_data.as_ref().unwrap();
    let values = raw.as_chunks::<4>().0.iter();
    values.map(|b| f32::from_le_bytes(*b)).collect()
}
