// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What each place of a window sees of the data, beside the gradient of the outputs in the same layout.
//!
//! A slice of a picture for one place of the window is made of many short rows, and copying those costs more
//! than the products that follow. So where it can be done the picture is laid out in a row with its padding, a
//! place of the window is then one shift of it, and a slice one long row. Outputs get as much padding between
//! their rows, zeros, so that both run in step; what the data has there does not count.

use splitinfer_graph::build::int;

use crate::emitter::Emitter;
use crate::rules::window::Window;
use crate::value::Value;

/// The gradient of the outputs, (N, M, L), and for each place of the window in row-major order what it sees,
/// (N, C, L).
pub(super) struct Places {
    pub dy: Value,
    pub seen: Vec<Value>,
}

impl Places {
    /// `x` (N, C, …), `dy` (N, M, …).
    pub fn new(e: &mut Emitter, x: &Value, dy: &Value, window: &Window) -> Self {
        let one = |list: &[usize]| list.iter().all(|n| *n == 1);
        let squares = window.axes() == 2 && window.stride[0] == window.stride[1];
        if one(&window.stride) {
            Self::in_rows(e, x, dy, window)
        } else if squares && one(&window.dilation) && window.kernel.iter().all(|k| *k > 1) {
            Self::in_phases(e, x, dy, window)
        } else {
            Self::sliced(e, x, dy, window)
        }
    }

    /// Stride 1: the padded picture in a row.
    fn in_rows(e: &mut Emitter, x: &Value, dy: &Value, window: &Window) -> Self {
        let axes = window.axes();
        let reach: Vec<usize> = (0..axes).map(|a| window.reach(a)).collect();
        let padded: Vec<usize> = (0..axes).map(|a| window.output[a] + reach[a] - 1).collect();
        // Shifted along the last axis the row would end too soon: one more line.
        let more = usize::from(reach[1..].iter().any(|r| *r > 1));
        let mut after = window.after.clone();
        after[0] += more as i64;
        let x = pad(e, x, &before(window), &after);
        let row = flat(e, &x);
        // How far apart neighbours along each axis are.
        let pitch: Vec<usize> = (0..axes)
            .map(|a| padded[a + 1..].iter().product())
            .collect();
        let length = window.output[0] * pitch[0];
        let dy = in_step(e, dy, &padded);
        let mut seen = Vec::new();
        for place in window.places() {
            let steps = place.iter().zip(&window.dilation).zip(&pitch);
            let start = steps.map(|((k, d), p)| k * d * p).sum();
            seen.push(e.slice(&row, &[2], &[start], &[length], &[1]));
        }
        Self { dy, seen }
    }

    /// The same stride s along two axes: s² pictures of every s-th pixel, one after another in the channels.
    /// In each of them the stride is 1.
    fn in_phases(e: &mut Emitter, x: &Value, dy: &Value, window: &Window) -> Self {
        let (stride, channels) = (window.stride[0], x.shape[1]);
        let steps: Vec<usize> = window.kernel.iter().map(|k| (k - 1) / stride).collect();
        let rows = window.output[0] + steps[0] + usize::from(steps[1] > 0);
        let columns = window.output[1] + steps[1];
        let whole = [rows * stride, columns * stride];
        let after: Vec<i64> = (0..2)
            .map(|a| whole[a] as i64 - (window.input[a] + window.before[a]) as i64)
            .collect();
        let x = pad(e, x, &before(window), &after);
        let shape = [x.shape[0], channels * stride * stride, rows, columns];
        let block = int("blocksize", stride as i64);
        let phases = e.node("SpaceToDepth", &[&x], &shape, x.dtype, vec![block]);
        let phases = flat(e, &phases);
        let length = window.output[0] * columns;
        let dy = in_step(e, dy, &[window.output[0], columns]);
        let mut seen = Vec::new();
        for place in window.places() {
            let phase = (place[0] % stride) * stride + place[1] % stride;
            let start = place[0] / stride * columns + place[1] / stride;
            let (starts, lengths) = ([phase * channels, start], [channels, length]);
            seen.push(e.slice(&phases, &[1, 2], &starts, &lengths, &[1, 1]));
        }
        Self { dy, seen }
    }

    /// Anything else: slices as they come.
    fn sliced(e: &mut Emitter, x: &Value, dy: &Value, window: &Window) -> Self {
        let axes: Vec<usize> = (2..x.rank()).collect();
        let x = pad(e, x, &before(window), &window.after);
        let mut seen = Vec::new();
        for place in window.places() {
            let starts: Vec<usize> = place
                .iter()
                .zip(&window.dilation)
                .map(|(k, d)| k * d)
                .collect();
            let slice = e.slice(&x, &axes, &starts, &window.output, &window.stride);
            seen.push(flat(e, &slice));
        }
        Self {
            dy: flat(e, dy),
            seen,
        }
    }
}

fn before(window: &Window) -> Vec<i64> {
    window.before.iter().map(|n| *n as i64).collect()
}

/// Padding of the spatial axes; negative numbers crop.
fn pad(e: &mut Emitter, x: &Value, before: &[i64], after: &[i64]) -> Value {
    let all = |spatial: &[i64]| [&[0, 0], spatial].concat();
    e.pad(x, &all(before), &all(after))
}

/// All spatial axes as one.
fn flat(e: &mut Emitter, x: &Value) -> Value {
    let length = x.shape[2..].iter().product();
    e.reshape(x, &[x.shape[0], x.shape[1], length])
}

/// Outputs with zeros after each row, so that their rows are as long as those of the data.
fn in_step(e: &mut Emitter, dy: &Value, padded: &[usize]) -> Value {
    let more = |axis: usize| match axis {
        0 => 0,
        _ => padded[axis] as i64 - dy.shape[axis + 2] as i64,
    };
    let after: Vec<i64> = (0..padded.len()).map(more).collect();
    let dy = pad(e, dy, &vec![0; padded.len()], &after);
    flat(e, &dy)
}
