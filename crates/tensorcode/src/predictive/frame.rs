// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The bit stream of a frame: its head, which says what follows and where, and the payloads. Specified in
//! `docs/tensor-code.md`.

use std::sync::Arc;

use splitinfer_tensor::{DType, count};

use super::plane::Plane;
use super::steps::Steps;
use crate::stream::{self, Reader, within};
use crate::{CodeError, Limits};

/// What stands before the payloads.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    pub frame: u64,
    /// The frame that this one is predicted from.
    pub reference: Option<u64>,
    pub tensors: Vec<Part>,
}

/// One tensor.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// A stream of its own, of code 1: so many bytes.
    Embedded(usize),
    Levels(Levels),
}

/// A tensor as whole levels of one step.
#[derive(Debug, PartialEq)]
pub(super) struct Levels {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Of a level, in the tensor's own unit.
    pub step: f32,
    /// The channels' own.
    pub coarser: Coarser,
    /// Levels in a residual of 1.
    pub quantum: u8,
    /// Of each channel, whether differences are told by frequency.
    pub transformed: Vec<bool>,
    /// No value is further off, in the tensor's own unit.
    pub max_error: f32,
    /// Rows of blocks and bytes of each band, from the top.
    pub bands: Vec<(usize, usize)>,
}

/// By how many half octaves the steps of the channels are above the tensor's.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Coarser {
    /// By none.
    Even,
    /// As in the frame that this one is predicted from.
    AsBefore,
    /// One number a channel.
    Each(Vec<i8>),
}

/// More levels in a residual of 1 are of no use.
const MOST_QUANTUM: u8 = 64;

const EMBEDDED: u8 = 0;
const LEVELS: u8 = 1;

impl Part {
    /// Bytes of its payload.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Embedded(len) => *len,
            // Whatever is announced; no stream is as long as what this stops at.
            Self::Levels(levels) => {
                let lengths = levels.bands.iter().map(|b| b.1);
                lengths.fold(0, usize::saturating_add)
            }
        }
    }
}

impl Head {
    /// How many frames before this one its reference is; 0 where it has none.
    pub(super) fn back(&self) -> u64 {
        self.reference.map_or(0, |r| self.frame.saturating_sub(r))
    }

    /// # Errors
    /// When there are more tensors or dimensions than the format can count.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), CodeError> {
        stream::write_start(out, stream::PREDICTIVE, self.tensors.len())?;
        varint(out, self.frame);
        varint(out, self.back());
        for part in &self.tensors {
            match part {
                Part::Embedded(len) => {
                    out.push(EMBEDDED);
                    varint(out, *len as u64);
                }
                Part::Levels(levels) => levels.write(out)?,
            }
        }
        Ok(())
    }

    /// The head, and how long it is. All decoded tensors together stay within the limits, and the payloads fill the rest
    /// of `bytes` exactly.
    ///
    /// # Errors
    /// When the bytes are no such head, or announce more than accepted.
    pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<(Self, usize), CodeError> {
        let mut from = Reader::new(bytes);
        let tensors = stream::read_start(&mut from, stream::PREDICTIVE, limits)?;
        let frame = read_varint(&mut from)?;
        let reference = match read_varint(&mut from)? {
            0 => None,
            back => Some(frame.checked_sub(back).ok_or(CodeError::Reference(frame))?),
        };
        let mut parts = Vec::new();
        let (mut decoded, mut payload) = (0usize, 0usize);
        for tensor in 0..tensors {
            let [kind] = from.array()?;
            let part = match kind {
                EMBEDDED => Part::Embedded(read_len(&mut from)?),
                LEVELS => {
                    let levels = Levels::read(&mut from, tensor, limits, &mut decoded)?;
                    Part::Levels(levels)
                }
                _ => {
                    return Err(CodeError::Corrupt {
                        tensor,
                        what: "unknown coding",
                    });
                }
            };
            payload = payload.saturating_add(part.len());
            parts.push(part);
        }
        match from.rest() {
            rest if rest < payload => Err(CodeError::Truncated {
                at: bytes.len(),
                missing: payload - rest,
            }),
            rest if rest > payload => Err(CodeError::Trailing(rest - payload)),
            _ => Ok((
                Self {
                    frame,
                    reference,
                    tensors: parts,
                },
                bytes.len() - payload,
            )),
        }
    }
}

impl Levels {
    pub(super) fn plane(&self) -> Plane {
        Plane::of(&self.shape)
    }

