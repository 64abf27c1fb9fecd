// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The first code: a range of its own for each channel, whole levels, a general-purpose compressor.
//!
//! Each frame stands alone. The body of a quantised tensor, before compression:
//! a bit a channel (set: constant), a base a channel, a step a channel that is not constant (both as byte planes),
//! and the levels of those channels, channel after channel.

mod compress;
mod header;
mod layout;
mod pack;
mod quantise;
#[cfg(test)]
mod tests;

use compress::{Compressor, Decompressor};
pub use header::{Coding, TensorHeader, describe};
use layout::{Layout, channel_axis};
use pack::{Arrange, from_planes, to_planes};
pub(crate) use quantise::range;
use quantise::{Scale, dequantise, quantise};

use crate::{AUTO, CodeError, Decode, Encode, Limits, stream};
use half::f16;
use half::slice::HalfFloatSliceExt;
use splitinfer_tensor::{DType, Data, Tensor};
use std::borrow::Cow;
use std::ops::Range;

/// What [`AUTO`] stands for here: no value is off by more than about 1/510 of its channel's range.
const DEFAULT_BITS: u8 = 8;

/// Encoder of the affine code. Each frame stands alone, so its number is of no interest.
///
/// Depths 2–8 and 16 are affine (16 as well: its bound is at least 16 times smaller than that of `float16`);
/// a `float16` tensor at 16 bits and everything at 32 bits is exact. Constant channels cost their value only,
/// zero is represented exactly, and a tensor for which quantising saves nothing is exact.
#[derive(Default)]
pub struct Affine {
    compressor: Compressor,
}

impl Encode for Affine {
    fn encode(&mut self, _: u64, tensors: &[Tensor], bits: u8) -> Result<Vec<u8>, CodeError> {
        let bits = match bits {
            AUTO => DEFAULT_BITS,
            2..=8 | 16 | 32 => bits,
            _ => return Err(CodeError::Bits(bits)),
        };
        let mut out = Vec::new();
        stream::write_start(&mut out, stream::AFFINE, tensors.len())?;
        for tensor in tensors {
            let quantised = match (bits, tensor.dtype()) {
                (32, _) | (16, DType::F16) => None,
                (_, dtype) if dtype.is_float() => Plan::new(tensor, bits),
                _ => None,
            };
            match quantised {
                Some(plan) if bits <= 8 => self.write_affine::<u8>(tensor, &plan, &mut out)?,
                Some(plan) => self.write_affine::<u16>(tensor, &plan, &mut out)?,
                None => self.write_exact(tensor, &mut out)?,
            }
        }
        Ok(out)
    }

    fn acknowledge(&mut self, _: u64) {}

    fn reset(&mut self) {}
}

impl Affine {
    fn write_exact(&mut self, tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let header = header_of(tensor, Coding::Exact, 0.0);
        let raw = tensor.to_le_bytes();
        let small = self
            .compressor
            .compress(&to_planes(&raw, tensor.dtype().size()))?;
        if small.len() < raw.len() {
            write_part(header, raw.len(), Some(&small), &[], out)
        } else {
            write_part(header, raw.len(), None, &raw, out)
        }
    }

    fn write_affine<L: Arrange>(
        &mut self,
        tensor: &Tensor,
        plan: &Plan,
        out: &mut Vec<u8>,
    ) -> Result<(), CodeError> {
        let header = header_of(
            tensor,
            Coding::Affine {
                bits: plan.bits,
                axis: plan.axis,
            },
            plan.max_error,
        );
        let levels = plan.levels::<L>();
        let body = |compressed| {
            let mut body = plan.parameters();
            L::write(&levels, plan.bits, compressed, &mut body);
            body
        };
        let arranged = body(true);
        let small = self.compressor.compress(&arranged)?;
        if small.len() < plan.stored_len && arranged.len() <= tensor.byte_len() {
            write_part(header, arranged.len(), Some(&small), &[], out)
        } else {
            write_part(header, plan.stored_len, None, &body(false), out)
        }
    }
}

fn header_of(tensor: &Tensor, coding: Coding, max_error: f32) -> TensorHeader {
    TensorHeader {
        dtype: tensor.dtype(),
        shape: tensor.shape().to_vec(),
        coding,
        max_error,
        compressed: false,
        body_len: 0,
        payload_len: 0,
    }
}

/// Appends header and payload: `small` where the body was compressed, else `stored`.
fn write_part(
    header: TensorHeader,
    body_len: usize,
    small: Option<&[u8]>,
    stored: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CodeError> {
    let payload = small.unwrap_or(stored);
    TensorHeader {
        compressed: small.is_some(),
        body_len,
        payload_len: payload.len(),
        ..header
    }
    .write(out)?;
    out.extend_from_slice(payload);
    Ok(())
}

/// How one tensor is going to be quantised.
struct Plan<'a> {
    bits: u8,
    axis: Option<usize>,
    /// Values in channel-major order.
    planar: Cow<'a, [f32]>,
    per_channel: usize,
    scales: Vec<Scale>,
    max_error: f32,
    /// Bytes of the body when it is not compressed.
    stored_len: usize,
}

