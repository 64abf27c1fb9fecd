// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The bit stream's headers, written and read. Specified in `docs/tensor-code.md`.

use crate::stream::{AFFINE, Reader, read_start, within};
use crate::{CodeError, Limits};
use splitinfer_tensor::{DType, count};

/// Value of the axis byte when one range serves the whole tensor.
const NO_AXIS: u8 = 255;

/// How the values of a tensor are represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Bit by bit as they are.
    Exact,
    /// Levels of `bits` bits; a base and a step for each index along `axis`, or one pair for the whole tensor.
    Affine { bits: u8, axis: Option<usize> },
}

/// What the stream says about one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorHeader {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub coding: Coding,
    /// No decoded value differs from the encoded one by more than this.
    pub max_error: f32,
    /// Whether the body is compressed.
    pub(crate) compressed: bool,
    /// Bytes of the body before compression.
    pub(crate) body_len: usize,
    /// Bytes in the stream that belong to the tensor, without this header.
    pub payload_len: usize,
}

impl TensorHeader {
    /// Appends the header. Lengths and dimensions above `u32::MAX`, and ranks above 254, are refused.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let (coding, bits, axis) = match self.coding {
            Coding::Exact => (0, 32, NO_AXIS),
            Coding::Affine { bits, axis } => (1, bits, axis.map_or(NO_AXIS, |a| a as u8)),
        };
        let rank = self.shape.len();
        if rank >= usize::from(NO_AXIS) {
            return Err(CodeError::TooLarge {
                what: "a tensor's number of dimensions",
                got: rank,
                max: usize::from(NO_AXIS) - 1,
            });
        }
        out.extend([
            self.dtype as u8,
            coding,
            bits,
            axis,
            u8::from(self.compressed),
            rank as u8,
        ]);
        out.extend(self.max_error.to_le_bytes());
        out.extend(to_u32("a tensor's size in bytes", self.body_len)?);
        out.extend(to_u32("a tensor's size in bytes", self.payload_len)?);
        for d in &self.shape {
            out.extend(to_u32("a tensor's dimension", *d)?);
        }
        Ok(())
    }

    /// Bytes of the decoded tensor.
    pub fn byte_len(&self) -> usize {
        // Cannot overflow: checked when the header was read, and a tensor exists when it is written.
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    fn read(from: &mut Reader<'_>, tensor: usize, limits: &Limits) -> Result<Self, CodeError> {
        let [dtype, coding, bits, axis, compressed, rank] = from.array()?;
        let corrupt = |what| CodeError::Corrupt { tensor, what };
        let dtype = DType::from_onnx(i32::from(dtype)).ok_or(CodeError::ElementType {
            tensor,
            code: dtype,
        })?;
        let compressed = match compressed {
            0 => false,
            1 => true,
            _ => return Err(corrupt("unknown compression")),
        };
        let rank = usize::from(rank);
        within("dimensions of a tensor", rank, limits.max_rank)?;
        let max_error = f32::from_le_bytes(from.array()?);
        if !(0.0..=f32::MAX).contains(&max_error) {
            return Err(corrupt("the stated error is not a finite positive number"));
        }
        let body_len = from.u32()?;
        let payload_len = from.u32()?;
        let shape = (0..rank)
            .map(|_| from.u32())
            .collect::<Result<Vec<usize>, _>>()?;
        let axis = match usize::from(axis) {
            a if axis == NO_AXIS || a < rank => (axis != NO_AXIS).then_some(a),
            _ => return Err(corrupt("the channel axis is not one of its dimensions")),
        };
        let coding = match (coding, bits) {
            (0, 32) => Coding::Exact,
            (1, 2..=8 | 16) if dtype.is_float() => Coding::Affine { bits, axis },
            (1, _) => return Err(corrupt("this depth or element type cannot be quantised")),
            _ => return Err(corrupt("unknown coding")),
        };
        Ok(Self {
            dtype,
            shape,
            coding,
            max_error,
            compressed,
            body_len,
            payload_len,
        })
    }
}

/// Splits a stream into headers and payloads. Allocates nothing that depends on announced sizes, and has
/// checked when it returns that all decoded tensors together stay within the limits.
pub(crate) fn parse<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Vec<(TensorHeader, &'a [u8])>, CodeError> {
    let mut from = Reader::new(bytes);
    let tensors = read_start(&mut from, AFFINE, limits)?;
    let mut parts = Vec::new();
    let mut total = 0usize;
    for tensor in 0..tensors {
        let header = TensorHeader::read(&mut from, tensor, limits)?;
        let size = count(&header.shape)
            .ok()
            .and_then(|n| n.checked_mul(header.dtype.size()))
            .unwrap_or(usize::MAX);
        total = total.saturating_add(size);
        within("bytes of decoded tensors", total, limits.max_bytes)?;
        let payload = from.take(header.payload_len)?;
        parts.push((header, payload));
    }
    match from.rest() {
        0 => Ok(parts),
        rest => Err(CodeError::Trailing(rest)),
    }
}

/// What a stream holds, without decoding it: one header a tensor, in order.
///
/// # Errors
/// As [`Decode::decode`](crate::Decode::decode), as far as the headers show it.
pub fn describe(bytes: &[u8], limits: &Limits) -> Result<Vec<TensorHeader>, CodeError> {
    Ok(parse(bytes, limits)?.into_iter().map(|p| p.0).collect())
}

fn to_u32(what: &'static str, n: usize) -> Result<[u8; 4], CodeError> {
    let max = u32::MAX as usize;
    u32::try_from(n)
        .map(u32::to_le_bytes)
        .map_err(|_| CodeError::TooLarge { what, got: n, max })
}
