// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The gradient of a convolution's weights, (M, C / groups, …): for each place in the window, what it saw times
//! the gradient of the outputs.
//!
//! ONNX has no operator for it. Conv on transposed operands computes it, with kernels as large as pictures, and
//! is several times slower in ONNX Runtime than products of matrices of [`Places`]; which products are fastest
//! depends on the shape (docs/measurements/training-step.md).

use super::places::Places;
use crate::emitter::Emitter;
use crate::rules::window::Window;
use crate::value::Value;

/// With fewer channels a product for each place is too thin to be fast, and all places are stacked into one.
const THIN: usize = 8;

/// `x` (N, C, …) are the convolution's data, `dy` (N, M, …) the gradient of its outputs.
pub(super) fn weights(
    e: &mut Emitter,
    x: &Value,
    dy: &Value,
    window: &Window,
    groups: usize,
) -> Value {
    let (inputs, outputs) = (x.shape[1] / groups, dy.shape[1] / groups);
    let places = Places::new(e, x, dy, window);
    let gradient = match (inputs, outputs) {
        (1, 1) if groups > 1 => channelwise(e, &places),
        (..THIN, _) => stacked(e, &places, groups),
        _ => place_by_place(e, &places, groups),
    };
    let sizes = [dy.shape[1], inputs];
    let shape: Vec<usize> = sizes.iter().chain(&window.kernel).copied().collect();
    e.reshape(&gradient, &shape)
}

/// (N, groups, channels of a group, L).
fn grouped(e: &mut Emitter, x: &Value, groups: usize) -> Value {
    let shape = [x.shape[0], groups, x.shape[1] / groups, x.shape[2]];
    e.reshape(x, &shape)
}

/// A product for each place: dY (M × L) times what it saw (C × L), transposed. Gives (groups · M · C, places).
fn place_by_place(e: &mut Emitter, places: &Places, groups: usize) -> Value {
    let dy = grouped(e, &places.dy, groups);
    let mut products = Vec::with_capacity(places.seen.len());
    for seen in &places.seen {
        let seen = grouped(e, seen, groups);
        let transposed = e.transposed(&seen);
        let product = e.matmul(&dy, &transposed);
        let sum = e.reduce_sum(&product, &[0], false);
        products.push(e.reshape(&sum, &[1, sum.len()]));
    }
    let stacked = e.concat(&products, 0);
    e.transposed(&stacked)
}

/// One product: what all places saw (places · C × L) times dY (M × L), transposed. Gives the same.
fn stacked(e: &mut Emitter, places: &Places, groups: usize) -> Value {
    let dy = grouped(e, &places.dy, groups);
    let seen: Vec<Value> = places.seen.iter().map(|s| grouped(e, s, groups)).collect();
    let channels = seen[0].shape[2];
    let columns = e.concat(&seen, 2);
    let transposed = e.transposed(&dy);
    let product = e.matmul(&columns, &transposed);
    let sum = e.reduce_sum(&product, &[0], false);
    let apart = e.reshape(&sum, &[groups, seen.len(), channels, dy.shape[2]]);
    e.transpose(&apart, &[0, 3, 2, 1])
}

/// A channel each: elementwise products and sums. Gives (C, places).
fn channelwise(e: &mut Emitter, places: &Places) -> Value {
    let mut sums = Vec::with_capacity(places.seen.len());
    for seen in &places.seen {
        let product = e.mul(seen, &places.dy);
        sums.push(e.reduce_sum(&product, &[2], true));
    }
    let together = e.concat(&sums, 2);
    e.reduce_sum(&together, &[0], false)
}
