// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What one window says about the prediction, beyond any single score.

use crate::metric::scaled_residual_above;
use crate::motion::Motion;
use crate::observation::{Observation, Point};

/// The rank of the residual that [`probability_wrong`](crate::probability_wrong) was fitted with.
const KEYPOINTS_RANK: usize = 3;
/// Of two corners: places along a line, and a size that changes with it.
const BOX_RANK: usize = 2;

/// In units of the object's size: below that nothing differs that matters.
pub(crate) const NEGLIGIBLE: f64 = 1e-3;

/// Signs of a wrong prediction; each the larger, the worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// J keypoints instead of the corners of a box.
    pub keypoints: bool,
    /// [`scaled_residual`](crate::scaled_residual) at a fixed rank; below a thousandth not exactly.
    pub residual: f64,
    /// Mean length of the points' second differences in time in units of the object's size, weighted with confidence;
    /// what is longer than the object counts as long as it.
    pub jitter: f64,
    /// One minus the mean confidence of the points, weighted with itself: what the student did not report does not
    /// count.
    pub unsure: f64,
    /// One minus the mean agreement with the mirrored frames, of those that were inferred mirrored.
    pub disagreement: Option<f64>,
}

impl Evidence {
    /// `None` where there is too little to judge ([`Motion::of`]).
    pub fn of(rows: &[Option<Observation>]) -> Option<Self> {
        Some(Self::with(&Motion::of(rows)?, rows))
    }

    /// The same where the motion is known already.
    pub(crate) fn with(motion: &Motion, rows: &[Option<Observation>]) -> Self {
        let seen = || rows.iter().flatten();
        let keypoints = seen().any(|o| o.points.len() > 2);
        let rank = if keypoints { KEYPOINTS_RANK } else { BOX_RANK };
        let points = || seen().flat_map(|o| &o.points).filter(|p| !p.is_missing());
        let weight: f64 = points().map(|p| p.confidence).sum();
        let squares: f64 = points().map(|p| p.confidence.powi(2)).sum();
        let (mirrored, agreement) = seen()
            .filter_map(|o| o.mirror.filter(|m| m.is_finite()))
            .fold((0, 0.0), |(n, sum), m| (n + 1, sum + m));
        Self {
            keypoints,
            residual: scaled_residual_above(motion, rank, NEGLIGIBLE),
            jitter: jitter(rows, motion.size()),
            unsure: 1.0 - squares / weight,
            disagreement: (mirrored > 0).then(|| 1.0 - agreement / f64::from(mirrored)),
        }
    }
}

/// Over all points that are there on three frames one after another.
fn jitter(rows: &[Option<Observation>], size: f64) -> f64 {
    let threes = rows.windows(3).filter_map(|three| match three {
        [Some(a), Some(b), Some(c)] => Some([a, b, c]),
        _ => None,
    });
    jitter_of(threes, size).unwrap_or(0.0)
}

/// Mean length of the second differences of points over three frames, in units of `size`, weighted with confidence; what
/// is longer than that counts as long as it. `None` where no point is there on three frames.
pub(crate) fn jitter_of<'a>(
    threes: impl Iterator<Item = [&'a Observation; 3]>,
    size: f64,
) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for [a, b, c] in threes {
        for ((p, q), r) in a.points.iter().zip(&b.points).zip(&c.points) {
            if [p, q, r].into_iter().any(Point::is_missing) {
                continue;
            }
            let second = |p: f64, q: f64, r: f64| p - 2.0 * q + r;
            // Not hypot: the coordinates are far from where their squares overflow, and it takes ten times as long.
            let (x, y) = (second(p.x, q.x, r.x), second(p.y, q.y, r.y));
            let length = (x * x + y * y).sqrt() / size;
            sum += q.confidence * length.min(1.0);
            weight += q.confidence;
        }
    }
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(place: impl Fn(f64) -> f64, score: f64) -> Vec<Option<Observation>> {
        (0..20)
            .map(|t| {
                let x = place(f64::from(t));
                let mirror = (t % 5 == 0).then_some(0.75);
                Some(Observation::new([x, 0.0, 40.0, 80.0], score, &[], mirror))
            })
            .collect()
    }

    #[test]
    fn steady_motion_is_no_jitter_and_a_zigzag_is() {
        let steady = Evidence::of(&rows(|t| 5.0 * t, 0.9)).unwrap();
        assert!(steady.jitter < 1e-12 && steady.residual < 1e-9);
        // Second differences of 8 pixels on an object of 80.
        let zigzag = Evidence::of(&rows(|t| 2.0 * (t % 2.0), 0.9)).unwrap();
        assert!((zigzag.jitter - 0.05).abs() < 1e-9, "{}", zigzag.jitter);
    }

    #[test]
    fn confidence_and_agreement_are_as_reported() {
        let evidence = Evidence::of(&rows(|t| t, 0.7)).unwrap();
        assert!((evidence.unsure - 0.3).abs() < 1e-12);
        assert_eq!(evidence.disagreement, Some(0.25));
        let mut rows = rows(|t| t, 0.7);
        rows.iter_mut().flatten().for_each(|o| o.mirror = None);
        assert_eq!(Evidence::of(&rows).unwrap().disagreement, None);
    }
}
