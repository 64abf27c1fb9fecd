// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Operators that pick elements by index: their gradients are added at the places picked.

use splitinfer_graph::build::{int, string};

use super::call::{Call, Gradients};
use crate::emitter::Emitter;
use crate::value::{Value, axis};

/// Gather: whole slices along one axis.
pub(super) fn gather(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, indices, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let axis = axis(call.int("axis", 0), x.rank());
    let count = indices.len();
    let mut shape = x.shape.to_vec();
    shape[axis] = count;
    let dy = e.reshape(dy, &shape);
    let known = call.constant_ints(1, "indices").ok().flatten();
    let dx = match known.and_then(|list| consecutive(&list, x.shape[axis])) {
        Some(first) => place(e, &dy, axis, first, x.shape[axis]),
        None => scatter(e, &dy, x, axis, indices),
    };
    call.first(dx)
}

/// The first of indices that follow one another.
fn consecutive(indices: &[i64], size: usize) -> Option<usize> {
    let wrap = |i: i64| if i < 0 { i + size as i64 } else { i };
    let first = wrap(*indices.first()?);
    let follows = indices
        .iter()
        .zip(first..)
        .all(|(i, want)| wrap(*i) == want);
    follows.then(|| usize::try_from(first).ok()).flatten()
}

fn place(e: &mut Emitter, dy: &Value, axis: usize, first: usize, size: usize) -> Value {
    let mut before = vec![0; dy.rank()];
    let mut after = before.clone();
    before[axis] = first as i64;
    after[axis] = size as i64 - (first + dy.shape[axis]) as i64;
    e.pad(dy, &before, &after)
}

/// Slices added at any places, some perhaps twice: the axis goes to the front, and ScatterND adds.
fn scatter(e: &mut Emitter, dy: &Value, x: &Value, axis: usize, indices: &Value) -> Value {
    let mut front: Vec<usize> = (0..x.rank()).filter(|a| *a != axis).collect();
    front.insert(0, axis);
    let mut back = vec![0; x.rank()];
    for (i, a) in front.iter().enumerate() {
        back[*a] = i;
    }
    let shape: Vec<usize> = front.iter().map(|a| x.shape[*a]).collect();
    let updates = e.transpose(dy, &front);
    let indices = e.cast(indices, splitinfer_tensor::DType::I64);
    let indices = e.reshape(&indices, &[indices.len(), 1]);
    let sum = scatter_nd(e, &shape, &indices, &updates);
    e.transpose(&sum, &back)
}

fn scatter_nd(e: &mut Emitter, shape: &[usize], indices: &Value, updates: &Value) -> Value {
    let zeros = e.zeros(shape, updates.dtype);
    let add = string("reduction", "add");
    e.node(
        "ScatterND",
        &[&zeros, indices, updates],
        shape,
        updates.dtype,
        vec![add],
    )
}

pub(super) fn gather_elements(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, indices, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let attributes = vec![int("axis", call.int("axis", 0)), string("reduction", "add")];
    let zeros = e.zeros(&x.shape, x.dtype);
    let dx = e.node(
        "ScatterElements",
        &[&zeros, indices, dy],
        &x.shape,
        x.dtype,
        attributes,
    );
    call.first(dx)
}

pub(super) fn gather_nd(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, indices, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let batched = usize::try_from(call.int("batch_dims", 0)).unwrap_or(0);
    let indices = whole_indices(e, indices, batched);
    let dx = scatter_nd(e, &x.shape, &indices, dy);
    call.first(dx)
}

/// Indices within each element of a batch, with the place in the batch before them.
fn whole_indices(e: &mut Emitter, indices: &Value, batched: usize) -> Value {
    if batched == 0 {
        return indices.clone();
    }
    let last = indices.rank() - 1;
    let batch = &indices.shape[..batched];
    let inner: usize = indices.shape[batched..last].iter().product();
    let mut grid = Vec::new();
    for i in 0..batch.iter().product::<usize>() {
        let (mut place, mut rest) = (vec![0; batched], i);
        for axis in (0..batched).rev() {
            place[axis] = (rest % batch[axis]) as i64;
            rest /= batch[axis];
        }
        for _ in 0..inner {
            grid.extend(&place);
        }
    }
    let mut shape = indices.shape.to_vec();
    shape[last] = batched;
    let grid = e.int_tensor(&shape, grid);
    e.concat(&[grid, indices.clone()], last)
}

/// ScatterElements and ScatterND: what was overwritten has no gradient, what was added to keeps it.
pub(super) fn scatter_into(call: &Call, e: &mut Emitter) -> Gradients {
    let (indices, updates, dy) = (call.input(1)?, call.input(2)?, call.grad()?);
    let overwrites = match call.string("reduction", "none").as_str() {
        "none" => true,
        "add" => false,
        other => return Err(format!("its reduction '{other}' has no rule")),
    };
    let by_element = call.node.op_type() == "ScatterElements";
    let axis = || match by_element {
        true => vec![int("axis", call.int("axis", 0))],
        false => vec![],
    };
    call.each(|i| {
        Ok(Some(match i {
            0 if overwrites => {
                let zeros = e.zeros(&updates.shape, dy.dtype);
                let op = call.node.op_type();
                e.node(op, &[dy, indices, &zeros], &dy.shape, dy.dtype, axis())
            }
            0 => dy.clone(),
            _ => {
                let op = if by_element {
                    "GatherElements"
                } else {
                    "GatherND"
                };
                e.node(op, &[dy, indices], &updates.shape, dy.dtype, axis())
            }
        }))
    })
}

/// TopK: the gradient of the values goes where they came from.
pub(super) fn top_k(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let name = e.fresh("grad/places");
    let places = call.tap(1, &dy.shape, splitinfer_tensor::DType::I64, name);
    let axis = int("axis", axis(call.int("axis", -1), x.rank()) as i64);
    let zeros = e.zeros(&x.shape, x.dtype);
    let dx = e.node(
        "ScatterElements",
        &[&zeros, &places, dy],
        &x.shape,
        x.dtype,
        vec![axis],
    );
    call.first(dx)
}