    /// The steps of its channels. `before`: those of the frame that it is predicted from. `None` when they are none.
    pub(super) fn steps(&self, before: Option<&Steps>) -> Option<Steps> {
        let coarser = match &self.coarser {
            Coarser::Even => Arc::from([]),
            Coarser::Each(each) => Arc::from(&each[..]),
            Coarser::AsBefore => Arc::clone(&before?.coarser),
        };
        let steps = Steps {
            base: self.step,
            coarser,
        };
        steps.are_usable().then_some(steps)
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let rank = u8::try_from(self.shape.len()).map_err(|_| CodeError::TooLarge {
            what: "a tensor's number of dimensions",
            got: self.shape.len(),
            max: usize::from(u8::MAX),
        })?;
        out.extend([LEVELS, self.dtype as u8, rank]);
        for d in &self.shape {
            varint(out, *d as u64);
        }
        out.extend(self.step.to_le_bytes());
        write_coarser(&self.coarser, out);
        out.push(self.quantum);
        write_flags(&self.transformed, out);
        out.extend(self.max_error.to_le_bytes());
        for (rows, len) in &self.bands {
            varint(out, *rows as u64);
            varint(out, *len as u64);
        }
        Ok(())
    }

    /// `decoded`: bytes of the tensors before, to which this one's are added.
    fn read(
        from: &mut Reader<'_>,
        tensor: usize,
        limits: &Limits,
        decoded: &mut usize,
    ) -> Result<Self, CodeError> {
        let corrupt = |what| CodeError::Corrupt { tensor, what };
        let [code, rank] = from.array()?;
        let dtype =
            DType::from_onnx(i32::from(code)).ok_or(CodeError::ElementType { tensor, code })?;
        if !dtype.is_float() {
            return Err(corrupt("this element type has no levels"));
        }
        within("dimensions of a tensor", usize::from(rank), limits.max_rank)?;
        let shape = (0..rank)
            .map(|_| read_len(from))
            .collect::<Result<Vec<_>, _>>()?;
        let values = count(&shape).unwrap_or(usize::MAX);
        if values == 0 {
            return Err(corrupt("an empty tensor has levels"));
        }
        *decoded = decoded.saturating_add(values.saturating_mul(dtype.size()));
        within("bytes of decoded tensors", *decoded, limits.max_bytes)?;
        let step = f32::from_le_bytes(from.array()?);
        let coarser = read_coarser(from, Plane::of(&shape).channels)?
            .ok_or(corrupt("its channels' steps are told in an unknown way"))?;
        let [quantum] = from.array()?;
        if !matches!(quantum, 1..=MOST_QUANTUM) {
            return Err(corrupt("its quantum is none"));
        }
        let transformed = read_flags(from, Plane::of(&shape).channels)?
            .ok_or(corrupt("its channels are told in an unknown way"))?;
        let max_error = f32::from_le_bytes(from.array()?);
        if !(step > 0.0 && max_error >= 0.0 && max_error.is_finite()) {
            return Err(corrupt("its step or stated error is not a usable number"));
        }
        let rows = Plane::of(&shape).block_rows();
        let mut bands = Vec::new();
        let mut covered = 0;
        while covered < rows {
            let (band, len) = (read_len(from)?, read_len(from)?);
            if band == 0 || band > rows - covered {
                return Err(corrupt("its bands do not cover it once"));
            }
            covered += band;
            bands.push((band, len));
        }
        Ok(Self {
            dtype,
            shape,
            step,
            coarser,
            quantum,
            transformed,
            max_error,
            bands,
        })
    }
}

/// [`Coarser`], and one byte each, in two's complement.
const EVEN: u8 = 0;
const AS_BEFORE: u8 = 1;
const EACH: u8 = 2;

fn write_coarser(coarser: &Coarser, out: &mut Vec<u8>) {
    match coarser {
        Coarser::Even => out.push(EVEN),
        Coarser::AsBefore => out.push(AS_BEFORE),
        Coarser::Each(each) => {
            out.push(EACH);
            out.extend(each.iter().map(|c| c.cast_unsigned()));
        }
    }
}

/// `None` for what is none of the three.
fn read_coarser(from: &mut Reader<'_>, channels: usize) -> Result<Option<Coarser>, CodeError> {
    let [kind] = from.array()?;
    Ok(match kind {
        EVEN => Some(Coarser::Even),
        AS_BEFORE => Some(Coarser::AsBefore),
        EACH => {
            let bytes = from.take(channels)?.iter();
            Some(Coarser::Each(bytes.map(|b| b.cast_signed()).collect()))
        }
        _ => None,
    })
}

/// None, all, or one bit each, the first in the lowest bit of the first byte.
const NONE: u8 = 0;
const ALL: u8 = 1;
const SOME: u8 = 2;

