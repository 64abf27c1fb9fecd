// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Operators that only move elements.

use splitinfer_graph::build::{int, string};

use super::call::{Call, Gradients};
use super::linear_map::{self, Rows};
use crate::emitter::Emitter;
use crate::value::{Value, axis};

/// Identity, Dropout at inference.
pub(super) fn pass(call: &Call, _: &mut Emitter) -> Gradients {
    call.first(call.grad()?.clone())
}

/// Reshape, Flatten, Squeeze, Unsqueeze: the old shape again.
pub(super) fn reshape(call: &Call, e: &mut Emitter) -> Gradients {
    let dx = e.reshape(call.grad()?, &call.input(0)?.shape);
    call.first(dx)
}

pub(super) fn cast(call: &Call, e: &mut Emitter) -> Gradients {
    let dx = e.cast(call.grad()?, call.input(0)?.dtype);
    call.first(dx)
}

pub(super) fn transpose(call: &Call, e: &mut Emitter) -> Gradients {
    let rank = call.input(0)?.rank();
    let perm: Vec<usize> = match call.ints("perm") {
        Some(perm) => perm.iter().map(|p| axis(*p, rank)).collect(),
        None => (0..rank).rev().collect(),
    };
    let mut inverse = vec![0; rank];
    for (i, p) in perm.iter().enumerate() {
        inverse[*p] = i;
    }
    let dx = e.transpose(call.grad()?, &inverse);
    call.first(dx)
}

pub(super) fn expand(call: &Call, e: &mut Emitter) -> Gradients {
    let dx = e.unbroadcast(call.grad()?, &call.input(0)?.shape);
    call.first(dx)
}

/// Tile: the sum over the copies along each axis.
pub(super) fn tile(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let (mut shape, mut copies) = (Vec::new(), Vec::new());
    for (size, whole) in x.shape.iter().zip(dy.shape.iter()) {
        copies.push(shape.len());
        shape.extend([whole / size.max(&1), *size]);
    }
    let apart = e.reshape(dy, &shape);
    let dx = e.reduce_sum(&apart, &copies, false);
    call.first(dx)
}

pub(super) fn concat(call: &Call, e: &mut Emitter) -> Gradients {
    let dy = call.grad()?;
    let axis = axis(call.int("axis", 1), dy.rank());
    let mut start = 0;
    call.inputs
        .iter()
        .enumerate()
        .map(|(i, input)| {
            let input = input.as_ref().ok_or("one of its inputs is missing")?;
            let size = input.shape[axis];
            let part = call
                .wants(i)
                .then(|| e.slice(dy, &[axis], &[start], &[size], &[1]));
            start += size;
            Ok(part)
        })
        .collect()
}

/// Split: what nothing depends on counts as zero.
pub(super) fn split(call: &Call, e: &mut Emitter) -> Gradients {
    let x = call.input(0)?;
    let axis = axis(call.int("axis", 0), x.rank());
    let mut parts = Vec::new();
    for (output, grad) in call.outputs.iter().zip(&call.grads) {
        let output = output.as_ref().ok_or("one of its outputs is missing")?;
        parts.push(match grad {
            Some(grad) => grad.clone(),
            None => e.zeros(&output.shape, output.dtype),
        });
    }
    let dx = e.concat(&parts, axis);
    call.first(dx)
}

/// Slice: the gradient goes where the elements came from, zeros elsewhere.
pub(super) fn slice(call: &Call, e: &mut Emitter) -> Gradients {
    let x = call.input(0)?;
    let starts = call.constant_ints(1, "starts")?.unwrap_or_default();
    let axes = call.constant_ints(3, "axes")?;
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.constant_ints(4, "steps")?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    let mut dx = call.grad()?.clone();
    for ((start, given), step) in starts.iter().zip(&axes).zip(&steps) {
        let axis = axis(*given, x.rank());
        dx = slice_back(e, &dx, axis, x.shape[axis], *start, *step);
    }
    call.first(dx)
}

/// One axis of a slice's gradient, back to `size` elements.
fn slice_back(
    e: &mut Emitter,
    dy: &Value,
    axis: usize,
    size: usize,
    start: i64,
    step: i64,
) -> Value {
    let count = dy.shape[axis];
    let size_i = size as i64;
    let from = if start < 0 {
        start.saturating_add(size_i)
    } else {
        start
    };
    let stride = step.unsigned_abs() as usize;
    let reach = (count.max(1) - 1) * stride;
    // Ascending steps begin at `first`; descending ones end there.
    let (first, dy) = match step > 0 {
        true => (from.clamp(0, size_i) as usize, dy.clone()),
        false => {
            let last = from.clamp(0, size_i - 1) as usize;
            (last.saturating_sub(reach), e.reverse(dy, axis))
        }
    };
    let spread = spread(e, &dy, axis, stride);
    let mut before = vec![0; dy.rank()];
    let mut after = before.clone();
    before[axis] = first as i64;
    after[axis] = size_i - first as i64 - spread.shape[axis] as i64;
    e.pad(&spread, &before, &after)
}

