// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a code did to the frames of a clip, as numbers.

use std::time::Duration;

use serde::Serialize;
use splitinfer_tensorcode::relative_change;
use splitinfer_vision::Object;

use super::accuracy::{Accuracy, Metric};
use super::subject::{Frame, Outputs};
use super::{Role, knee};
use crate::measure::{median, ms};
use crate::model::matches;

/// The size that times are stated for, in values.
const REFERENCE: f64 = 131_072.0;

/// One code at one quality on one clip: a point of its rate–accuracy curve.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub clip: String,
    /// Number of the cut; none for the picture.
    pub cut: Option<usize>,
    pub code: &'static str,
    pub role: Role,
    pub knob: &'static str,
    pub quality: f64,
    /// Values that cross in one frame.
    pub values: usize,
    /// Of the first frame, which is a key frame.
    pub key_bytes: f64,
    /// Of the frames after it.
    pub median_bytes: f64,
    /// Of the frames after it: what the network has to carry.
    pub mean_bytes: f64,
    pub bits_per_value: f64,
    pub encode_ms: f64,
    pub decode_ms: f64,
    pub encode_ms_131k: f64,
    pub decode_ms_131k: f64,
    /// ‖y − ŷ‖ / ‖y‖ over the model's raw outputs, mean over the frames.
    pub output_error: f64,
    /// Objects against those of the whole model on the untouched frame.
    pub f1: f64,
    /// AP50 or PCK@.05 against the truth.
    pub accuracy: Option<f64>,
    /// Percent of the whole model's accuracy.
    pub accuracy_loss_pct: Option<f64>,
    pub knee_error_deg: Option<f64>,
}

impl Point {
    /// Percent of task accuracy lost: against the truth where there is one, else of agreement with the whole model.
    pub fn task_loss_pct(&self) -> f64 {
        self.accuracy_loss_pct
            .unwrap_or_else(|| self.disagreement_pct())
    }

    pub fn disagreement_pct(&self) -> f64 {
        (1.0 - self.f1) * 100.0
    }
}

/// Sums over the frames of a clip.
#[derive(Default)]
pub struct Tally {
    bytes: Vec<f64>,
    encode: Vec<f64>,
    decode: Vec<f64>,
    errors: Vec<f64>,
    hits: usize,
    found: usize,
    expected: usize,
    accuracy: Accuracy,
    knees: Vec<f64>,
}

impl Tally {
    pub fn sent(&mut self, bytes: usize, encode: Duration, decode: Duration) {
        self.bytes.push(bytes as f64);
        self.encode.push(ms(encode));
        self.decode.push(ms(decode));
    }

    pub fn answered(
        &mut self,
        frame: &Frame,
        outputs: &Outputs,
        objects: &[Object],
        legs: &[[usize; 3]],
    ) {
        self.errors.push(change(&frame.outputs, outputs));
        self.hits += matches(objects, &frame.objects);
        self.found += objects.len();
        self.expected += frame.objects.len();
        if let Some(truth) = &frame.truth {
            self.accuracy.add(objects, truth);
        }
        let knees = knee::differences(&frame.objects, objects, legs);
        self.knees.extend(knees);
    }

    /// The point; `whole` is the accuracy of the whole model.
    pub fn point(&self, what: Label, whole: Option<f64>, metric: Metric) -> Point {
        let later = &self.bytes[1.min(self.bytes.len())..];
        let mean_bytes = mean(later);
        let per_reference = REFERENCE / what.values.max(1) as f64;
        let (encode_ms, decode_ms) = (median(&self.encode), median(&self.decode));
        let accuracy = self.accuracy.value(metric);
        let loss = |(whole, now): (f64, f64)| (whole - now) / whole * 100.0;
        Point {
            clip: what.clip,
            cut: what.cut,
            code: what.code,
            role: what.role,
            knob: what.knob,
            quality: what.quality,
            values: what.values,
            key_bytes: self.bytes.first().copied().unwrap_or(f64::NAN),
            median_bytes: median(later),
            mean_bytes,
            bits_per_value: mean_bytes * 8.0 / what.values.max(1) as f64,
            encode_ms,
            decode_ms,
            encode_ms_131k: encode_ms * per_reference,
            decode_ms_131k: decode_ms * per_reference,
            output_error: mean(&self.errors),
            f1: self.f1(),
            accuracy,
            accuracy_loss_pct: whole.filter(|w| *w > 0.0).zip(accuracy).map(loss),
            knee_error_deg: (!self.knees.is_empty()).then(|| mean(&self.knees)),
        }
    }

    /// Relative output errors, frame by frame.
    pub fn errors(&self) -> &[f64] {
        &self.errors
    }

    /// Against the truth, where there is one.
    pub fn accuracy(&self, metric: Metric) -> Option<f64> {
        self.accuracy.value(metric)
    }

    pub fn f1(&self) -> f64 {
        match self.found + self.expected {
            0 => 1.0,
            total => 2.0 * self.hits as f64 / total as f64,
        }
    }
}

/// What a point belongs to.
pub struct Label {
    pub clip: String,
    pub cut: Option<usize>,
    pub code: &'static str,
    pub role: Role,
    pub knob: &'static str,
    pub quality: f64,
    pub values: usize,
}

/// NaN of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// As the element has it; NaN where they cannot be compared.
fn change(exact: &Outputs, now: &Outputs) -> f64 {
    let tensors = |outputs: &Outputs| outputs.iter().map(|(_, t)| t.clone()).collect::<Vec<_>>();
    relative_change(&tensors(exact), &tensors(now)).map_or(f64::NAN, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_frame_is_not_in_the_mean() {
        let mut tally = Tally::default();
        for bytes in [1000, 100, 100, 400] {
            tally.sent(bytes, Duration::from_millis(2), Duration::from_millis(1));
        }
        let label = Label {
            clip: String::new(),
            cut: None,
            code: "",
            role: Role::Baseline,
            knob: "",
            quality: 0.0,
            values: 65_536,
        };
        let point = tally.point(label, None, Metric::Ap50);
        assert_eq!(
            (point.key_bytes, point.median_bytes, point.mean_bytes),
            (1000.0, 100.0, 200.0)
        );
        assert_eq!((point.encode_ms_131k, point.decode_ms_131k), (4.0, 2.0));
        assert_eq!(point.bits_per_value, 1600.0 / 65_536.0);
    }
}
