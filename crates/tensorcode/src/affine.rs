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

use crate::compress::{Compressor, Decompressor};
use crate::header::{self, Coding, TensorHeader};
use crate::layout::{Layout, channel_axis};
use crate::pack::{Arrange, from_planes, to_planes};
use crate::quantise::{Scale, dequantise, quantise, range};
use crate::{AUTO, AUTO_BITS, CodeError, Decode, Encode, Limits};
use half::f16;
use half::slice::HalfFloatSliceExt;
use splitinfer_tensor::{DType, Data, Tensor};
use std::borrow::Cow;

/// Encoder of the affine code. See the crate's documentation for an example.
///
/// Depths 2–8 and 16 are affine (16 as well: its bound is at least 16 times smaller than that of `float16`);
/// a `float16` tensor at 16 bits and everything at 32 bits is exact. Constant channels cost their value only,
/// zero is represented exactly, and a tensor for which quantising saves nothing is exact.
#[derive(Default)]
pub struct Affine {
    compressor: Compressor,
}

impl Encode for Affine {
    fn encode(&mut self, tensors: &[Tensor], bits: u8) -> Result<Vec<u8>, CodeError> {
        let bits = match bits {
            AUTO => AUTO_BITS,
            2..=8 | 16 | 32 => bits,
            _ => return Err(CodeError::Bits(bits)),
        };
        let mut out = Vec::new();
        header::write_start(&mut out, tensors.len())?;
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

fn values(tensor: &Tensor) -> Cow<'_, [f32]> {
    match tensor.data() {
        Data::F32(v) => Cow::Borrowed(v),
        Data::F16(v) => Cow::Owned(v.to_f32_vec()),
        _ => Cow::Owned(tensor.to_f32_vec()),
    }
}

/// What the way from `dtype` to `float32` and back adds to the error of a value of this magnitude.
fn conversion_error(dtype: DType, magnitude: f32) -> f64 {
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

fn from_f32(dtype: DType, values: Vec<f32>) -> Data {
    match dtype {
        DType::F16 => {
            // The outermost level may lie half a step beyond the largest value, and then beyond the type.
            let (low, high) = (f16::MIN.to_f32(), f16::MAX.to_f32());
            let inside: Vec<f32> = values.iter().map(|v| v.clamp(low, high)).collect();
            let mut out = vec![f16::ZERO; inside.len()];
            out.convert_from_f32_slice(&inside);
            Data::F16(out)
        }
        DType::F64 => Data::F64(values.into_iter().map(f64::from).collect()),
        _ => Data::F32(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{describe, max_errors};
    use proptest::prelude::*;

    fn round_trip(tensors: &[Tensor], bits: u8) -> (Vec<Tensor>, Vec<f32>, usize) {
        let limits = Limits {
            max_bytes: tensors.iter().map(Tensor::byte_len).sum(),
            ..Limits::default()
        };
        let bytes = Affine::default().encode(tensors, bits).unwrap();
        let decoded = AffineDecoder::default().decode(&bytes, &limits).unwrap();
        (decoded, max_errors(&bytes, &limits).unwrap(), bytes.len())
    }

    fn depth() -> impl Strategy<Value = u8> {
        prop_oneof![Just(AUTO), 2u8..=8, Just(16), Just(32)]
    }

    /// Values as activations have them: many zeros, constant channels, offsets.
    fn tensor() -> impl Strategy<Value = Tensor> {
        let shape = prop_oneof![
            proptest::collection::vec(0usize..7, 0..4),
            (1usize..3, 1usize..6, 1usize..9, 1usize..9).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
            (1usize..3, 16usize..40, 1usize..9).prop_map(|(n, s, f)| vec![n, s, f]),
        ];
        (shape, 0..4u8, -3i32..4, any::<u64>()).prop_map(|(shape, dtype, exponent, seed)| {
            let n: usize = shape.iter().product();
            let scale = 10f32.powi(exponent);
            let mut state = seed | 1;
            let values = (0..n).map(|i| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let noise = (state >> 40) as f32 / (1 << 24) as f32 - 0.3;
                match seed >> 60 {
                    0..4 => noise.max(0.0) * scale,
                    4..8 => (noise + (i / 32) as f32) * scale,
                    8..12 if i / 64 % 2 == 0 => 1.5 * scale,
                    _ => noise * scale,
                }
            });
            let data = match dtype {
                0 => Data::F16(values.map(f16::from_f32).collect()),
                1 => Data::F64(values.map(|v| f64::from(v) * 1.000_000_001).collect()),
                2 => Data::I32(values.map(|v| (v * 100.0) as i32).collect()),
                _ => Data::F32(values.collect()),
            };
            Tensor::from_data(shape, data).unwrap()
        })
    }

    fn as_f64(t: &Tensor) -> Vec<f64> {
        match t.data() {
            Data::F64(v) => v.clone(),
            _ => t.to_f32_vec().into_iter().map(f64::from).collect(),
        }
    }

    proptest! {
        #[test]
        fn every_tensor_comes_back_within_the_stated_error(
            tensors in proptest::collection::vec(tensor(), 0..4),
            bits in depth(),
        ) {
            let (decoded, bounds, _) = round_trip(&tensors, bits);
            prop_assert_eq!(decoded.len(), tensors.len());
            for ((a, b), bound) in tensors.iter().zip(&decoded).zip(bounds) {
                prop_assert_eq!(a.shape(), b.shape());
                prop_assert_eq!(a.dtype(), b.dtype());
                if bits == 32 || !a.dtype().is_float() {
                    prop_assert_eq!(a, b);
                    prop_assert_eq!(bound, 0.0);
                }
                for (x, y) in as_f64(a).into_iter().zip(as_f64(b)) {
                    prop_assert!((x - y).abs() <= f64::from(bound), "{} became {}, bound {}", x, y, bound);
                    prop_assert!(x != 0.0 || y == 0.0, "zero became {}", y);
                }
            }
        }

        #[test]
        fn noise_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let limits = Limits { max_bytes: 1 << 16, ..Limits::default() };
            prop_assert!(AffineDecoder::default().decode(&bytes, &limits).is_err());
        }

        #[test]
        fn a_damaged_stream_gives_an_error_or_finite_tensors_within_the_limits(
            tensors in proptest::collection::vec(tensor(), 1..3),
            bits in depth(),
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
            cut in proptest::option::of(any::<proptest::sample::Index>()),
        ) {
            let mut bytes = Affine::default().encode(&tensors, bits).unwrap();
            for (at, flip) in damage {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            if let Some(cut) = cut {
                let at = cut.index(bytes.len());
                bytes.truncate(at);
            }
            let limits = Limits { max_bytes: 1 << 14, ..Limits::default() };
            if let Ok(decoded) = AffineDecoder::default().decode(&bytes, &limits) {
                let headers = describe(&bytes, &limits).unwrap();
                let total: usize = decoded.iter().map(Tensor::byte_len).sum();
                prop_assert!(total <= limits.max_bytes);
                for (t, header) in decoded.iter().zip(headers) {
                    let quantised = header.coding != Coding::Exact;
                    prop_assert!(!quantised || t.to_f32_vec().iter().all(|v| v.is_finite()));
                }
            }
        }
    }

    #[test]
    fn nan_and_infinity_arrive_as_they_were_sent() {
        let mut values = vec![0.5f32; 64];
        values[3] = f32::NAN;
        values[9] = f32::NEG_INFINITY;
        let sent = Tensor::new(vec![1, 1, 8, 8], values).unwrap();
        let (received, bound, _) = round_trip(std::slice::from_ref(&sent), 4);
        assert_eq!(sent.to_le_bytes(), received[0].to_le_bytes());
        assert_eq!(bound, [0.0]);
    }

    #[test]
    fn a_dead_channel_costs_only_its_value() {
        let wave = |i: usize| ((i * 2_654_435_761) % 251) as f32;
        let alive: Vec<f32> = (0..4096).map(wave).collect();
        let mut both = alive.clone();
        both.extend(vec![0.25; 4096]);
        let one = Tensor::new(vec![1, 1, 64, 64], alive).unwrap();
        let two = Tensor::new(vec![1, 2, 64, 64], both).unwrap();
        let (_, _, a) = round_trip(&[one], 8);
        let (decoded, _, b) = round_trip(&[two], 8);
        assert!(b <= a + 8, "{b} bytes with a dead channel, {a} without");
        assert!(decoded[0].to_f32_vec()[4096..].iter().all(|v| *v == 0.25));
    }

    #[test]
    fn the_largest_half_does_not_become_infinite() {
        let values: Vec<f16> = (0..64)
            .map(|i| if i == 7 { f16::MAX } else { f16::MIN })
            .collect();
        let sent = Tensor::new(vec![1, 1, 8, 8], values).unwrap();
        let (received, bound, _) = round_trip(&[sent], 2);
        assert!(received[0].to_f32_vec().iter().all(|v| v.is_finite()));
        assert!(bound[0] < 65504.0);
    }

    #[test]
    fn a_small_stream_that_announces_much_is_refused_before_it_is_allocated() {
        let sent = Tensor::new(vec![1, 4, 256, 256], vec![1f32; 4 << 16]).unwrap();
        let bytes = Affine::default().encode(&[sent], 8).unwrap();
        assert!(bytes.len() < 100);
        let limits = |max_bytes| Limits {
            max_bytes,
            ..Limits::default()
        };
        let mut decoder = AffineDecoder::default();
        assert!(decoder.decode(&bytes, &limits(4 << 18)).is_ok());
        let refused = decoder.decode(&bytes, &limits((4 << 18) - 1)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "bytes of decoded tensors: 1048576 announced, 1048575 accepted"
        );
    }

    #[test]
    fn an_empty_tensor_of_absurd_dimensions_is_only_empty() {
        let shape = vec![0, 1 << 31, 1 << 31, 1 << 31];
        let sent = Tensor::new(shape, Vec::<f32>::new()).unwrap();
        let (received, _, _) = round_trip(std::slice::from_ref(&sent), 8);
        assert_eq!(received[0], sent);
        // The same, said to be quantised.
        let mut bytes = Affine::default().encode(&[sent], 8).unwrap();
        bytes[9..12].copy_from_slice(&[1, 8, 1]);
        let refused = AffineDecoder::default().decode(&bytes, &Limits::default());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "tensor 0: an empty tensor is quantised"
        );
    }

    #[test]
    fn every_other_depth_is_refused() {
        for bits in [1, 9, 15, 17, 31, 33, 255] {
            let refused = Affine::default().encode(&[], bits);
            assert!(matches!(refused, Err(CodeError::Bits(b)) if b == bits));
        }
    }

    #[test]
    fn encoders_and_decoders_can_move_to_another_thread() {
        fn send<T: Send + 'static>() {}
        send::<Affine>();
        send::<AffineDecoder>();
    }
}
