// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Softmax and LogSoftmax.

use super::call::{Call, Gradients};
use crate::emitter::Emitter;
use crate::value::axis;

/// dx = y · (dy − Σ dy·y).
pub(super) fn softmax(call: &Call, e: &mut Emitter) -> Gradients {
    let (y, dy) = (call.output()?, call.grad()?);
    let axes = [axis(call.int("axis", -1), y.rank())];
    let product = e.mul(dy, y);
    let sum = e.reduce_sum(&product, &axes, true);
    let centred = e.sub(dy, &sum);
    let dx = e.mul(y, &centred);
    call.first(dx)
}

/// dx = dy − eʸ · Σ dy.
pub(super) fn log_softmax(call: &Call, e: &mut Emitter) -> Gradients {
    let (y, dy) = (call.output()?, call.grad()?);
    let axes = [axis(call.int("axis", -1), y.rank())];
    let sum = e.reduce_sum(dy, &axes, true);
    let probability = e.unary("Exp", y);
    let part = e.mul(&probability, &sum);
    let dx = e.sub(dy, &part);
    call.first(dx)
}
