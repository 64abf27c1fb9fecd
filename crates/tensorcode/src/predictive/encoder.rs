// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use std::sync::Arc;

use splitinfer_tensor::Tensor;

use super::band::Setting;
use super::bands::Bands;
use super::choose::Manner;
use super::cutting::Cutting;
use super::frame::{Coarser, Head, Levels, Part};
use super::plane::{Plane, channels};
use super::reference::{Coded, Frame, History};
use super::scale::{Scale, relative_step};
use super::steps::{FURTHEST, Steps};
use super::wanted::Wanted;
use crate::affine::{conversion_error, values};
use crate::{AUTO, AUTO_BITS, Affine, CodeError, Encode};

/// Frames that may be on the way to be acknowledged. Of more, the oldest are not waited for.
const KEPT: usize = 16;
/// What a bit is worth, in squared steps: about what it buys at the rates where most cuts are used.
const LAMBDA: f32 = 0.15;

/// Encoder of the predictive code. See the crate's documentation for an example.
pub struct Predictive {
    streams: Vec<Stream>,
    /// What the receiver may have.
    sent: History,
    /// The newest that the receiver is known to have.
    acknowledged: Option<u64>,
    /// For what is not coded as levels.
    affine: Affine,
    step: Option<f32>,
    /// Of each tensor.
    coarser: Vec<Arc<[i8]>>,
    /// The last frame was predicted from an earlier one.
    predicted: bool,
    parallel: bool,
}

impl Default for Predictive {
    fn default() -> Self {
        Self {
            streams: Vec::new(),
            sent: History::default(),
            acknowledged: None,
            affine: Affine::default(),
            step: None,
            coarser: Vec::new(),
            predicted: false,
            parallel: true,
        }
    }
}

/// What is remembered of one tensor from frame to frame.
#[derive(Default)]
struct Stream {
    scale: Scale,
    manner: Manner,
    cutting: Cutting,
    /// Room for the values in levels, so that the system need not give it anew for every frame.
    exact: Vec<f32>,
}

impl Predictive {
    /// For [`AUTO`]: the step as a share of a tensor's root mean square, instead of that of [`AUTO_BITS`]. Any positive
    /// number is allowed; useful are 0.5 (coarse) to 0.01.
    pub fn set_step(&mut self, relative: f32) {
        self.step = Some(relative.clamp(1e-4, 4.0));
    }

    /// By how many half octaves the steps of each tensor's channels (all dimensions but the last two) are above what
    /// [`set_step`](Self::set_step) says, for [`AUTO`]; at most 32 either way. Of a tensor with another number of channels all
    /// have the same step. See [`Sensitivity`](crate::Sensitivity).
    pub fn set_coarser(&mut self, coarser: &[Vec<i8>]) {
        let bounded = |c: &i8| (*c).clamp(-FURTHEST, FURTHEST);
        let each = coarser.iter().map(|c| match c.iter().all(|c| *c == 0) {
            true => Arc::from([]),
            false => c.iter().map(bounded).collect(),
        });
        self.coarser = each.collect();
    }

    /// Whether other threads (those of [`rayon`]) help with larger tensors, as they do unless told otherwise. The bytes are the
    /// same.
    pub fn set_parallel(&mut self, parallel: bool) {
        self.parallel = parallel;
    }

    /// The tensors of a frame as its receiver has them, while it may still be acknowledged. `None` for a frame that was
    /// not coded as levels.
    pub fn decoded(&self, frame: u64) -> Option<Vec<Tensor>> {
        let coded = self.sent.get(frame)?.tensors.iter();
        coded.map(|c| c.as_ref()?.tensor().ok()).collect()
    }

    /// Whether the frame that was encoded last can be decoded without an earlier one.
    pub fn stands_alone(&self) -> bool {
        !self.predicted
    }

    fn relative_step(&self, bits: u8) -> f32 {
        match (bits, self.step) {
            (AUTO, Some(step)) => step,
            (AUTO, None) => relative_step(AUTO_BITS),
            (bits, _) => relative_step(bits),
        }
    }
}