/// `stride − 1` zeros after each element of an axis.
fn spread(e: &mut Emitter, x: &Value, axis: usize, stride: usize) -> Value {
    if stride == 1 {
        return x.clone();
    }
    let mut apart = x.shape.to_vec();
    apart.insert(axis + 1, 1);
    let apart = e.reshape(x, &apart);
    let none = vec![0; apart.rank()];
    let mut zeros = none.clone();
    zeros[axis + 1] = stride as i64 - 1;
    let padded = e.pad(&apart, &none, &zeros);
    let mut shape = x.shape.to_vec();
    shape[axis] *= stride;
    e.reshape(&padded, &shape)
}

/// Pad: what was taken from outside has no gradient; what was mirrored or repeated has several.
pub(super) fn pad(call: &Call, e: &mut Emitter) -> Gradients {
    let x = call.input(0)?;
    let pads = call
        .constant_ints(1, "pads")?
        .ok_or("its pads are missing")?;
    let axes = call.constant_ints(3, "axes")?;
    let axes: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|a| axis(*a, x.rank())).collect(),
        None => (0..x.rank()).collect(),
    };
    let mode = call.string("mode", "constant");
    let mut dx = call.grad()?.clone();
    for (i, axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + axes.len()]);
        dx = pad_back(e, &dx, *axis, x.shape[*axis], before, after, &mode)?;
    }
    call.first(dx)
}

fn pad_back(
    e: &mut Emitter,
    dy: &Value,
    axis: usize,
    size: usize,
    before: i64,
    after: i64,
    mode: &str,
) -> Result<Value, String> {
    if mode == "constant" {
        let mut front = vec![0; dy.rank()];
        let mut back = front.clone();
        (front[axis], back[axis]) = (-before, -after);
        return Ok(e.pad(dy, &front, &back));
    }
    let n = size as i64;
    let from = |i: i64| match mode {
        "edge" => Ok(i.clamp(0, n - 1)),
        "wrap" => Ok(i.rem_euclid(n)),
        "reflect" if n > 1 => {
            let period = 2 * (n - 1);
            let at = i.rem_euclid(period);
            Ok(at.min(period - at))
        }
        "reflect" => Ok(0),
        other => Err(format!("its mode '{other}' is not known")),
    };
    let rows: Result<Rows, String> = (-before..n + after)
        .map(|i| Ok(vec![(from(i)? as usize, 1.0)]))
        .collect();
    Ok(linear_map::transposed(e, dy, axis, size, &rows?))
}

/// DepthToSpace: its gradient spreads back. In CRD order the block is the faster part of the channel.
pub(super) fn depth_to_space(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let block = usize::try_from(call.int("blocksize", 1))
        .unwrap_or(1)
        .max(1);
    let (n, c, h, w) = (dy.shape[0], dy.shape[1], x.shape[2], x.shape[3]);
    if call.string("mode", "DCR") == "DCR" {
        let block = int("blocksize", block as i64);
        let dx = e.node("SpaceToDepth", &[dy], &x.shape, x.dtype, vec![block]);
        return call.first(dx);
    }
    let apart = e.reshape(dy, &[n, c, h, block, w, block]);
    let moved = e.transpose(&apart, &[0, 1, 3, 5, 2, 4]);
    let dx = e.reshape(&moved, &x.shape);
    call.first(dx)
}

pub(super) fn space_to_depth(call: &Call, e: &mut Emitter) -> Gradients {
    let x = call.input(0)?;
    let attributes = vec![
        int("blocksize", call.int("blocksize", 1)),
        string("mode", "DCR"),
    ];
    let dx = e.node(
        "DepthToSpace",
        &[call.grad()?],
        &x.shape,
        x.dtype,
        attributes,
    );
    call.first(dx)
}

/// CumSum: the cumulative sum from the other end.
pub(super) fn cumulative_sum(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, axis, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let attributes = vec![
        int("exclusive", call.int("exclusive", 0)),
        int("reverse", 1 - call.int("reverse", 0)),
    ];
    let dx = e.node("CumSum", &[dy, axis], &x.shape, x.dtype, attributes);
    call.first(dx)
}

pub(super) fn triangle(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let upper = int("upper", call.int("upper", 1));
    let mut inputs = vec![dy];
    if call.has_input(1) {
        inputs.push(call.input(1)?);
    }
    let dx = e.node("Trilu", &inputs, &x.shape, x.dtype, vec![upper]);
    call.first(dx)
}
