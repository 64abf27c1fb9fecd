// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use std::ops::Range;

use splitinfer_tensor::Tensor;

use super::band::Setting;
use super::bands::Bands;
use super::frame::{Head, Levels, Part};
use super::reference::{Coded, Frame, History};
use super::steps::Steps;
use crate::affine::AffineDecoder;
use crate::stream::within;
use crate::{CodeError, Decode, Limits};

/// Frames that are held to predict later ones from: those before the newest reference in use are dropped anyway.
const KEPT: usize = 32;

/// A frame may be overtaken by as many later ones, which build on newer frames than it does.
const OVERTAKEN: u64 = 8;

/// Frames that are held of a stream that rests: which of the last ones its sender knows to be here, it has not said.
const RESTING: usize = 4;

/// Decoder of the predictive code.
pub struct PredictiveDecoder {
    held: History,
    affine: AffineDecoder,
    parallel: bool,
}

impl Default for PredictiveDecoder {
    fn default() -> Self {
        Self {
            held: History::default(),
            affine: AffineDecoder::default(),
            parallel: true,
        }
    }
}

impl Decode for PredictiveDecoder {
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError> {
        let (head, tensors, coded) = self.read(bytes, &[], limits)?;
        if let Some(reference) = head.reference {
            self.held.drop_before(reference.saturating_sub(OVERTAKEN));
        }
        self.held.add(head.frame, coded, KEPT, limits.max_bytes);
        Ok(tensors)
    }

    fn decode_partial(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<Vec<Tensor>, CodeError> {
        // The sender's next frames do not build on this one, so it is not held.
        Ok(self.read(bytes, missing, limits)?.1)
    }

    fn reset(&mut self) {
        self.held.clear();
    }
}

impl PredictiveDecoder {
    /// As [`Predictive::set_parallel`](super::Predictive::set_parallel).
    pub fn set_parallel(&mut self, parallel: bool) {
        self.parallel = parallel;
    }

    /// As [`Decoder::rest`](crate::Decoder::rest).
    pub fn rest(&mut self) {
        self.held.keep_newest(RESTING);
    }

    /// As [`Decoder::held_bytes`](crate::Decoder::held_bytes).
    pub fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    fn read(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<(Head, Vec<Tensor>, Frame), CodeError> {
        let arrived = Arrived { bytes, missing };
        let (head, mut at) = Head::read(bytes, limits)?;
        arrived.need(0..at)?;
        let earlier = match head.reference {
            Some(frame) => Some(self.held.get(frame).ok_or(CodeError::Reference(frame))?),
            None => None,
        };
        let mut tensors = Vec::with_capacity(head.tensors.len());
        let mut frame = Vec::with_capacity(head.tensors.len());
        let mut decoded = 0;
        for (number, part) in head.tensors.iter().enumerate() {
            let payload = at..at + part.len();
            at = payload.end;
            let (tensor, coded) = match part {
                Part::Embedded(_) => {
                    let rest = Limits {
                        max_bytes: limits.max_bytes - decoded,
                        ..*limits
                    };
                    let payload = arrived.need(payload)?;
                    (embedded(&mut self.affine, payload, number, &rest)?, None)
                }
                Part::Levels(levels) => {
                    let earlier = earlier.and_then(|e| e.get(number)?.as_ref());
                    let earlier = earlier.filter(|e| e.shape == levels.shape);
                    let steps = levels.steps(earlier.map(|e| &e.steps));
                    let steps = steps.ok_or(CodeError::Corrupt {
                        tensor: number,
                        what: "its channels' steps are not usable numbers",
                    })?;
                    let from = (&arrived, payload.start);
                    let coded = read_levels(levels, steps, from, earlier, self.parallel);
                    let tensor = coded.tensor().map_err(|source| CodeError::Tensor {
                        tensor: number,
                        dtype: levels.dtype,
                        source,
                    })?;
                    (tensor, Some(coded))
                }
            };
            decoded += tensor.byte_len();
            within("bytes of decoded tensors", decoded, limits.max_bytes)?;
            tensors.push(tensor);
            frame.push(coded);
        }
        Ok((head, tensors, frame))
    }
}

/// A stream of which parts may be missing.
struct Arrived<'a> {
    bytes: &'a [u8],
    missing: &'a [Range<usize>],
}

impl<'a> Arrived<'a> {
    fn get(&self, range: Range<usize>) -> Option<&'a [u8]> {
        let lost = |m: &Range<usize>| m.start < range.end && range.start < m.end;
        match self.missing.iter().any(lost) {
            true => None,
            false => self.bytes.get(range),
        }
    }

    fn need(&self, range: Range<usize>) -> Result<&'a [u8], CodeError> {
        self.get(range.clone()).ok_or(CodeError::Truncated {
            at: range.start,
            missing: range.len(),
        })
    }
}

/// The tensor of a stream that holds one.
fn embedded(
    decoder: &mut AffineDecoder,
    payload: &[u8],
    tensor: usize,
    limits: &Limits,
) -> Result<Tensor, CodeError> {
    let mut tensors = decoder.decode(payload, limits)?;
    match (tensors.pop(), tensors.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(CodeError::Corrupt {
            tensor,
            what: "it does not hold one tensor",
        }),
    }
}

/// Bands that were lost are what they most likely are by the reference; without one, zero.
fn read_levels(
    head: &Levels,
    steps: Steps,
    (arrived, start): (&Arrived<'_>, usize),
    earlier: Option<&Coded>,
    parallel: bool,
) -> Coded {
    let plane = head.plane();
    let reference = earlier.map(|e| e.in_steps_of(&steps));
    let setting = Setting {
        plane,
        reference: reference.as_deref(),
        transformed: &head.transformed,
        quantum: i32::from(head.quantum),
    };
    let mut came = Vec::with_capacity(head.bands.len());
    let (mut row, mut at) = (0, start);
    for (count, len) in &head.bands {
        let bytes = arrived.get(at..at + len);
        came.extend(bytes.map(|bytes| (row..row + count, bytes)));
        row += count;
        at += len;
    }
    let bands = Bands::new(setting, earlier, parallel);
    bands.read(&came);
    let (made, contexts) = bands.finish();
    Coded {
        dtype: head.dtype,
        steps,
        shape: head.shape.clone(),
        levels: made.levels,
        motions: made.motions,
        contexts,
    }
}
