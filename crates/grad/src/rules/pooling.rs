// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pools.

use splitinfer_graph::build::{int, string};
use splitinfer_tensor::DType;

use super::call::{Call, Gradients};
use super::linear_map::{self, Rows};
use super::window::Window;
use crate::emitter::Emitter;

fn window(call: &Call) -> Result<Window, String> {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let kernel = call.ints("kernel_shape").unwrap_or_default();
    let kernel: Vec<usize> = kernel
        .iter()
        .filter_map(|k| usize::try_from(*k).ok())
        .collect();
    if kernel.is_empty() || kernel.contains(&0) {
        return Err("its attribute 'kernel_shape' is missing".into());
    }
    Window::new(call, &kernel, &x.shape[2..], &dy.shape[2..])
}

/// MaxPool: the node is made to give the places of its maxima, and the gradients are added there.
pub(super) fn max_pool(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    if call.int("storage_order", 0) != 0 {
        return Err("it counts places by columns (storage_order = 1)".into());
    }
    let name = e.fresh("grad/maxima");
    let places = call.tap(1, &dy.shape, DType::I64, name);
    let places = e.reshape(&places, &[dy.len()]);
    let updates = e.reshape(dy, &[dy.len()]);
    let zeros = e.zeros(&[x.len()], x.dtype);
    let attributes = vec![int("axis", 0), string("reduction", "add")];
    let dx = e.node(
        "ScatterElements",
        &[&zeros, &places, &updates],
        &[x.len()],
        x.dtype,
        attributes,
    );
    let dx = e.reshape(&dx, &x.shape);
    call.first(dx)
}

/// AveragePool: a map along each axis, as the number of elements in a window is a product over the axes.
pub(super) fn average_pool(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let window = window(call)?;
    let padding_counts = call.int("count_include_pad", 0) != 0;
    let mut dx = dy.clone();
    for axis in 0..window.axes() {
        let rows = average_rows(call, &window, axis, padding_counts);
        dx = linear_map::transposed(e, &dx, axis + 2, x.shape[axis + 2], &rows);
    }
    call.first(dx)
}

fn average_rows(call: &Call, window: &Window, axis: usize, padding_counts: bool) -> Rows {
    let input = window.input[axis] as i64;
    // With ceil_mode a window may reach beyond the padding; what lies there never counts.
    let given = call
        .ints("pads")
        .and_then(|p| p.get(axis + window.axes()))
        .copied();
    let end = input + given.unwrap_or(window.after[axis].max(0));
    let row = |output: usize| {
        let first = (output * window.stride[axis]) as i64 - window.before[axis] as i64;
        let seen = (0..window.kernel[axis]).map(|k| first + (k * window.dilation[axis]) as i64);
        let inside: Vec<i64> = seen.clone().filter(|i| (0..input).contains(i)).collect();
        let count = match padding_counts {
            true => seen.filter(|i| *i < end).count(),
            false => inside.len(),
        };
        let weight = 1.0 / count.max(1) as f64;
        inside.iter().map(|i| (*i as usize, weight)).collect()
    };
    (0..window.output[axis]).map(row).collect()
}

pub(super) fn global_average_pool(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let count: usize = x.shape[2..].iter().product();
    let share = e.scale(dy, 1.0 / count.max(1) as f64);
    let dx = e.expand(&share, &x.shape);
    call.first(dx)
}

/// GlobalMaxPool: as PyTorch's `max_pool`, the first of equal maxima takes the gradient.
pub(super) fn global_max_pool(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let places: usize = x.shape[2..].iter().product();
    let planes = x.shape[0] * x.shape[1];
    let flat = e.reshape(x, &[planes, places]);
    let attributes = vec![int("axis", 1), int("keepdims", 1)];
    let first = e.node("ArgMax", &[&flat], &[planes, 1], DType::I64, attributes);
    let (zeros, updates) = (
        e.zeros(&[planes, places], x.dtype),
        e.reshape(dy, &[planes, 1]),
    );
    let axis = vec![int("axis", 1)];
    let dx = e.node(
        "ScatterElements",
        &[&zeros, &first, &updates],
        &[planes, places],
        x.dtype,
        axis,
    );
    let dx = e.reshape(&dx, &x.shape);
    call.first(dx)
}