impl Encode for Predictive {
    fn encode(&mut self, frame: u64, tensors: &[Tensor], bits: u8) -> Result<Vec<u8>, CodeError> {
        self.predicted = false;
        match bits {
            AUTO | 2..=8 => {}
            16 | 32 => return self.affine.encode(frame, tensors, bits),
            _ => return Err(CodeError::Bits(bits)),
        }
        let relative = self.relative_step(bits);
        let weighed = bits == AUTO;
        if self.streams.len() != tensors.len() {
            self.reset();
            self.streams.resize_with(tensors.len(), Stream::default);
        }
        let reference = self.acknowledged.filter(|r| *r < frame);
        let earlier = reference.and_then(|r| self.sent.get(r));
        let mut head = Head {
            frame,
            reference: earlier.and(reference),
            tensors: Vec::with_capacity(tensors.len()),
        };
        self.predicted = head.reference.is_some();
        let mut payload = Vec::new();
        let mut coded = Vec::with_capacity(tensors.len());
        for (i, (tensor, stream)) in tensors.iter().zip(&mut self.streams).enumerate() {
            let earlier = earlier.and_then(|e| e.tensor(i, tensor.shape()));
            let coarser = self.coarser.get(i).filter(|_| weighed).cloned();
            let coarser = coarser.filter(|c| c.len() == channels(tensor.shape()));
            let fineness = (relative, coarser.unwrap_or_default());
            match stream.encode(tensor, fineness, earlier, self.parallel) {
                Some((bands, levels, now)) => {
                    payload.extend(bands);
                    head.tensors.push(Part::Levels(levels));
                    coded.push(Some(now));
                }
                None => {
                    let bytes = self
                        .affine
                        .encode(frame, std::slice::from_ref(tensor), 32)?;
                    head.tensors.push(Part::Embedded(bytes.len()));
                    payload.push(bytes);
                    coded.push(None);
                }
            }
        }
        let sent = Frame {
            number: frame,
            back: head.back(),
            tensors: coded,
        };
        self.sent.add(sent, KEPT, usize::MAX);
        let mut out = Vec::with_capacity(payload.iter().map(Vec::len).sum::<usize>() + 512);
        head.write(&mut out)?;
        payload.iter().for_each(|part| out.extend_from_slice(part));
        Ok(out)
    }

    fn acknowledge(&mut self, frame: u64) {
        let newer = self.acknowledged.is_none_or(|a| a < frame);
        if newer && self.sent.get(frame).is_some() {
            self.acknowledged = Some(frame);
            self.sent.drop_before(frame);
        }
    }

    fn reset(&mut self) {
        self.streams.clear();
        self.sent.clear();
        self.acknowledged = None;
    }
}

impl Stream {
    /// The bands of a tensor, what their head says, and what the receiver has then. `None` when the tensor has no levels: it
    /// is empty, no floating-point tensor, or a value is not finite or too large.
    fn encode(
        &mut self,
        tensor: &Tensor,
        (relative, coarser): (f32, Arc<[i8]>),
        earlier: Option<&Coded>,
        parallel: bool,
    ) -> Option<(Vec<Vec<u8>>, Levels, Coded)> {
        if tensor.is_empty() || !tensor.dtype().is_float() {
            return None;
        }
        let values = values(tensor);
        let quantum = self.scale.quantum(&values, relative, &coarser)?;
        let steps = Steps {
            base: quantum.step,
            coarser,
        };
        if !steps.are_usable() {
            return None;
        }
        let plane = Plane::of(tensor.shape());
        let reference = earlier.map(|e| e.in_steps_of(&steps));
        let mut exact = std::mem::take(&mut self.exact);
        put_in_levels(&values, &steps, &plane, &mut exact);
        let wanted = Wanted {
            values: &exact,
            quanta_per_level: 1.0 / f32::from(quantum.levels),
            lambda: LAMBDA,
        };
        match reference.as_deref() {
            Some(reference) => self.manner.choose(&plane, &wanted, reference),
            None => self.manner.start(&plane),
        }
        let transformed = match reference {
            Some(_) => self.manner.transformed.clone(),
            None => vec![false; plane.channels],
        };
        let setting = Setting {
            plane,
            reference: reference.as_deref(),
            transformed: &transformed,
            quantum: i32::from(quantum.levels),
        };
        let bands = Bands::new(setting, earlier, parallel);
        let (written, sizes) = self.write(&setting, &bands, wanted);
        self.exact = exact;
        let (made, contexts) = bands.finish();
        let max_error = max_error(tensor, &values, &made.levels, &steps);
        let shape = tensor.shape().to_vec();
        let head = Levels {
            dtype: tensor.dtype(),
            shape: shape.clone(),
            step: steps.base,
            coarser: told(&steps, earlier),
            quantum: quantum.levels,
            transformed,
            max_error,
            bands: sizes,
        };
        let coded = Coded {
            dtype: tensor.dtype(),
            steps,
            shape,
            levels: made.levels,
            motions: made.motions,
            contexts,
        };
        Some((written, head, coded))
    }