impl<'a> Plan<'a> {
    /// `None` when the tensor cannot be quantised (it is empty, or a value is not finite or beyond 1e30), or
    /// when that would save nothing.
    fn new(tensor: &'a Tensor, bits: u8) -> Option<Self> {
        if tensor.is_empty() {
            return None;
        }
        let axis = channel_axis(tensor.shape());
        let layout = Layout::new(tensor.shape(), axis);
        let planar = layout.channel_major(values(tensor));
        let per_channel = layout.per_channel();
        let mut scales = Vec::with_capacity(layout.channels);
        let mut max_error = 0f64;
        for channel in planar.chunks(per_channel) {
            let (low, high) = range(channel)?;
            let scale = Scale::fit(low, high, bits);
            let conversion = conversion_error(tensor.dtype(), low.abs().max(high.abs()));
            max_error = max_error.max(scale.max_error(low, high, bits) + conversion);
            scales.push(scale);
        }
        let stored_len = body_len(&scales, per_channel, bits, false);
        let exact = max_error == 0.0;
        (stored_len < tensor.byte_len()).then_some(Self {
            bits,
            axis,
            planar,
            per_channel,
            scales,
            max_error: if exact {
                0.0
            } else {
                (max_error as f32).next_up()
            },
            stored_len,
        })
    }

    fn levels<L: Arrange>(&self) -> Vec<L> {
        let mut levels = Vec::with_capacity(self.planar.len());
        for (channel, scale) in self.planar.chunks(self.per_channel).zip(&self.scales) {
            if scale.step != 0.0 {
                quantise(channel, *scale, self.bits, &mut levels);
            }
        }
        levels
    }

    fn parameters(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.stored_len);
        for group in self.scales.chunks(8) {
            let constant = |(i, s): (usize, &Scale)| u8::from(s.step == 0.0) << i;
            body.push(group.iter().enumerate().map(constant).sum());
        }
        let bases = self.scales.iter().map(|s| s.base);
        let steps = self.scales.iter().map(|s| s.step).filter(|s| *s != 0.0);
        body.extend(to_planes(&little_endian(bases), 4));
        body.extend(to_planes(&little_endian(steps), 4));
        body
    }
}

fn little_endian(numbers: impl Iterator<Item = f32>) -> Vec<u8> {
    numbers.flat_map(f32::to_le_bytes).collect()
}

/// Bytes of a body with these scales.
fn body_len(scales: &[Scale], per_channel: usize, bits: u8, compressed: bool) -> usize {
    let varying = scales.iter().filter(|s| s.step != 0.0).count();
    let n = varying * per_channel;
    let levels = if bits <= 8 {
        <u8 as Arrange>::len(n, bits, compressed)
    } else {
        <u16 as Arrange>::len(n, bits, compressed)
    };
    scales.len().div_ceil(8) + 4 * (scales.len() + varying) + levels
}

pub(crate) fn values(tensor: &Tensor) -> Cow<'_, [f32]> {
    match tensor.data() {
        Data::F32(v) => Cow::Borrowed(v),
        Data::F16(v) => Cow::Owned(v.to_f32_vec()),
        _ => Cow::Owned(tensor.to_f32_vec()),
    }
}

/// What the way from `dtype` to `float32` and back adds to the error of a value of this magnitude.
pub(crate) fn conversion_error(dtype: DType, magnitude: f32) -> f64 {
    let magnitude = f64::from(magnitude);
    match dtype {
        // Half a unit in the last of 11 (24) binary digits; the second term covers subnormal numbers.
        DType::F16 => magnitude / 2048.0 + 2f64.powi(-25),
        DType::F64 => magnitude / f64::from(1 << 24) + 2f64.powi(-150),
        _ => 0.0,
    }
}

/// Decoder of the affine code.
#[derive(Default)]
pub struct AffineDecoder {
    decompressor: Decompressor,
}

impl Decode for AffineDecoder {
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError> {
        let parts = header::parse(bytes, limits)?;
        let tensors = parts.into_iter().enumerate();
        let decoded = tensors.map(|(i, (header, payload))| {
            self.decode_tensor(&header, payload)
                .map_err(|what| CodeError::Corrupt { tensor: i, what })
        });
        decoded.collect()
    }