fn write_flags(flags: &[bool], out: &mut Vec<u8>) {
    match (flags.iter().any(|f| *f), flags.iter().all(|f| *f)) {
        (false, _) => out.push(NONE),
        (true, true) => out.push(ALL),
        (true, false) => {
            out.push(SOME);
            let byte =
                |flags: &[bool]| (0..).zip(flags).map(|(i, f)| u8::from(*f) << i).sum::<u8>();
            out.extend(flags.chunks(8).map(byte));
        }
    }
}

/// `None` for what is none of the three.
fn read_flags(from: &mut Reader<'_>, count: usize) -> Result<Option<Vec<bool>>, CodeError> {
    let [kind] = from.array()?;
    Ok(match kind {
        NONE => Some(vec![false; count]),
        ALL => Some(vec![true; count]),
        SOME => {
            let bytes = from.take(count.div_ceil(8))?;
            Some(
                (0..count)
                    .map(|i| bytes[i / 8] >> (i % 8) & 1 == 1)
                    .collect(),
            )
        }
        _ => None,
    })
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow (LEB128).
fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_varint(from: &mut Reader<'_>) -> Result<u64, CodeError> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = from.array()?;
        let part = u64::from(byte & 0x7f);
        if part.leading_zeros() < shift {
            break;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(CodeError::Number)
}

fn read_len(from: &mut Reader<'_>) -> Result<usize, CodeError> {
    // What is larger than an address is larger than any limit.
    Ok(usize::try_from(read_varint(from)?).unwrap_or(usize::MAX))
}

/// As [`crate::max_errors`].
pub(crate) fn max_errors(bytes: &[u8], limits: &Limits) -> Result<Vec<f32>, CodeError> {
    let (head, _) = Head::read(bytes, limits)?;
    // An embedded tensor is always an exact one.
    let error = |part: &Part| match part {
        Part::Embedded(_) => 0.0,
        Part::Levels(levels) => levels.max_error,
    };
    Ok(head.tensors.iter().map(error).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_of_any_size_come_back(number in any::<u64>(), shift in 0u32..64) {
            let number = number >> shift;
            let mut bytes = vec![];
            varint(&mut bytes, number);
            prop_assert!(bytes.len() <= 10);
            prop_assert_eq!(read_varint(&mut Reader::new(&bytes)).unwrap(), number);
            bytes.pop();
            prop_assert!(read_varint(&mut Reader::new(&bytes)).is_err());
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let mut bytes = vec![0xff; 9];
        bytes.push(2);
        assert!(matches!(
            read_varint(&mut Reader::new(&bytes)),
            Err(CodeError::Number)
        ));
    }

    fn head() -> Head {
        Head {
            frame: 1000,
            reference: Some(997),
            tensors: vec![
                Part::Embedded(3),
                Part::Levels(Levels {
                    dtype: DType::F16,
                    shape: vec![1, 2, 9, 5],
                    step: 0.5,
                    coarser: Coarser::Each(vec![-3, 4]),
                    quantum: 8,
                    transformed: vec![true, false],
                    max_error: 0.3,
                    bands: vec![(1, 200), (2, 0)],
                }),
            ],
        }
    }

    #[test]
    fn a_head_comes_back_with_its_length() {
        let mut bytes = vec![];
        head().write(&mut bytes).unwrap();
        let len = bytes.len();
        bytes.extend([0; 203]);
        assert_eq!(
            Head::read(&bytes, &Limits::default()).unwrap(),
            (head(), len)
        );
        bytes.pop();
        assert!(matches!(
            Head::read(&bytes, &Limits::default()),
            Err(CodeError::Truncated { missing: 1, .. })
        ));
        bytes.extend([0; 2]);
        assert!(matches!(
            Head::read(&bytes, &Limits::default()),
            Err(CodeError::Trailing(1))
        ));
    }

    #[test]
    fn lengths_beyond_any_address_are_refused() {
        let mut head = head();
        if let Part::Levels(levels) = &mut head.tensors[1] {
            levels.bands = vec![(1, usize::MAX), (2, usize::MAX)];
        }
        let mut bytes = vec![];
        head.write(&mut bytes).unwrap();
        let refused = Head::read(&bytes, &Limits::default());
        assert!(matches!(refused, Err(CodeError::Truncated { .. })));
    }

    #[test]
    fn what_is_announced_beyond_the_limits_is_refused() {
        let mut bytes = vec![];
        head().write(&mut bytes).unwrap();
        bytes.extend([0; 203]);
        let limits = Limits {
            max_bytes: 179,
            ..Limits::default()
        };
        assert!(matches!(
            Head::read(&bytes, &limits),
            Err(CodeError::Limit {
                got: 180,
                max: 179,
                ..
            })
        ));
    }
}
