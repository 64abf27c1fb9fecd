// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Size and time of both codes, on one core: [`Affine`] at every depth, [`Predictive`] at some steps, each frame alone and
//! predicted from the one before.
//!
//! ```sh
//! cargo run --release -p splitinfer-tensorcode --example timing [FILE…]
//! ```
//! Without files: eight frames of a synthetic activation of 1×32×64×64 (131,072 values). A file holds little-endian
//! `float32` values, and its name ends with the shape, as in `relu_7_1x32x52x52.f32`; files of one shape are frames of
//! one stream, in the order given.

use splitinfer_tensor::{DType, Tensor};
use splitinfer_tensorcode::{
    AUTO, Affine, Decode, Encode, Limits, Predictive, PredictiveDecoder, decoder,
};
use std::hint::black_box;
use std::time::Instant;

/// Values for which times are given.
const PER: f64 = 131_072.0;
const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let tensors = match files.is_empty() {
        true => (0..8).map(synthetic).collect::<Result<Vec<_>, _>>()?,
        false => files.iter().map(|f| read(f)).collect::<Result<_, _>>()?,
    };
    let streams = streams(tensors);
    for stream in &streams {
        let (frames, shape) = (stream.len(), stream[0].shape());
        println!("{frames} frames of {shape:?}");
    }
    println!("code | bit/value | encode ms/131k | decode ms/131k");
    for bits in [2, 3, 4, 5, 6, 7, 8, 16, 32] {
        let took = streams.iter().map(|s| affine(s, bits));
        print(&format!("affine, {bits} bits"), took, &streams)?;
    }
    for step in [0.5, 0.25, 0.125, 0.0625] {
        for (name, acknowledged) in [("alone", false), ("predicted", true)] {
            let took = streams.iter().map(|s| predictive(s, step, acknowledged));
            print(&format!("{name}, step {step}"), took, &streams)?;
        }
    }
    Ok(())
}

/// Tensors of one shape are frames of one stream.
fn streams(tensors: Vec<Tensor>) -> Vec<Vec<Tensor>> {
    let mut streams: Vec<Vec<Tensor>> = Vec::new();
    for tensor in tensors {
        match streams.iter_mut().find(|s| s[0].shape() == tensor.shape()) {
            Some(stream) => stream.push(tensor),
            None => streams.push(vec![tensor]),
        }
    }
    streams
}

/// Bytes, and milliseconds there and back.
#[derive(Default)]
struct Took {
    bytes: usize,
    there: f64,
    back: f64,
}

type Measured = Result<Took, Box<dyn std::error::Error>>;

fn affine(frames: &[Tensor], bits: u8) -> Measured {
    let limits = Limits::default();
    let (mut encoder, mut decoder) = (Affine::default(), decoder());
    let mut took = Took::default();
    for tensor in frames.chunks(1) {
        let stream = encoder.encode(0, tensor, bits)?;
        decoder.decode(&stream, &limits)?;
        took.bytes += stream.len();
        took.there += median(|| drop(black_box(encoder.encode(0, tensor, bits))));
        took.back += median(|| drop(black_box(decoder.decode(&stream, &limits))));
    }
    Ok(took)
}

/// The whole stream again and again, for what is remembered from frame to frame belongs to it; the median of the runs.
fn predictive(frames: &[Tensor], step: f32, acknowledged: bool) -> Measured {
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let (mut encoder, mut decoder) = (Predictive::default(), PredictiveDecoder::default());
        encoder.set_step(step);
        encoder.set_parallel(false);
        decoder.set_parallel(false);
        let mut took = Took::default();
        for (number, tensor) in (0..).zip(frames.chunks(1)) {
            let start = Instant::now();
            let stream = encoder.encode(number, tensor, AUTO)?;
            took.there += start.elapsed().as_secs_f64() * 1e3;
            let start = Instant::now();
            black_box(decoder.decode(&stream, &Limits::default())?);
            took.back += start.elapsed().as_secs_f64() * 1e3;
            took.bytes += stream.len();
            if acknowledged {
                encoder.acknowledge(number);
            }
        }
        runs.push(took);
    }
    let middle = |time: fn(&Took) -> f64| {
        let mut times: Vec<f64> = runs.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        times[RUNS / 2]
    };
    Ok(Took {
        bytes: runs[0].bytes,
        there: middle(|t| t.there),
        back: middle(|t| t.back),
    })
}

fn print(
    name: &str,
    took: impl Iterator<Item = Measured>,
    streams: &[Vec<Tensor>],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut all = Took::default();
    for took in took {
        let took = took?;
        all.bytes += took.bytes;
        all.there += took.there;
        all.back += took.back;
    }
    let values: usize = streams.iter().flatten().map(Tensor::len).sum();
    let values = values as f64;
    println!(
        "{name} | {:.3} | {:.3} | {:.3}",
        all.bytes as f64 * 8.0 / values,
        all.there * PER / values,
        all.back * PER / values
    );
    Ok(())
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

/// Waves and noise after a ReLU, with a different gain and bias in each channel. From frame to frame the noise changes.
fn synthetic(frame: u32) -> Result<Tensor, Box<dyn std::error::Error>> {
    let mut state = 1 + frame;
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