    /// Nothing can be done without.
    fn decode_partial(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<Vec<Tensor>, CodeError> {
        match missing.iter().find(|m| !m.is_empty()) {
            None => self.decode(bytes, limits),
            Some(m) => Err(CodeError::Truncated {
                at: m.start,
                missing: m.len(),
            }),
        }
    }

    fn reset(&mut self) {}
}

impl AffineDecoder {
    fn decode_tensor(
        &mut self,
        header: &TensorHeader,
        payload: &[u8],
    ) -> Result<Tensor, &'static str> {
        // No encoder has use for more, and it bounds what parameters and levels can take.
        if header.body_len > header.byte_len() {
            return Err("its announced body is longer than the tensor itself");
        }
        let body = if header.compressed {
            let body = self.decompressor.decompress(payload, header.body_len);
            Cow::Owned(body.ok_or("its body cannot be decompressed to the announced length")?)
        } else if payload.len() == header.body_len {
            Cow::Borrowed(payload)
        } else {
            return Err("its payload has not the announced length");
        };
        match header.coding {
            Coding::Exact => read_exact(header, body),
            Coding::Affine { bits, axis } if bits <= 8 => {
                read_affine::<u8>(header, bits, axis, &body)
            }
            Coding::Affine { bits, axis } => read_affine::<u16>(header, bits, axis, &body),
        }
    }
}

fn read_exact(header: &TensorHeader, body: Cow<'_, [u8]>) -> Result<Tensor, &'static str> {
    let elements = if header.compressed {
        Cow::Owned(from_planes(&body, header.dtype.size()))
    } else {
        body
    };
    Tensor::from_le_bytes(header.dtype, header.shape.clone(), &elements)
        .map_err(|_| "its body has not the length of its shape")
}

fn read_affine<L: Arrange>(
    header: &TensorHeader,
    bits: u8,
    axis: Option<usize>,
    body: &[u8],
) -> Result<Tensor, &'static str> {
    // Besides being pointless, its dimensions' products need not be representable.
    if header.byte_len() == 0 {
        return Err("an empty tensor is quantised");
    }
    let layout = Layout::new(&header.shape, axis);
    let per_channel = layout.per_channel();
    let (scales, rest) = read_scales(body, layout.channels, bits)?;
    if body.len() != body_len(&scales, per_channel, bits, header.compressed) {
        return Err("its body has not the length that its parameters ask for");
    }
    let varying = scales.iter().filter(|s| s.step != 0.0).count();
    let levels = L::read(rest, bits, header.compressed, varying * per_channel);
    let mut planar = vec![0f32; per_channel * layout.channels];
    let mut levels = levels.chunks_exact(per_channel);
    for (channel, scale) in planar.chunks_exact_mut(per_channel).zip(&scales) {
        if scale.step == 0.0 {
            channel.fill(scale.base);
        } else {
            let levels = levels.next().ok_or("levels are missing")?;
            dequantise(levels, *scale, channel);
        }
    }
    let data = from_f32(header.dtype, layout.row_major(planar));
    Tensor::from_data(header.shape.clone(), data).map_err(|_| "its shape is impossible")
}

/// The channels' scales, and what follows them.
fn read_scales(
    body: &[u8],
    channels: usize,
    bits: u8,
) -> Result<(Vec<Scale>, &[u8]), &'static str> {
    const SHORT: &str = "its body ends within the parameters";
    let (constant, rest) = body.split_at_checked(channels.div_ceil(8)).ok_or(SHORT)?;
    let (bases, rest) = rest.split_at_checked(4 * channels).ok_or(SHORT)?;
    let is_constant = |i: usize| constant[i / 8] >> (i % 8) & 1 == 1;
    let varying = (0..channels).filter(|i| !is_constant(*i)).count();
    let (steps, rest) = rest.split_at_checked(4 * varying).ok_or(SHORT)?;
    let (bases, steps) = (from_planes(bases, 4), from_planes(steps, 4));
    let mut steps = steps.as_chunks().0.iter();
    let mut scales = Vec::with_capacity(channels);
    for (i, base) in bases.as_chunks().0.iter().enumerate() {
        let base = f32::from_le_bytes(*base);
        let step = match is_constant(i) {
            true => 0.0,
            false => f32::from_le_bytes(*steps.next().ok_or(SHORT)?),
        };
        let scale = Scale { base, step };
        if !scale.is_sound(bits) || (step == 0.0 && !is_constant(i)) {
            return Err("a channel's base or step is not a usable number");
        }
        scales.push(scale);
    }
    Ok((scales, rest))
}

pub(crate) fn from_f32(dtype: DType, mut values: Vec<f32>) -> Data {
    match dtype {
        DType::F16 => {
            // The outermost level may lie half a step beyond the largest value, and then beyond the type.
            let (low, high) = (f16::MIN.to_f32(), f16::MAX.to_f32());
            values.iter_mut().for_each(|v| *v = v.clamp(low, high));
            let mut out = vec![f16::ZERO; values.len()];
            out.convert_from_f32_slice(&values);
            Data::F16(out)
        }
        DType::F64 => Data::F64(values.into_iter().map(f64::from).collect()),
        _ => Data::F32(values),
    }
}
