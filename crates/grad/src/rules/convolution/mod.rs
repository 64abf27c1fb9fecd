// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Conv and ConvTranspose, each the gradient of the other with respect to its data.
//!
//! The gradient of the weights takes most of a step's time, and how it is written decides how much: see
//! [`weights`]. That of the data is the other operator of the two; written as a convolution with turned
//! weights, or for strides with zeros or phases in between, it is slower in ONNX Runtime.

mod places;
mod weights;

use splitinfer_graph::build::{int, ints};
use splitinfer_graph::proto::AttributeProto;

use super::call::{Call, Gradients};
use super::window::Window;
use crate::emitter::Emitter;
use crate::value::Value;
use weights::weights;

/// Conv: X (N, C, …), W (M, C / groups, …), B (M).
pub(super) fn conv(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, w, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let window = Window::new(call, &w.shape[2..], &x.shape[2..], &dy.shape[2..])?;
    let groups = groups(call);
    call.each(|i| {
        Ok(Some(match i {
            0 => conv_data(e, dy, w, &window, groups, &x.shape),
            1 => weights(e, x, dy, &window, groups),
            _ => bias(e, dy),
        }))
    })
}

/// ConvTranspose: X (N, C, …), W (C, M / groups, …), B (M). Seen from its output it is a convolution.
pub(super) fn conv_transpose(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, w, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let window = transposed_window(call, &w.shape[2..], &dy.shape[2..], &x.shape[2..])?;
    let groups = groups(call);
    call.each(|i| {
        Ok(Some(match i {
            0 => transposed_data(e, dy, w, &window, groups, x),
            1 => weights(e, dy, x, &window, groups),
            _ => bias(e, dy),
        }))
    })
}

fn groups(call: &Call) -> usize {
    usize::try_from(call.int("group", 1)).unwrap_or(1).max(1)
}

/// The window that a transposed convolution slides over its output. Its padding is given, or follows from
/// the size of the output (ONNX: `output_shape` and `auto_pad`).
fn transposed_window(
    call: &Call,
    kernel: &[usize],
    output: &[usize],
    input: &[usize],
) -> Result<Window, String> {
    let mut window = Window::new(call, kernel, output, input)?;
    let auto = call.string("auto_pad", "NOTSET");
    let by_shape = call.ints("output_shape").is_some_and(|s| !s.is_empty());
    if !by_shape && !auto.starts_with("SAME") {
        return Ok(window);
    }
    let extra = call.ints("output_padding").unwrap_or_default();
    for axis in 0..window.axes() {
        let whole = (input[axis].max(1) - 1) * window.stride[axis] + window.reach(axis);
        let extra = extra.get(axis).copied().unwrap_or(0);
        let total = (whole as i64 + extra - output[axis] as i64).max(0);
        let before = if auto == "SAME_UPPER" {
            total / 2
        } else {
            total - total / 2
        };
        window.before[axis] = before as usize;
        window.after[axis] = whole as i64 - output[axis] as i64 - before;
    }
    Ok(window)
}

/// Attributes of the convolution that slides this window.
fn sliding(window: &Window, groups: usize) -> Vec<AttributeProto> {
    let list = |v: &[usize]| v.iter().map(|n| *n as i64).collect::<Vec<_>>();
    let after = window.after.iter().map(|n| (*n).max(0));
    let pads: Vec<i64> = list(&window.before).into_iter().chain(after).collect();
    vec![
        ints("kernel_shape", &list(&window.kernel)),
        ints("strides", &list(&window.stride)),
        ints("dilations", &list(&window.dilation)),
        ints("pads", &pads),
        int("group", groups as i64),
    ]
}

fn bias(e: &mut Emitter, dy: &Value) -> Value {
    let axes: Vec<usize> = (0..dy.rank()).filter(|a| *a != 1).collect();
    e.reduce_sum(dy, &axes, false)
}

/// Gradient of a convolution's data.
fn conv_data(
    e: &mut Emitter,
    dy: &Value,
    w: &Value,
    window: &Window,
    groups: usize,
    shape: &[usize],
) -> Value {
    if window.is_pointwise() && groups == 1 {
        return pointwise_data(e, dy, w, shape);
    }
    let mut attributes = sliding(window, groups);
    let unseen: Vec<i64> = window.after.iter().map(|n| (-n).max(0)).collect();
    attributes.push(ints("output_padding", &unseen));
    e.node("ConvTranspose", &[dy, w], shape, dy.dtype, attributes)
}

/// Wᵀ · dY for a 1×1 convolution.
fn pointwise_data(e: &mut Emitter, dy: &Value, w: &Value, shape: &[usize]) -> Value {
    let (outputs, inputs) = (w.shape[0], w.shape[1]);
    let places: usize = dy.shape[2..].iter().product();
    let matrix = e.reshape(w, &[outputs, inputs]);
    let transposed = e.transposed(&matrix);
    let flat = e.reshape(dy, &[dy.shape[0], outputs, places]);
    let dx = e.matmul(&transposed, &flat);
    e.reshape(&dx, shape)
}

/// Gradient of a transposed convolution's data: the convolution with the same weights.
fn transposed_data(
    e: &mut Emitter,
    dy: &Value,
    w: &Value,
    window: &Window,
    groups: usize,
    x: &Value,
) -> Value {
    let unseen: Vec<i64> = window.after.iter().map(|n| (*n).min(0)).collect();
    let none = vec![0; dy.rank()];
    let crop: Vec<i64> = [0, 0].into_iter().chain(unseen).collect();
    let seen = e.pad(dy, &none, &crop);
    e.node(
        "Conv",
        &[&seen, w],
        &x.shape,
        x.dtype,
        sliding(window, groups),
    )
}
