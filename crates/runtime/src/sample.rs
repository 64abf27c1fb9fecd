// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Made-up inputs: reproducible noise in the shape a model wants, for probing, verifying and measuring.

use crate::error::RuntimeError;
use crate::shape::fixed;
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_graph::ValueInfo;
use splitinfer_tensor::{DType, Data, Tensor};

/// Noise for an input whose dimensions are all fixed: bytes of 0–255 for `uint8`, else numbers of 0–1 (odd
/// seeds) or 0–255 (even seeds), so that two seeds next to one another differ in kind, not only in detail.
///
/// # Errors
/// [`RuntimeError::ShapeNotFixed`] names the dimensions that are symbols and says what to do;
/// [`RuntimeError::InputUnknown`] when the model file does not tell the type or the rank.
pub fn sample(input: &ValueInfo, seed: u64) -> Result<Tensor, RuntimeError> {
    let (dtype, shape) = fixed(input)?;
    let top = if seed % 2 == 1 { 1.0 } else { 255.0 };
    Ok(random_tensor(dtype, &shape, top, seed))
}

/// Uniform noise from 0 to `top` (integers: 0–255, or 0–127 for `int8`; booleans: even odds), the same for the same seed.
///
/// # Panics
/// When `shape` is larger than memory.
pub fn random_tensor(dtype: DType, shape: &[usize], top: f32, seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = shape.iter().product();
    fn fill<T>(n: usize, f: impl FnMut() -> T) -> Vec<T> {
        std::iter::repeat_with(f).take(n).collect()
    }
    let data = match dtype {
        DType::F32 => Data::F32(fill(n, || rng.random::<f32>() * top)),
        DType::F64 => Data::F64(fill(n, || f64::from(rng.random::<f32>() * top))),
        DType::F16 => Data::F16(fill(n, || f16::from_f32(rng.random::<f32>() * top))),
        DType::U8 => Data::U8(fill(n, || rng.random())),
        DType::I8 => Data::I8(fill(n, || rng.random_range(0..=i8::MAX))),
        DType::I32 => Data::I32(fill(n, || rng.random_range(0..=255))),
        DType::I64 => Data::I64(fill(n, || rng.random_range(0..=255))),
        DType::Bool => Data::Bool(fill(n, || u8::from(rng.random::<bool>()))),
    };
    Tensor::from_data(shape.to_vec(), data).expect("as many elements as the shape has")
}
