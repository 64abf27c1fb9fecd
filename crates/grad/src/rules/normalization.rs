// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Normalisations. All but BatchNormalization, whose statistics are frozen, take mean and variance from the
//! data, and share one form:
//!
//! dx = s · (dn − mean(dn) − n · mean(dn · n)), where n is the normalised x, s its 1 / √(variance + ε), and dn
//! the gradient of n.

use super::call::{Call, Gradients};
use crate::emitter::Emitter;
use crate::value::{Value, axis};

/// BatchNormalization at inference: a scale and an offset a channel.
pub(super) fn batch(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    if call.int("training_mode", 0) != 0 {
        return Err("it is in training mode; export the model for inference".into());
    }
    let mut channel = vec![1; x.rank()];
    channel[1.min(x.rank() - 1)] = x.shape[1.min(x.rank() - 1)];
    let scale = e.reshape(call.input(1)?, &channel);
    let mean = e.reshape(call.input(3)?, &channel);
    let variance = e.reshape(call.input(4)?, &channel);
    let inverse = inverse_deviation(e, &variance, call.float("epsilon", 1e-5));
    call.each(|i| {
        Ok(Some(match i {
            0 => {
                let factor = e.mul(&scale, &inverse);
                e.mul(dy, &factor)
            }
            1 => {
                let centred = e.sub(x, &mean);
                let normal = e.mul(&centred, &inverse);
                let product = e.mul(dy, &normal);
                let sum = e.unbroadcast(&product, &channel);
                e.reshape(&sum, &call.input(1)?.shape)
            }
            2 => {
                let sum = e.unbroadcast(dy, &channel);
                e.reshape(&sum, &call.input(2)?.shape)
            }
            _ => return Err("its running mean and variance have no gradient".into()),
        }))
    })
}

fn inverse_deviation(e: &mut Emitter, variance: &Value, epsilon: f64) -> Value {
    let safe = e.offset(variance, epsilon);
    let deviation = e.unary("Sqrt", &safe);
    e.unary("Reciprocal", &deviation)
}

/// x with its mean over `axes` taken away and divided by its deviation; and one over that deviation.
fn normalised(e: &mut Emitter, x: &Value, axes: &[usize], epsilon: f64) -> (Value, Value) {
    let mean = e.reduce_mean(x, axes, true);
    let centred = e.sub(x, &mean);
    let square = e.square(&centred);
    let variance = e.reduce_mean(&square, axes, true);
    let inverse = inverse_deviation(e, &variance, epsilon);
    (e.mul(&centred, &inverse), inverse)
}

/// The gradient of x from that of the normalised x.
fn data(e: &mut Emitter, dn: &Value, normal: &Value, inverse: &Value, axes: &[usize]) -> Value {
    let product = e.mul(dn, normal);
    let (mean, along) = (
        e.reduce_mean(dn, axes, true),
        e.reduce_mean(&product, axes, true),
    );
    let along = e.mul(normal, &along);
    let rest = e.sub(dn, &mean);
    let rest = e.sub(&rest, &along);
    e.mul(&rest, inverse)
}

/// LayerNormalization: over every axis from `axis` on; scale and offset are broadcast.
pub(super) fn layer(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, scale, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let axes: Vec<usize> = (axis(call.int("axis", -1), x.rank())..x.rank()).collect();
    let (normal, inverse) = normalised(e, x, &axes, call.float("epsilon", 1e-5));
    call.each(|i| {
        Ok(Some(match i {
            0 => {
                let dn = e.mul(dy, scale);
                data(e, &dn, &normal, &inverse, &axes)
            }
            1 => {
                let product = e.mul(dy, &normal);
                e.unbroadcast(&product, &scale.shape)
            }
            _ => e.unbroadcast(dy, &call.input(2)?.shape),
        }))
    })
}

/// InstanceNormalization: a group a channel.
pub(super) fn instance(call: &Call, e: &mut Emitter) -> Gradients {
    let channels = call.input(0)?.shape[1];
    grouped(call, e, channels)
}

/// GroupNormalization: scale and offset a channel, or a group before operator set 21.
pub(super) fn group(call: &Call, e: &mut Emitter) -> Gradients {
    let groups = usize::try_from(call.int("num_groups", 1)).unwrap_or(1);
    grouped(call, e, groups.max(1))
}

/// x seen as (N, groups, channels a group, positions).
fn grouped(call: &Call, e: &mut Emitter, groups: usize) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let (pictures, channels) = (x.shape[0], x.shape[1]);
    let positions: usize = x.shape[2..].iter().product();
    let shape = [pictures, groups, channels / groups, positions];
    let (x4, dy4) = (e.reshape(x, &shape), e.reshape(dy, &shape));
    let (normal, inverse) = normalised(e, &x4, &[2, 3], call.float("epsilon", 1e-5));
    let given = call.input(1)?;
    let per_group = given.len() == groups && groups != channels;
    let weights = [1, groups, if per_group { 1 } else { channels / groups }, 1];
    let scale = e.reshape(given, &weights);
    call.each(|i| {
        let part = match i {
            0 => {
                let dn = e.mul(&dy4, &scale);
                let dx = data(e, &dn, &normal, &inverse, &[2, 3]);
                return Ok(Some(e.reshape(&dx, &x.shape)));
            }
            1 => e.mul(&dy4, &normal),
            _ => dy4.clone(),
        };
        let sum = e.unbroadcast(&part, &weights);
        Ok(Some(e.reshape(&sum, &call.input(i)?.shape)))
    })
}

/// LpNormalization: y = x / ‖x‖ along one axis; dx = (dy − ∂‖x‖ Σ dy·y) / ‖x‖.
pub(super) fn lp(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, y, dy) = (call.input(0)?, call.output()?, call.grad()?);
    let axes = [axis(call.int("axis", -1), x.rank())];
    let (norm, slope) = match call.int("p", 2) {
        1 => {
            let size = e.unary("Abs", x);
            (e.reduce_sum(&size, &axes, true), e.unary("Sign", x))
        }
        _ => {
            let square = e.square(x);
            let sum = e.reduce_sum(&square, &axes, true);
            (e.unary("Sqrt", &sum), y.clone())
        }
    };
    let product = e.mul(dy, y);
    let along = e.reduce_sum(&product, &axes, true);
    let along = e.mul(&slope, &along);
    let across = e.sub(dy, &along);
    let dx = e.div(&across, &norm);
    call.first(dx)
}
