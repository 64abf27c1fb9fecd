// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What all codes' streams begin with, and who reads which.

use std::ops::Range;

use splitinfer_tensor::Tensor;

use crate::{AffineDecoder, CodeError, Decode, Limits, PredictiveDecoder, affine, predictive};

const MAGIC: [u8; 4] = *b"SITC";
const VERSION: u8 = 1;

/// Code id of [`Affine`](crate::Affine).
pub(crate) const AFFINE: u8 = 1;
/// Code id of [`Predictive`](crate::Predictive). 2 and 3 were earlier editions, which no one reads any more.
pub(crate) const PREDICTIVE: u8 = 4;

/// Appends what precedes the first tensor.
pub(crate) fn write_start(out: &mut Vec<u8>, code: u8, tensors: usize) -> Result<(), CodeError> {
    let count = u16::try_from(tensors).map_err(|_| CodeError::TooLarge {
        what: "the number of tensors",
        got: tensors,
        max: usize::from(u16::MAX),
    })?;
    out.extend(MAGIC);
    out.extend([VERSION, code]);
    out.extend(count.to_le_bytes());
    Ok(())
}

/// The number of tensors in a stream of this code.
pub(crate) fn read_start(
    from: &mut Reader<'_>,
    code: u8,
    limits: &Limits,
) -> Result<usize, CodeError> {
    let got = read_code(from)?;
    if got != code {
        return Err(CodeError::Code(got));
    }
    let tensors = usize::from(u16::from_le_bytes(from.array()?));
    within("tensors", tensors, limits.max_tensors)?;
    Ok(tensors)
}

fn read_code(from: &mut Reader<'_>) -> Result<u8, CodeError> {
    let magic = from.array()?;
    if magic != MAGIC {
        return Err(CodeError::Magic(magic));
    }
    let [version, code] = from.array()?;
    if version != VERSION {
        return Err(CodeError::Version {
            got: version,
            known: VERSION,
        });
    }
    Ok(code)
}

pub(crate) fn within(what: &'static str, got: usize, max: usize) -> Result<(), CodeError> {
    if got > max {
        return Err(CodeError::Limit { what, got, max });
    }
    Ok(())
}

/// Decodes the streams of every code there is.
#[derive(Default)]
pub struct Decoder {
    affine: AffineDecoder,
    predictive: PredictiveDecoder,
}

impl Decoder {
    /// Nothing more comes for a while: only the newest frames are held, from which the stream may go on.
    pub fn rest(&mut self) {
        self.predictive.rest();
    }

    /// Of frames that are held to predict others from.
    pub fn held_bytes(&self) -> usize {
        self.predictive.held_bytes()
    }

    fn of(&mut self, bytes: &[u8]) -> Result<&mut dyn Decode, CodeError> {
        match read_code(&mut Reader::new(bytes))? {
            AFFINE => Ok(&mut self.affine),
            PREDICTIVE => Ok(&mut self.predictive),
            other => Err(CodeError::Code(other)),
        }
    }
}

impl Decode for Decoder {
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError> {
        self.of(bytes)?.decode(bytes, limits)
    }

    fn decode_partial(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<Vec<Tensor>, CodeError> {
        self.of(bytes)?.decode_partial(bytes, missing, limits)
    }

    fn reset(&mut self) {
        self.affine.reset();
        self.predictive.reset();
    }
}

/// The bound that an encoding guarantees for each of its tensors: no decoded value differs from the encoded
/// one by more (in the tensor's own unit).
///
/// # Errors
/// As [`Decode::decode`], as far as the headers show it.
pub fn max_errors(bytes: &[u8], limits: &Limits) -> Result<Vec<f32>, CodeError> {
    match read_code(&mut Reader::new(bytes))? {
        AFFINE => Ok(affine::describe(bytes, limits)?
            .iter()
            .map(|header| header.max_error)
            .collect()),
        PREDICTIVE => predictive::max_errors(bytes, limits),
        other => Err(CodeError::Code(other)),
    }
}

/// Takes numbers from the front of bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that were not taken.
    pub(crate) fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], CodeError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or_else(|| CodeError::Truncated {
            at: self.bytes.len(),
            missing: n - rest.len(),
        })?;
        self.at += n;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self) -> Result<usize, CodeError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }
}
