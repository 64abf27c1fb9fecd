// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Size and time of the tensor code at every depth, on one core.
//!
//! ```sh
//! cargo run --release -p splitinfer-tensorcode --example timing [FILE…]
//! ```
//! Without files: a synthetic activation of 1×32×64×64 (131,072 values). A file holds little-endian `float32`
//! values, and its name ends with the shape, as in `relu_7_1x32x52x52.f32`.

use splitinfer_tensor::{DType, Tensor};
use splitinfer_tensorcode::{Affine, Encode, Limits, decoder};
use std::hint::black_box;
use std::time::Instant;

/// Values for which times are given.
const PER: f64 = 131_072.0;
const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let tensors = match files.is_empty() {
        true => vec![synthetic()?],
        false => files.iter().map(|f| read(f)).collect::<Result<_, _>>()?,
    };
    println!("{} tensors, {} values", tensors.len(), values(&tensors));
    println!("bits | bit/value | encode ms/131k | decode ms/131k");
    for bits in [2, 3, 4, 5, 6, 7, 8, 16, 32] {
        measure(bits, &tensors)?;
    }
    Ok(())
}

fn measure(bits: u8, tensors: &[Tensor]) -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default();
    let (mut encoder, mut decoder) = (Affine::default(), decoder());
    let (mut bytes, mut there, mut back) = (0, 0.0, 0.0);
    for tensor in tensors.chunks(1) {
        let stream = encoder.encode(0, tensor, bits)?;
        decoder.decode(&stream, &limits)?;
        bytes += stream.len();
        there += median(|| drop(black_box(encoder.encode(0, tensor, bits))));
        back += median(|| drop(black_box(decoder.decode(&stream, &limits))));
    }
    let n = values(tensors) as f64;
    println!(
        "{bits:4} | {:9.3} | {:14.3} | {:14.3}",
        bytes as f64 * 8.0 / n,
        there * PER / n,
        back * PER / n
    );
    Ok(())
}

fn values(tensors: &[Tensor]) -> usize {
    tensors.iter().map(Tensor::len).sum()
}

/// Median time in milliseconds.
fn median(mut run: impl FnMut()) -> f64 {
    let mut times = [0.0; RUNS];
    for time in &mut times {
        let start = Instant::now();
        run();
        *time = start.elapsed().as_secs_f64() * 1e3;
    }
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// Waves and noise after a ReLU, with a different gain and bias in each channel.
fn synthetic() -> Result<Tensor, Box<dyn std::error::Error>> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut out = Vec::with_capacity(32 * 64 * 64);
    for c in 0..32 {
        for y in 0..64 {
            for x in 0..64 {
                let wave = (x as f32 * 0.1 + c as f32).sin() + (y as f32 * 0.07 * c as f32).cos();
                let value = (wave + 0.3 * noise() - 0.4) * (1 + c % 5) as f32;
                out.push(value.max(0.0));
            }
        }
    }
    Ok(Tensor::new(vec![1, 32, 64, 64], out)?)
}

fn read(file: &str) -> Result<Tensor, Box<dyn std::error::Error>> {
    let stem = file.trim_end_matches(".f32");
    let shape = stem.rsplit('_').next().unwrap_or_default();
    let shape = shape
        .split('x')
        .map(str::parse)
        .collect::<Result<Vec<usize>, _>>()
        .map_err(|_| format!("{file}: the name must end with the shape, as in _1x32x52x52.f32"))?;
    let bytes = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    Ok(Tensor::from_le_bytes(DType::F32, shape, &bytes)?)
}
