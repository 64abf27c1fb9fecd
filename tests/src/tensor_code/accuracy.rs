// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How good answers are, against the truth: one figure of `docs/evaluation.md`, as fits the model.

use splitinfer_evaluate::{Actual, Found, Frame, Ignore, Rules, evaluate};
use splitinfer_vision::{ModelInfo, Object};

/// As the students were trained, in pixels of the model's picture: smaller or more hidden things are not asked for
/// (models/recipe).
pub const SMALLEST: f64 = 6.0;
pub const LEAST_VISIBLE: f64 = 0.3;

/// Share of the body's size within which a joint is found.
const NEAR: f64 = 0.05;

/// Which figure says how good a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Boxes, whatever the class.
    Ap50,
    /// All labelled joints of the largest person: the models answer one.
    Pck,
}

impl Metric {
    pub fn of(info: &ModelInfo) -> Self {
        match info.keypoints.is_empty() {
            true => Self::Ap50,
            false => Self::Pck,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ap50 => "AP50",
            Self::Pck => "PCK@.05",
        }
    }
}

/// Answers beside the truth, frame by frame. Only objects above the model's own threshold are seen.
#[derive(Clone, Default)]
pub struct Accuracy(Vec<Frame>);

impl Accuracy {
    /// The next frame.
    pub fn add(&mut self, found: &[Object], truth: &[Actual]) {
        self.0.push(Frame {
            number: self.0.len() as u64,
            found: found.iter().map(as_found).collect(),
            actual: truth.to_vec(),
        });
    }

    /// `None` where there was nothing to find.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let ignore = Ignore {
            min_size: SMALLEST,
            min_visible: LEAST_VISIBLE,
            largest: metric == Metric::Pck,
        };
        let mut frames = self.0.clone();
        frames.iter_mut().for_each(|f| ignore.apply(f));
        let rules = Rules {
            pck: vec![NEAR],
            ..Rules::default()
        };
        let figures = evaluate(&frames, &rules);
        match metric {
            Metric::Ap50 => figures.detection.any_label.ap50,
            Metric::Pck => figures.pose?.joints.pck.first()?.all,
        }
    }
}

fn as_found(object: &Object) -> Found {
    Found {
        label: object.label.clone(),
        score: f64::from(object.score),
        bbox: object.box_.map(f64::from),
        keypoints: object.keypoints.iter().map(|k| k.map(f64::from)).collect(),
        ..Found::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(score: f32, x: f32) -> Object {
        Object {
            label: "van".to_owned(),
            score,
            box_: [x, 0.0, 10.0, 10.0],
            ..Object::default()
        }
    }

    fn truth(x: f64, visible: f64) -> Actual {
        Actual {
            label: "car".to_owned(),
            bbox: [x, 0.0, 10.0, 10.0],
            visible: Some(visible),
            ..Actual::default()
        }
    }

    #[test]
    fn boxes_count_whatever_their_class_and_hidden_things_do_not() {
        let mut accuracy = Accuracy::default();
        assert_eq!(accuracy.value(Metric::Ap50), None);
        accuracy.add(
            &[object(0.9, 0.0), object(0.8, 30.0)],
            &[truth(0.0, 1.0), truth(60.0, 0.5), truth(30.0, 0.2)],
        );
        // Right at 0.9, pardoned at 0.8, one of two missed: precision 1 up to recall 0.5.
        let value = accuracy.value(Metric::Ap50).unwrap();
        assert!((value - 51.0 / 101.0).abs() < 1e-12);
        assert_eq!(accuracy.value(Metric::Pck), None);
    }

    #[test]
    fn joints_count_of_the_largest_person() {
        let person = |x: f64, height: f64| Actual {
            bbox: [x, 0.0, 40.0, height],
            keypoints: vec![[x, 10.0, 2.0], [x, 20.0, 1.0], [x, 0.0, 0.0]],
            ..Actual::default()
        };
        let found = Object {
            keypoints: vec![[4.9, 10.0, 0.9], [0.0, 25.1, 0.9], [9.0, 9.0, 0.9]],
            ..Object::default()
        };
        let mut accuracy = Accuracy::default();
        accuracy.add(&[found], &[person(0.0, 100.0), person(500.0, 90.0)]);
        assert_eq!(accuracy.value(Metric::Pck), Some(0.5));
        accuracy.add(&[], &[person(0.0, 100.0)]);
        assert_eq!(accuracy.value(Metric::Pck), Some(0.25));
    }
}
