// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reductions: the gradient goes back to every element that was reduced.

use super::call::{Call, Gradients};
use crate::emitter::Emitter;
use crate::ops::reduced;
use crate::value::{Value, axis};

/// What a reduction is made of: its input, output and gradient with the reduced axes kept as 1.
struct Reduction {
    x: Value,
    y: Value,
    dy: Value,
    /// How many elements each output has seen.
    count: usize,
}

fn reduction(call: &Call, e: &mut Emitter) -> Result<Reduction, String> {
    let (x, y, dy) = (call.input(0)?, call.output()?, call.grad()?);
    let given = match call.ints("axes") {
        Some(axes) => Some(axes.to_vec()),
        None => call.constant_ints(1, "axes")?,
    };
    let given = given.unwrap_or_default();
    let axes: Vec<usize> = match given.is_empty() {
        true if call.int("noop_with_empty_axes", 0) != 0 => vec![],
        true => (0..x.rank()).collect(),
        false => given.iter().map(|a| axis(*a, x.rank())).collect(),
    };
    let kept = reduced(&x.shape, &axes, true);
    Ok(Reduction {
        count: axes.iter().map(|a| x.shape[*a]).product(),
        y: e.reshape(y, &kept),
        dy: e.reshape(dy, &kept),
        x: x.clone(),
    })
}

pub(super) fn sum(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let dx = e.expand(&r.dy, &r.x.shape);
    call.first(dx)
}

pub(super) fn mean(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let share = e.scale(&r.dy, 1.0 / r.count.max(1) as f64);
    let dx = e.expand(&share, &r.x.shape);
    call.first(dx)
}

/// ReduceMax and ReduceMin: elements that reach the extremum share the gradient, as in PyTorch's `amax`.
pub(super) fn extremum(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let mask = e.same(&r.x, &r.y);
    let axes: Vec<usize> = (0..r.x.rank())
        .filter(|a| r.y.shape[*a] != r.x.shape[*a])
        .collect();
    let reached = e.reduce_sum(&mask, &axes, true);
    let share = e.div(&r.dy, &reached);
    let dx = e.mul(&share, &mask);
    call.first(dx)
}

pub(super) fn l1(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let sign = e.unary("Sign", &r.x);
    let dx = e.mul(&r.dy, &sign);
    call.first(dx)
}

pub(super) fn l2(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let ratio = e.div(&r.dy, &r.y);
    let dx = e.mul(&r.x, &ratio);
    call.first(dx)
}

pub(super) fn sum_square(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let twice = e.scale(&r.dy, 2.0);
    let dx = e.mul(&r.x, &twice);
    call.first(dx)
}

/// y = ln Σ x: slope e⁻ʸ.
pub(super) fn log_sum(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let minus = e.neg(&r.y);
    let slope = e.unary("Exp", &minus);
    let part = e.mul(&r.dy, &slope);
    let dx = e.expand(&part, &r.x.shape);
    call.first(dx)
}

/// y = ln Σ eˣ: slope eˣ⁻ʸ.
pub(super) fn log_sum_exp(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let below = e.sub(&r.x, &r.y);
    let slope = e.unary("Exp", &below);
    let dx = e.mul(&r.dy, &slope);
    call.first(dx)
}

/// ReduceProd: each element's slope is the product of the others, zeros among them or not.
pub(super) fn product(call: &Call, e: &mut Emitter) -> Gradients {
    let r = reduction(call, e)?;
    let zero = e.scalar(0.0, r.x.dtype);
    let one = e.scalar(1.0, r.x.dtype);
    let mask = e.same(&r.x, &zero);
    let safe = e.blend(&mask, &one, &r.x);
    let axes: Vec<usize> = (0..r.x.rank())
        .filter(|a| r.y.shape[*a] != r.x.shape[*a])
        .collect();
    let zeros = e.reduce_sum(&mask, &axes, true);
    let product = e.reduce("ReduceProd", &safe, &axes, true);
    let others = e.div(&product, &safe);
    // An element counts when all zeros there are, if any, are its own.
    let alone = e.same(&zeros, &mask);
    let slope = e.mul(&others, &alone);
    let dx = e.mul(&slope, &r.dy);
    call.first(dx)
}
