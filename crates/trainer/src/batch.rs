// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model for one picture as the same model for several.
//!
//! Many models are exported for a batch of one, which then stands in their inputs and in the constants of
//! their reshapes. Both are changed here; whether that was enough is found out by running it.

use std::collections::{HashMap, HashSet};

use splitinfer_graph::build::{tensor, untyped};
use splitinfer_graph::proto::{
    DimensionValue, GraphProto, ModelProto, NodeProto, TypeValue, ValueInfoProto,
};
use splitinfer_graph::{Dim, Model, read_constant};
use splitinfer_runtime::{RuntimeError, Session, SessionOptions, sample};
use splitinfer_tensor::Tensor;

use crate::sample::Slot;

/// Differences between a picture alone and in a batch that rounding explains, relative to the largest value.
const ROUNDING: f32 = 1e-3;

/// The model for `count` pictures, if every output of it is then what it is for each picture alone.
pub(crate) fn batched(model: &Model, count: usize, options: &SessionOptions) -> Option<Model> {
    let single = model.inputs();
    let one = |dims: &Option<Vec<Dim>>| matches!(dims.as_deref(), Some([Dim::Fixed(1), ..]));
    if !single.iter().all(|i| one(&i.shape)) {
        return None;
    }
    let batched = widened(model, count)?;
    same_results(model, &batched, count, options)
        .ok()?
        .then_some(batched)
}

/// With the batch in the inputs and in constant reshapes.
fn widened(model: &Model, count: usize) -> Option<Model> {
    let mut proto = ModelProto::clone(model.proto());
    let graph = proto.graph.as_mut()?;
    graph.value_info.clear();
    let initializers: HashSet<String> = graph
        .initializer
        .iter()
        .map(|t| t.name().to_owned())
        .collect();
    for input in graph
        .input
        .iter_mut()
        .filter(|i| !initializers.contains(i.name()))
    {
        set_batch(input, count);
    }
    for output in &mut graph.output {
        *output = untyped(output.name());
    }
    open_reshapes(graph);
    Model::from_proto(proto).ok()
}

fn set_batch(input: &mut ValueInfoProto, count: usize) {
    if let Some(TypeValue::Tensor(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut())
        && let Some(first) = tensor.shape.as_mut().and_then(|s| s.dim.first_mut())
    {
        first.value = Some(DimensionValue::Value(count as i64));
    }
}

/// Shapes that begin with 1 begin with "whatever there is".
fn open_reshapes(graph: &mut GraphProto) {
    let constants = graph.node.iter().filter_map(constant_of);
    let known: HashMap<String, Tensor> = graph
        .initializer
        .iter()
        .filter_map(|t| Some((t.name().to_owned(), read_constant(t)?)))
        .filter(|(_, t)| t.len() <= 8)
        .chain(constants)
        .collect();
    let mut made = Vec::new();
    for (i, node) in graph.node.iter_mut().enumerate() {
        let shape = node
            .input
            .get(1)
            .and_then(|s| known.get(s))
            .and_then(Tensor::as_slice::<i64>);
        if let ("Reshape", Some([1, rest @ ..])) = (node.op_type(), shape) {
            // 0 takes the size from the input, −1 what is left over.
            let first = if rest.contains(&-1) { 0 } else { -1 };
            let opened: Vec<i64> = [first].into_iter().chain(rest.iter().copied()).collect();
            let name = format!("batched/shape/{i}");
            if let Ok(shape) = Tensor::new(vec![opened.len()], opened) {
                made.push(tensor(&name, &shape));
                node.input[1] = name;
            }
        }
    }
    graph.initializer.extend(made);
}

fn constant_of(node: &NodeProto) -> Option<(String, Tensor)> {
    let value = node
        .attribute
        .iter()
        .find(|a| a.name() == "value")?
        .t
        .as_ref()?;
    (node.op_type() == "Constant").then_some(())?;
    Some((node.output.first()?.clone(), read_constant(value)?))
}

/// Whether the batch gives, for each picture of it, what the single model gives.
fn same_results(
    single: &Model,
    batched: &Model,
    count: usize,
    options: &SessionOptions,
) -> Result<bool, RuntimeError> {
    let (one, many) = (
        Session::from_model(single, options)?,
        Session::from_model(batched, options)?,
    );
    let inputs = single.inputs();
    let mut pictures: Vec<Vec<Tensor>> = Vec::with_capacity(count);
    for seed in 0..count as u64 {
        pictures.push(
            inputs
                .iter()
                .map(|i| sample(i, seed))
                .collect::<Result<_, _>>()?,
        );
    }
    let mut stacked = Vec::with_capacity(inputs.len());
    for (i, input) in inputs.iter().enumerate() {
        let first = &pictures[0][i];
        let slot = Slot {
            name: input.name.clone(),
            dtype: first.dtype(),
            shape: first.shape().to_vec(),
        };
        let column: Vec<&Tensor> = pictures.iter().map(|p| &p[i]).collect();
        match slot.stack("input", &column) {
            Ok(tensor) => stacked.push(tensor),
            Err(_) => return Ok(false),
        }
    }
    let names = || inputs.iter().map(|i| i.name.as_str());
    let together = many.run(&names().zip(&stacked).collect::<Vec<_>>())?;
    for (p, picture) in pictures.iter().enumerate() {
        let alone = one.run(&names().zip(picture).collect::<Vec<_>>())?;
        let mut pairs = alone.iter().zip(&together);
        if !pairs.all(|((_, a), (_, b))| is_part(a, b, p, count)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `whole` holds `part` at place `p` of `count` along the first axis.
fn is_part(part: &Tensor, whole: &Tensor, p: usize, count: usize) -> bool {
    let (Some(first), Some(all)) = (part.shape().first(), whole.shape().first()) else {
        return false;
    };
    if *first != 1 || *all != count || part.shape()[1..] != whole.shape()[1..] {
        return false;
    }
    let (part, whole) = (part.to_f32_vec(), whole.to_f32_vec());
    let own = &whole[p * part.len()..(p + 1) * part.len()];
    let size = part.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    part.iter()
        .zip(own)
        .all(|(a, b)| (a - b).abs() <= ROUNDING * size)
}
