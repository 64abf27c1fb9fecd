// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0
use std::ops::Range;

use splitinfer_tensor::Tensor;

use super::band::Band;
use super::frame::{Head, Levels, Part};
use super::plane::Mode;
use super::range::Reader;
use super::reference::{Coded, Frame, History};
use crate::affine::AffineDecoder;
use crate::{CodeError, Decode, Limits};

/// Frames that are held to predict later ones from: those before the newest reference in use are dropped anyway.
const KEPT: usize = 32;

/// Decoder of the predictive code.
#[derive(Default)]
pub struct PredictiveDecoder {
    held: History,
    affine: AffineDecoder,
}

impl Decode for PredictiveDecoder {
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError> {
        let (head, tensors, coded) = self.read(bytes, &[], limits)?;
        if let Some(reference) = head.reference {
            self.held.drop_before(reference);
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
    fn read(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<(Head, Vec<Tensor>, Frame), CodeError> {
        let (head, mut at) = Head::read(bytes, limits)?;
        let lost = |bytes: &Range<usize>| {
            missing
                .iter()
                .any(|m| m.start < bytes.end && bytes.start < m.end)
        };
        let incomplete = |range: &Range<usize>| CodeError::Truncated {
            at: range.start,
            missing: range.len(),
        };
        if lost(&(0..at)) {
            return Err(incomplete(&(0..at)));
        }
        let earlier = match head.reference {
            Some(frame) => Some(self.held.get(frame).ok_or(CodeError::Reference(frame))?),
            None => None,
        };
        let mut tensors = Vec::with_capacity(head.tensors.len());
        let mut coded = Vec::with_capacity(head.tensors.len());
        let mut decoded = 0;
        for (tensor, part) in head.tensors.iter().enumerate() {
            let payload = at..at + part.len();
            at = payload.end;
            match part {
                Part::Embedded(_) if lost(&payload) => return Err(incomplete(&payload)),
                Part::Embedded(_) => {
                    let rest = Limits {
                        max_bytes: limits.max_bytes - decoded,
                        ..*limits
                    };
                    let mut embedded = self.affine.decode(&bytes[payload], &rest)?;
                    let (Some(only), true) = (embedded.pop(), embedded.is_empty()) else {
                        return Err(CodeError::Corrupt {
                            tensor,
                            what: "it does not hold one tensor",
                        });
                    };
                    decoded += only.byte_len();
                    within_limit(decoded, limits)?;
                    tensors.push(only);
                    coded.push(None);
                }
                Part::Levels(levels) => {
                    decoded += levels.plane().len() * levels.dtype.size();
                    within_limit(decoded, limits)?;
                    let now = read_levels(
                        levels,
                        bytes,
                        payload,
                        &lost,
                        earlier.and_then(|e| e.get(tensor)?.as_ref()),
                    );
                    tensors.push(now.tensor().map_err(|source| CodeError::Tensor {
                        tensor,
                        dtype: levels.dtype,
                        source,
                    })?);
                    coded.push(Some(now));
                }
            }
        }
        Ok((head, tensors, coded))
    }
}

fn within_limit(decoded: usize, limits: &Limits) -> Result<(), CodeError> {
    crate::stream::within("bytes of decoded tensors", decoded, limits.max_bytes)
}

/// Bands that were lost are as they were in the reference; without one, zero.
fn read_levels(
    head: &Levels,
    bytes: &[u8],
    payload: Range<usize>,
    lost: &impl Fn(&Range<usize>) -> bool,
    earlier: Option<&Coded>,
) -> Coded {
    let plane = head.plane();
    let earlier = earlier.filter(|e| e.shape == head.shape);
    let reference = earlier.map(|e| e.in_steps_of(head.step));
    let mut levels = vec![0i16; plane.len()];
    let mut modes = vec![Mode::Fresh; plane.blocks()];
    let (mut row, mut at) = (0, payload.start);
    for (rows, len) in &head.bands {
        let band = Band {
            plane,
            rows: row..row + rows,
            reference: reference.as_deref(),
        };
        let range = at..at + len;
        if !lost(&range) {
            band.code(
                &mut Reader::new(&bytes[range]),
                None,
                &mut modes,
                &mut levels,
            );
        } else if let Some(reference) = &reference {
            let pixels = plane.pixel_rows(&band.rows);
            for channel in 0..plane.channels {
                let base = channel * plane.area();
                let lines = base + pixels.start * plane.width..base + pixels.end * plane.width;
                levels[lines.clone()].copy_from_slice(&reference[lines]);
            }
        }
        row += rows;
        at += len;
    }
    Coded {
        dtype: head.dtype,
        step: head.step,
        shape: head.shape.clone(),
        levels,
    }
}
