// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The plain ways: a range a channel and whole levels, or half precision, then a general-purpose compressor.

use anyhow::Result;
use half::f16;
use half::slice::HalfFloatSliceExt;
use zstd::bulk::{Compressor, Decompressor};

use super::framing::{Scale, Specs, channels, put, range, take_f32, take_part, tensor};
use super::{StreamCode, Tensors};

/// The compressor behind the levels.
#[derive(Clone, Copy)]
pub enum Packer {
    /// At its own default level.
    Zstd,
    Lz4,
}

/// One with what it keeps from frame to frame.
enum Packing {
    Zstd(Box<(Compressor<'static>, Decompressor<'static>)>),
    Lz4,
}

impl Packing {
    fn new(packer: Packer) -> Result<Self> {
        Ok(match packer {
            Packer::Zstd => {
                let compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
                Self::Zstd(Box::new((compressor, Decompressor::new()?)))
            }
            Packer::Lz4 => Self::Lz4,
        })
    }

    fn pack(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Zstd(zstd) => zstd.0.compress(bytes)?,
            Self::Lz4 => lz4_flex::compress(bytes),
        })
    }

    fn unpack(&mut self, bytes: &[u8], length: usize) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Zstd(zstd) => zstd.1.decompress(bytes, length)?,
            Self::Lz4 => lz4_flex::decompress(bytes, length)?,
        })
    }
}

/// Smallest and largest value of each channel as `float32`, then a byte a level.
pub struct MinMax {
    packing: Packing,
    /// The last level: 255 at 8 bits.
    last: f32,
    specs: Specs,
}

impl MinMax {
    /// # Errors
    /// When the compressor cannot be made.
    pub fn new(packer: Packer, bits: f64) -> Result<Self> {
        Ok(Self {
            packing: Packing::new(packer)?,
            last: bits.exp2() as f32 - 1.0,
            specs: Specs::default(),
        })
    }
}

impl StreamCode<Tensors> for MinMax {
    fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
        self.specs = Specs::of(frame);
        let mut out = Vec::new();
        for tensor in frame {
            let values = tensor.to_f32_vec();
            let [c, h, w] = channels(tensor.shape());
            let mut body = Vec::with_capacity(values.len() + 8 * c);
            for channel in values.chunks(h * w) {
                let [low, high] = range(channel);
                body.extend(low.to_le_bytes());
                body.extend(high.to_le_bytes());
                let scale = Scale::new([low, high], self.last);
                body.extend(channel.iter().map(|v| scale.level(*v)));
            }
            put(&mut out, &self.packing.pack(&body)?);
        }
        Ok(out)
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<Tensors> {
        let mut tensors = Vec::new();
        for (dtype, shape) in self.specs.iter() {
            let [c, h, w] = channels(shape);
            let body = self
                .packing
                .unpack(take_part(&mut bytes)?, c * (h * w + 8))?;
            let mut values = Vec::with_capacity(c * h * w);
            for channel in body.chunks(h * w + 8) {
                let mut rest = channel;
                let range = [take_f32(&mut rest)?, take_f32(&mut rest)?];
                let scale = Scale::new(range, self.last);
                values.extend(rest.iter().map(|l| scale.value(*l)));
            }
            tensors.push(tensor(dtype, shape, values)?);
        }
        Ok(tensors)
    }
}

/// Half precision and Zstandard.
pub struct Half {
    packing: Packing,
    specs: Specs,
}

impl Half {
    /// # Errors
    /// When the compressor cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self {
            packing: Packing::new(Packer::Zstd)?,
            specs: Specs::default(),
        })
    }
}

impl StreamCode<Tensors> for Half {
    fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
        self.specs = Specs::of(frame);
        let mut out = Vec::new();
        for tensor in frame {
            let values = tensor.to_f32_vec();
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(&values);
            let body: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
            put(&mut out, &self.packing.pack(&body)?);
        }
        Ok(out)
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<Tensors> {
        let mut tensors = Vec::new();
        for (dtype, shape) in self.specs.iter() {
            let n: usize = shape.iter().product();
            let body = self.packing.unpack(take_part(&mut bytes)?, 2 * n)?;
            let halves: Vec<f16> = body
                .as_chunks()
                .0
                .iter()
                .map(|b| f16::from_le_bytes(*b))
                .collect();
            let mut values = vec![0f32; halves.len()];
            halves.convert_to_f32_slice(&mut values);
            tensors.push(tensor(dtype, shape, values)?);
        }
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_tensor::Tensor;

    fn frame() -> Tensors {
        let wave = |i: i32| (i as f32 * 0.37).sin() * 4.0;
        vec![
            Tensor::new(vec![1, 3, 5, 4], (0..60).map(wave).collect()).unwrap(),
            Tensor::new(vec![1, 2, 3, 3], vec![0f32; 18]).unwrap(),
        ]
    }

    fn worst(code: &mut dyn StreamCode<Tensors>) -> f32 {
        let sent = frame();
        let bytes = code.encode(&sent).unwrap();
        let received = code.decode(&bytes).unwrap();
        let pairs = sent.iter().zip(&received);
        pairs
            .flat_map(|(a, b)| {
                assert_eq!(a.shape(), b.shape());
                a.to_f32_vec().into_iter().zip(b.to_f32_vec())
            })
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn no_value_is_off_by_more_than_half_a_step() {
        for packer in [Packer::Zstd, Packer::Lz4] {
            assert!(worst(&mut MinMax::new(packer, 8.0).unwrap()) <= 4.0 / 255.0 + 1e-6);
            assert!(worst(&mut MinMax::new(packer, 2.0).unwrap()) <= 4.0 / 3.0 + 1e-6);
        }
    }

    #[test]
    fn half_precision_is_off_by_at_most_a_unit_in_the_eleventh_binary_digit() {
        assert!(worst(&mut Half::new().unwrap()) <= 4.0 / 2048.0);
    }
}
