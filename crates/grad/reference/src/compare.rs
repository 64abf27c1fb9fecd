// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How far tensors are from their references.

use splitinfer_tensor::{Data, Tensor};

/// Elements in double precision.
pub fn doubles(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        Data::F64(v) => v.clone(),
        _ => tensor.to_f32_vec().into_iter().map(f64::from).collect(),
    }
}

/// A reference this much smaller than others beside it is zero but for rounding.
const ZERO: f64 = 1e-9;

/// The largest difference over the largest element of the reference, or over `scale`, the size of what stands beside it,
/// where the reference is zero.
///
/// # Panics
/// When the shapes differ.
pub fn relative_error(reference: &Tensor, got: &Tensor, scale: f64) -> f64 {
    assert_eq!(reference.shape(), got.shape());
    let pairs = doubles(reference).into_iter().zip(doubles(got));
    let difference = pairs.fold(0.0f64, |m, (a, b)| m.max(nan_is_far((a - b).abs())));
    let size = size(reference);
    let zero = size <= ZERO * scale;
    difference
        / if zero && scale > 0.0 {
            scale
        } else if zero {
            1.0
        } else {
            size
        }
}

/// The largest element.
pub fn size(tensor: &Tensor) -> f64 {
    doubles(tensor).iter().fold(0.0f64, |m, v| m.max(v.abs()))
}

fn nan_is_far(v: f64) -> f64 {
    if v.is_nan() { f64::INFINITY } else { v }
}
