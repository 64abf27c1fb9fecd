// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Elementwise operators of several inputs, with broadcasting.

use super::call::{Call, Gradients};
use crate::emitter::Emitter;

pub(super) fn add(call: &Call, e: &mut Emitter) -> Gradients {
    let dy = call.grad()?;
    call.each(|i| Ok(Some(e.unbroadcast(dy, &call.input(i)?.shape))))
}

/// The mean of any number of inputs.
pub(super) fn mean(call: &Call, e: &mut Emitter) -> Gradients {
    let share = e.scale(call.grad()?, 1.0 / call.inputs.len() as f64);
    call.each(|i| Ok(Some(e.unbroadcast(&share, &call.input(i)?.shape))))
}

pub(super) fn sub(call: &Call, e: &mut Emitter) -> Gradients {
    let dy = call.grad()?;
    call.each(|i| {
        let part = e.unbroadcast(dy, &call.input(i)?.shape);
        Ok(Some(if i == 0 { part } else { e.neg(&part) }))
    })
}

pub(super) fn mul(call: &Call, e: &mut Emitter) -> Gradients {
    let dy = call.grad()?;
    for (gate, x) in [(1, 0), (0, 1)] {
        if call.wants(x) && call.is_made_of(gate, "Sigmoid", x) {
            return silu(call, e, x, gate);
        }
    }
    call.each(|i| {
        let part = e.mul(dy, call.input(1 - i)?);
        Ok(Some(e.unbroadcast(&part, &call.input(i)?.shape)))
    })
}

/// x · σ(x), the most frequent product of all, in four passes and not six: its whole gradient, σ + y (1 − σ),
/// goes to x, and nothing by way of σ.
fn silu(call: &Call, e: &mut Emitter, x: usize, gate: usize) -> Gradients {
    let (gate, y, dy) = (call.input(gate)?, call.output()?, call.grad()?);
    let rest = e.one_minus(gate);
    let inside = e.mul(y, &rest);
    let slope = e.add(gate, &inside);
    let mut all = vec![None, None];
    all[x] = Some(e.mul(dy, &slope));
    Ok(all)
}

pub(super) fn div(call: &Call, e: &mut Emitter) -> Gradients {
    let (b, y, dy) = (call.input(1)?, call.output()?, call.grad()?);
    let quotient = e.div(dy, b);
    call.each(|i| {
        let part = match i {
            0 => quotient.clone(),
            _ => {
                let product = e.mul(&quotient, y);
                e.neg(&product)
            }
        };
        Ok(Some(e.unbroadcast(&part, &call.input(i)?.shape)))
    })
}

/// d(aᵇ) = b aᵇ⁻¹ da + aᵇ ln a db.
pub(super) fn pow(call: &Call, e: &mut Emitter) -> Gradients {
    let (a, b, y, dy) = (call.input(0)?, call.input(1)?, call.output()?, call.grad()?);
    call.each(|i| {
        let part = if i == 0 {
            let b = e.cast(b, a.dtype);
            let less = e.offset(&b, -1.0);
            let power = e.binary("Pow", a, &less);
            let slope = e.mul(&b, &power);
            e.mul(dy, &slope)
        } else {
            let log = e.unary("Log", a);
            let slope = e.mul(y, &log);
            e.mul(dy, &slope)
        };
        Ok(Some(e.unbroadcast(&part, &call.input(i)?.shape)))
    })
}

/// Max and Min: those inputs that reach the output share its gradient, as PyTorch's `maximum` does.
pub(super) fn extremum(call: &Call, e: &mut Emitter) -> Gradients {
    let (y, dy) = (call.output()?, call.grad()?);
    let mut masks = Vec::with_capacity(call.inputs.len());
    for i in 0..call.inputs.len() {
        masks.push(e.same(call.input(i)?, y));
    }
    let share = match e.sum(&masks) {
        Some(reached) => e.div(dy, &reached),
        None => dy.clone(),
    };
    call.each(|i| {
        let part = e.mul(&share, &masks[i]);
        Ok(Some(e.unbroadcast(&part, &call.input(i)?.shape)))
    })
}

/// Where(condition, a, b).
pub(super) fn select(call: &Call, e: &mut Emitter) -> Gradients {
    let dy = call.grad()?;
    let yes = e.cast(call.input(0)?, dy.dtype);
    call.each(|i| {
        let mask = match i {
            0 => return Ok(None),
            1 => yes.clone(),
            _ => e.one_minus(&yes),
        };
        let part = e.mul(dy, &mask);
        Ok(Some(e.unbroadcast(&part, &call.input(i)?.shape)))
    })
}