    /// The bands; rows and bytes of each.
    fn write(
        &mut self,
        setting: &Setting<'_>,
        bands: &Bands<'_>,
        wanted: Wanted<'_>,
    ) -> (Vec<Vec<u8>>, Vec<(usize, usize)>) {
        let Plane { channels, .. } = setting.plane;
        let predicted = setting.reference.is_some();
        let values = setting.plane.lines(&(0..1)).len() * channels;
        let cuts = self
            .cutting
            .bands(predicted, setting.plane.block_rows(), values);
        let written = bands.write(&cuts, &self.manner.modes, wanted);
        let sizes = cuts.iter().zip(&written);
        let sizes: Vec<_> = sizes.map(|(rows, b)| (rows.len(), b.len())).collect();
        self.cutting.took(predicted, &sizes);
        (written, sizes)
    }
}

/// The values in levels, not rounded.
fn put_in_levels(values: &[f32], steps: &Steps, plane: &Plane, levels: &mut Vec<f32>) {
    levels.clear();
    levels.reserve(values.len());
    for (step, values) in steps.with(values, plane.area()) {
        let inverse = 1.0 / step;
        levels.extend(values.iter().map(|v| v * inverse));
    }
}

/// How a head tells these steps to who has `earlier`.
fn told(steps: &Steps, earlier: Option<&Coded>) -> Coarser {
    match earlier {
        _ if steps.coarser.is_empty() => Coarser::Even,
        Some(earlier) if earlier.steps.coarser == steps.coarser => Coarser::AsBefore,
        _ => Coarser::Each(steps.coarser.to_vec()),
    }
}

/// By how much a value is off at most, and how large one is. Each lane looks at values of its own, so that many are seen at once.
#[derive(Default)]
struct Most {
    off: [f32; Self::LANES],
    largest: [f32; Self::LANES],
}

impl Most {
    const LANES: usize = 16;

    fn see(&mut self, values: &[f32], levels: &[i16], step: f32) {
        let (values, rest) = values.as_chunks::<{ Self::LANES }>();
        let (levels, rest_levels) = levels.as_chunks::<{ Self::LANES }>();
        for (values, levels) in values.iter().zip(levels) {
            self.see_some(values, levels, step);
        }
        self.see_some(rest, rest_levels, step);
    }

    /// No more than lanes.
    #[inline(always)]
    fn see_some(&mut self, values: &[f32], levels: &[i16], step: f32) {
        // Not `f32::max`, which heeds what is not a number and so takes one after the other.
        let more = |a: f32, b: f32| if a > b { a } else { b };
        let lanes = self.off.iter_mut().zip(&mut self.largest);
        for ((off, largest), (v, l)) in lanes.zip(values.iter().zip(levels)) {
            *off = more((v - f32::from(*l) * step).abs(), *off);
            *largest = more(v.abs(), *largest);
        }
    }

    fn of_all(&self) -> [f32; 2] {
        [self.off, self.largest].map(|lanes| lanes.into_iter().fold(0.0, f32::max))
    }
}

/// What the receiver's values are off by at most, rounding included.
fn max_error(tensor: &Tensor, values: &[f32], levels: &[i16], steps: &Steps) -> f32 {
    let area = Plane::of(tensor.shape()).area();
    let channels = steps.with(values, area).zip(steps.with(levels, area));
    let mut most = Most::default();
    for ((step, values), (_, levels)) in channels {
        most.see(values, levels, step);
    }
    let [off, largest] = most.of_all();
    let conversion = conversion_error(tensor.dtype(), largest + off) as f32;
    let error = off + conversion + (off + largest) * f32::EPSILON;
    if off + conversion == 0.0 {
        0.0
    } else {
        error.next_up()
    }
}
