// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use std::ops::Range;

use splitinfer_tensor::Tensor;

use super::band::Setting;
use super::bands::Bands;
use super::conceal::StandIn;
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
    /// The last one of which parts were missing. No frame is predicted from it, but the lost parts of the next may go on from it.
    incomplete: Option<Frame>,
    affine: AffineDecoder,
    parallel: bool,
}

impl Default for PredictiveDecoder {
    fn default() -> Self {
        Self {
            held: History::default(),
            incomplete: None,
            affine: AffineDecoder::default(),
            parallel: true,
        }
    }
}

impl Decode for PredictiveDecoder {
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError> {
        let (tensors, frame) = self.read(bytes, &[], limits)?;
        if frame.back > 0 {
            let reference = frame.number - frame.back;
            self.held.drop_before(reference.saturating_sub(OVERTAKEN));
        }
        self.held.add(frame, KEPT, limits.max_bytes);
        Ok(tensors)
    }

    fn decode_partial(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<Vec<Tensor>, CodeError> {
        let (tensors, mut frame) = self.read(bytes, missing, limits)?;
        let coded = frame.tensors.iter_mut().flatten();
        coded.for_each(|coded| coded.contexts = None);
        self.incomplete = Some(frame);
        Ok(tensors)
    }

    fn reset(&mut self) {
        self.held.clear();
        self.incomplete = None;
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
        self.incomplete = None;
    }

    /// As [`Decoder::held_bytes`](crate::Decoder::held_bytes).
    pub fn held_bytes(&self) -> usize {
        self.held.bytes() + self.incomplete.as_ref().map_or(0, Frame::bytes)
    }

    fn read(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<(Vec<Tensor>, Frame), CodeError> {
        let arrived = Arrived { bytes, missing };
        let (head, mut at) = Head::read(bytes, limits)?;
        arrived.need(0..at)?;
        let reading = Reading {
            number: head.frame,
            arrived: &arrived,
            earlier: match head.reference {
                Some(frame) => Some(self.held.get(frame).ok_or(CodeError::Reference(frame))?),
                None => None,
            },
            near: self.held.nearest(self.incomplete.as_ref(), head.frame),
            parallel: self.parallel,
        };
        let mut tensors = Vec::with_capacity(head.tensors.len());
        let mut coded = Vec::with_capacity(head.tensors.len());
        let mut decoded = 0;
        for (place, part) in head.tensors.iter().enumerate() {
            let payload = at..at + part.len();
            at = payload.end;
            let (tensor, levels) = match part {
                Part::Embedded(_) => {
                    let rest = Limits {
                        max_bytes: limits.max_bytes - decoded,
                        ..*limits
                    };
                    let payload = arrived.need(payload)?;
                    (embedded(&mut self.affine, payload, place, &rest)?, None)
                }
                Part::Levels(levels) => {
                    let coded = reading.levels(place, levels, payload.start)?;
                    let tensor = coded.tensor().map_err(|source| CodeError::Tensor {
                        tensor: place,
                        dtype: levels.dtype,
                        source,
                    })?;
                    (tensor, Some(coded))
                }
            };
            decoded += tensor.byte_len();
            within("bytes of decoded tensors", decoded, limits.max_bytes)?;
            tensors.push(tensor);
            coded.push(levels);
        }
        let frame = Frame {
            number: head.frame,
            back: head.back(),
            tensors: coded,
        };
        Ok((tensors, frame))
    }
}

/// A frame whose tensors are read one by one.
struct Reading<'a> {
    number: u64,
    arrived: &'a Arrived<'a>,
    /// What it is predicted from.
    earlier: Option<&'a Frame>,
    /// What its lost parts go on from.
    near: Option<&'a Frame>,
    parallel: bool,
}

impl Reading<'_> {
    /// The levels of the tensor at this place, whose payload starts there.
    fn levels(&self, place: usize, head: &Levels, start: usize) -> Result<Coded, CodeError> {
        let earlier = self.earlier.and_then(|e| e.tensor(place, &head.shape));
        let steps = head.steps(earlier.map(|e| &e.steps));
        let steps = steps.ok_or(CodeError::Corrupt {
            tensor: place,
            what: "its channels' steps are not usable numbers",
        })?;
        let reference = earlier.map(|e| e.in_steps_of(&steps));
        let setting = Setting {
            plane: head.plane(),
            reference: reference.as_deref(),
            transformed: &head.transformed,
            quantum: i32::from(head.quantum),
        };
        let came = self.arrived.bands(head, start);
        let stand_in = match came.len() < head.bands.len() {
            true => self.stand_in(place, head, &steps),
            false => None,
        };
        let bands = Bands::new(setting, earlier, self.parallel);
        bands.read(&came, stand_in.as_ref());
        let (made, contexts) = bands.finish();
        Ok(Coded {
            dtype: head.dtype,
            shape: head.shape.clone(),
            levels: made.levels,
            motions: made.motions,
            contexts,
            steps,
        })
    }

    fn stand_in(&self, place: usize, head: &Levels, steps: &Steps) -> Option<StandIn<'_>> {
        let near = self.near?;
        let tensor = near.tensor(place, &head.shape)?;
        let later = self.number.wrapping_sub(near.number).cast_signed();
        Some(StandIn::new(tensor, steps, (later, near.back)))
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

    /// The rows and bytes of the bands that are there, of a tensor whose payload starts there.
    fn bands(&self, head: &Levels, start: usize) -> Vec<(Range<usize>, &'a [u8])> {
        let mut bands = Vec::with_capacity(head.bands.len());
        let (mut row, mut at) = (0, start);
        for (count, len) in &head.bands {
            let bytes = self.get(at..at + len);
            bands.extend(bytes.map(|bytes| (row..row + count, bytes)));
            row += count;
            at += len;
        }
        bands
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
