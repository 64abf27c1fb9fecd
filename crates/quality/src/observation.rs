// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One object on one frame, as the student reports it.

/// A keypoint, or a corner of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Pixels.
    pub x: f64,
    pub y: f64,
    /// 0 to 1.
    pub confidence: f64,
}

/// Beyond any picture; what is larger is a mistake, and its square must not overflow.
const LARGEST: f64 = 1e9;

impl Point {
    /// A point without confidence, or without a place, is missing; it does not lie at 0.
    pub fn is_missing(&self) -> bool {
        let placed = |v: f64| v.abs() <= LARGEST;
        !(placed(self.x) && placed(self.y) && self.confidence > 0.0)
    }
}

/// One object on one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The same number on every frame: J keypoints, or the 2 corners of a box.
    pub points: Vec<Point>,
    /// Longer side of the box in pixels.
    pub size: f64,
    /// The student's own, 0 to 1.
    pub score: f64,
    /// Agreement with the answer to the mirrored frame, 0 to 1, where that was asked.
    pub mirror: Option<f64>,
}

impl Observation {
    /// An object by its box x, y, width, height, and its keypoints x, y, score; without keypoints the corners of the box
    /// are its points. Scores and agreement are brought into 0 to 1; what is no number is 0, or no agreement.
    pub fn new(bbox: [f64; 4], score: f64, keypoints: &[[f64; 3]], mirror: Option<f64>) -> Self {
        let [x, y, w, h] = bbox;
        let score = share(score);
        let corner = |x, y| Point {
            x,
            y,
            confidence: score,
        };
        let points = match keypoints {
            [] => vec![corner(x, y), corner(x + w, y + h)],
            _ => keypoints
                .iter()
                .map(|&[x, y, confidence]| Point {
                    x,
                    y,
                    confidence: share(confidence),
                })
                .collect(),
        };
        Self {
            points,
            size: w.max(h),
            score,
            mirror: mirror.filter(|m| m.is_finite()).map(share),
        }
    }
}

fn share(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_its_two_corners() {
        let o = Observation::new([10.0, 20.0, 30.0, 40.0], 0.5, &[], None);
        let places: Vec<_> = o.points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(places, [(10.0, 20.0), (40.0, 60.0)]);
        assert_eq!(o.size, 40.0);
    }

    #[test]
    fn points_without_confidence_or_place_are_missing() {
        let point = |x, confidence| Point {
            x,
            y: 1.0,
            confidence,
        };
        assert!(!point(0.0, 0.1).is_missing());
        for (x, confidence) in [(0.0, 0.0), (f64::NAN, 1.0), (1e300, 1.0), (0.0, f64::NAN)] {
            assert!(point(x, confidence).is_missing(), "{x} {confidence}");
        }
    }
}
