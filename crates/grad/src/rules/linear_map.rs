// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Linear maps along one axis, such as resizing, padding by reflection, or averaging: y = R x, so dx = Rᵀ dy.
//!
//! The sizes are known, so R is a constant, and any such operator has the one gradient.

use crate::emitter::Emitter;
use crate::value::Value;

/// R by rows: what each output is made of, as (input, weight).
pub(crate) type Rows = Vec<Vec<(usize, f64)>>;

/// Rᵀ applied to `dy` along `axis`, which had `inputs` elements before the map.
pub(crate) fn transposed(
    e: &mut Emitter,
    dy: &Value,
    axis: usize,
    inputs: usize,
    rows: &Rows,
) -> Value {
    let identity = rows.len() == inputs && rows.iter().enumerate().all(|(i, r)| *r == [(i, 1.0)]);
    if identity {
        return dy.clone();
    }
    if let Some(factor) = repeats(rows, inputs) {
        return sum_repeats(e, dy, axis, inputs, factor);
    }
    let outer: usize = dy.shape[..axis].iter().product();
    let inner: usize = dy.shape[axis + 1..].iter().product();
    let mut matrix = vec![0.0; inputs * rows.len()];
    for (output, row) in rows.iter().enumerate() {
        for (input, weight) in row {
            matrix[input * rows.len() + output] += weight;
        }
    }
    let mut shape = dy.shape.to_vec();
    shape[axis] = inputs;
    let dx = if inner == 1 {
        // Rows of the data times R.
        let flat = e.reshape(dy, &[outer, rows.len()]);
        let matrix = e.floats(&[inputs, rows.len()], &matrix, dy.dtype);
        let right = e.transposed(&matrix);
        e.matmul(&flat, &right)
    } else {
        let flat = e.reshape(dy, &[outer, rows.len(), inner]);
        let matrix = e.floats(&[inputs, rows.len()], &matrix, dy.dtype);
        e.matmul(&matrix, &flat)
    };
    e.reshape(&dx, &shape)
}

/// How often each input is repeated, one after the other, if that is all the map does.
fn repeats(rows: &Rows, inputs: usize) -> Option<usize> {
    let factor = rows.len() / inputs.max(1);
    let exact = factor > 1 && factor * inputs == rows.len();
    let repeated = |(o, row): (usize, &Vec<(usize, f64)>)| *row == [(o / factor, 1.0)];
    (exact && rows.iter().enumerate().all(repeated)).then_some(factor)
}

fn sum_repeats(e: &mut Emitter, dy: &Value, axis: usize, inputs: usize, factor: usize) -> Value {
    let mut apart = dy.shape.to_vec();
    apart[axis] = inputs;
    apart.insert(axis + 1, factor);
    let apart = e.reshape(dy, &apart);
    e.reduce_sum(&apart, &[axis + 1], false)
}
