// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Curves: the points of one code at one cut of one clip, and what is chosen on them.

use super::bdrate::{BdRate, RatePoint, bd_rate};
use super::figures::Point;

/// How much may be lost.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Percent of agreement (F1) with the whole model.
    Agreement(f64),
    /// Percent of the whole model's accuracy against the truth.
    Accuracy(f64),
    /// Degrees of knee flexion, mean.
    Knee(f64),
    /// Percent of relative output error.
    Output(f64),
}

impl Limit {
    /// `None` where it was not measured.
    pub fn met_by(self, point: &Point) -> Option<bool> {
        // What a division makes of a limit that is met exactly must not decide.
        const SLACK: f64 = 1e-9;
        match self {
            Self::Agreement(most) => Some(point.disagreement_pct() <= most + SLACK),
            Self::Accuracy(most) => point.accuracy_loss_pct.map(|l| l <= most + SLACK),
            Self::Output(most) => Some(point.output_error * 100.0 <= most + SLACK),
            Self::Knee(most) => point.knee_error_deg.map(|d| d <= most + SLACK),
        }
    }
}

/// The points of one code at one cut (none: of the picture) of one clip, from coarse to fine.
#[derive(Clone)]
pub struct Curve<'a>(pub Vec<&'a Point>);

impl<'a> Curve<'a> {
    pub fn of(points: &'a [Point], code: &str, cut: Option<usize>) -> Self {
        let own = points.iter().filter(|p| p.code == code && p.cut == cut);
        Self(own.collect())
    }

    /// The coarsest setting that keeps to all the limits, and than which no finer one breaks any: a lucky coarse one
    /// does not count. Limits that were not measured do not bind.
    pub fn within(&self, limits: &[Limit]) -> Option<&'a Point> {
        let good = |p: &&&Point| limits.iter().all(|l| l.met_by(p) != Some(false));
        self.0.iter().rev().take_while(good).last().copied()
    }

    /// The same; where no setting keeps to the limits, the finest with a mark.
    pub fn within_or_finest(&self, limits: &[Limit]) -> Option<(&'a Point, &'static str)> {
        let within = self.within(limits).map(|p| (p, ""));
        within.or_else(|| Some((self.0.last().copied()?, " †")))
    }

    /// Against another curve, at equal output error.
    pub fn bd_error(&self, anchor: &Self) -> BdRate {
        bd_rate(&anchor.rates(by_error), &self.rates(by_error))
    }

    /// Against another curve, at equal agreement.
    pub fn bd_agreement(&self, anchor: &Self) -> BdRate {
        bd_rate(&anchor.rates(|p| p.f1), &self.rates(|p| p.f1))
    }

    fn rates(&self, quality: impl Fn(&Point) -> f64) -> Vec<RatePoint> {
        let point = |p: &&Point| (p.mean_bytes, quality(p));
        self.0.iter().map(point).collect()
    }
}

/// Larger is better, and halving the error is always the same step.
fn by_error(point: &Point) -> f64 {
    -point.output_error.max(1e-9).ln()
}

/// Names of the codes in the order in which they were measured.
pub fn names(points: &[Point]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for point in points {
        if !names.contains(&point.code) {
            names.push(point.code);
        }
    }
    names
}

#[cfg(test)]
pub mod tests {
    use super::super::Role;
    use super::*;

    pub fn point(quality: f64, bytes: f64, f1: f64, loss: Option<f64>) -> Point {
        Point {
            clip: "clip".to_owned(),
            cut: Some(1),
            code: "code",
            role: Role::Intra,
            knob: "bits",
            quality,
            values: 1000,
            key_bytes: bytes,
            median_bytes: bytes,
            mean_bytes: bytes,
            bits_per_value: bytes * 8.0 / 1000.0,
            encode_ms: 1.0,
            decode_ms: 1.0,
            encode_ms_131k: 1.0,
            decode_ms_131k: 1.0,
            output_error: 1.0 / bytes,
            f1,
            accuracy: None,
            accuracy_loss_pct: loss,
            knee_error_deg: None,
        }
    }

    #[test]
    fn a_lucky_coarse_setting_does_not_count() {
        let points = [
            point(2.0, 100.0, 1.0, Some(0.0)),
            point(3.0, 200.0, 0.9, Some(0.0)),
            point(4.0, 300.0, 0.996, Some(3.0)),
            point(5.0, 400.0, 1.0, Some(0.0)),
        ];
        let curve = Curve::of(&points, "code", Some(1));
        let chosen = |limits: &[Limit]| curve.within(limits).map(|p| p.quality);
        assert_eq!(chosen(&[Limit::Agreement(0.5)]), Some(4.0));
        assert_eq!(chosen(&[Limit::Agreement(10.0)]), Some(2.0));
        assert_eq!(
            chosen(&[Limit::Agreement(0.5), Limit::Accuracy(0.5)]),
            Some(5.0)
        );
        assert_eq!(
            chosen(&[Limit::Knee(0.5), Limit::Agreement(0.5)]),
            Some(4.0)
        );
        assert!(Curve::of(&points, "code", None).0.is_empty());
    }

    #[test]
    fn half_the_bytes_at_the_same_error_are_half() {
        let points = [1.0, 2.0, 4.0].map(|q| point(q, 100.0 * q, 1.0, None));
        let mut halved = points.clone();
        halved.iter_mut().for_each(|p| p.mean_bytes /= 2.0);
        let (anchor, tested) = (
            Curve(points.iter().collect()),
            Curve(halved.iter().collect()),
        );
        let BdRate::Percent { bytes, .. } = tested.bd_error(&anchor) else {
            panic!("the curves overlap")
        };
        assert!((bytes + 50.0).abs() < 1e-6);
        assert_eq!(tested.bd_agreement(&anchor), BdRate::TooFew);
    }
}
