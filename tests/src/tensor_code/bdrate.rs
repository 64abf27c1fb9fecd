// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Bjøntegaard's delta rate: how many bytes one code needs more or less than another for the same quality, as a mean
//! over the qualities that both reach. The logarithm of the rate is interpolated over the quality piecewise by
//! monotone cubics (PCHIP, as in VCEG-AZ20 and JVET's template), so that the curve does not swing between points.

/// Bytes a frame, and a quality that is better when larger.
pub type RatePoint = (f64, f64);

/// What a comparison of two curves gave.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BdRate {
    /// Percent of the anchor's bytes: −30 is 30 % fewer; and the share of the shorter curve's qualities that both reach,
    /// over which that is the mean.
    Percent { bytes: f64, shared: f64 },
    /// Every quality of the tested code is above the anchor's best.
    Above,
    /// Every quality of the tested code is below the anchor's worst.
    Below,
    /// One of the curves has fewer than two points that differ.
    TooFew,
}

/// `tested` against `anchor`.
pub fn bd_rate(anchor: &[RatePoint], tested: &[RatePoint]) -> BdRate {
    let (anchor, tested) = (frontier(anchor), frontier(tested));
    let (Some(a), Some(t)) = (Curve::new(&anchor), Curve::new(&tested)) else {
        return BdRate::TooFew;
    };
    let (low, high) = (a.first().max(t.first()), a.last().min(t.last()));
    if high <= low {
        return match t.first() >= a.last() {
            true => BdRate::Above,
            false => BdRate::Below,
        };
    }
    let mean = (t.integral(low, high) - a.integral(low, high)) / (high - low);
    let shorter = (a.last() - a.first()).min(t.last() - t.first());
    BdRate::Percent {
        bytes: (mean.exp() - 1.0) * 100.0,
        shared: (high - low) / shorter,
    }
}

/// The points that no other beats in both, from low to high quality, as quality and logarithm of the rate.
pub fn frontier(points: &[RatePoint]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<RatePoint> = points
        .iter()
        .copied()
        .filter(|(rate, quality)| *rate > 0.0 && quality.is_finite())
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut out: Vec<(f64, f64)> = Vec::new();
    for (rate, quality) in sorted {
        if out.last().is_none_or(|last| quality > last.0) {
            out.push((quality, rate.ln()));
        }
    }
    out
}

/// A monotone piecewise cubic through points with ascending abscissae (Fritsch and Butland's slopes).
struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
    slope: Vec<f64>,
}

impl Curve {
    fn new(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 2 {
            return None;
        }
        let x: Vec<f64> = points.iter().map(|p| p.0).collect();
        let y: Vec<f64> = points.iter().map(|p| p.1).collect();
        let h: Vec<f64> = x.windows(2).map(|w| w[1] - w[0]).collect();
        let d: Vec<f64> = y
            .windows(2)
            .zip(&h)
            .map(|(w, h)| (w[1] - w[0]) / h)
            .collect();
        let last = x.len() - 1;
        let slope = (0..=last)
            .map(|i| match i {
                _ if last == 1 => d[0],
                0 => end_slope(h[0], h[1], d[0], d[1]),
                _ if i == last => end_slope(h[last - 1], h[last - 2], d[last - 1], d[last - 2]),
                _ => inner_slope(h[i - 1], h[i], d[i - 1], d[i]),
            })
            .collect();
        Some(Self { x, y, slope })
    }

    fn first(&self) -> f64 {
        self.x[0]
    }

    fn last(&self) -> f64 {
        self.x[self.x.len() - 1]
    }

    /// From `low` to `high`, both on the curve.
    fn integral(&self, low: f64, high: f64) -> f64 {
        let pieces = 0..self.x.len() - 1;
        pieces
            .map(|i| {
                let (from, to) = (low.max(self.x[i]), high.min(self.x[i + 1]));
                if to > from {
                    self.primitive(i, to) - self.primitive(i, from)
                } else {
                    0.0
                }
            })
            .sum()
    }

    /// The integral of the piece `i` from its beginning.
    fn primitive(&self, i: usize, at: f64) -> f64 {
        let h = self.x[i + 1] - self.x[i];
        let s = at - self.x[i];
        let d = (self.y[i + 1] - self.y[i]) / h;
        let (m0, m1) = (self.slope[i], self.slope[i + 1]);
        let c = (3.0 * d - 2.0 * m0 - m1) / h;
        let b = (m0 - 2.0 * d + m1) / (h * h);
        s * (self.y[i] + s * (m0 / 2.0 + s * (c / 3.0 + s * b / 4.0)))
    }
}

/// The weighted harmonic mean of the slopes on both sides; 0 at a turning point.
fn inner_slope(h0: f64, h1: f64, d0: f64, d1: f64) -> f64 {
    if d0 * d1 <= 0.0 {
        return 0.0;
    }
    let (w0, w1) = (2.0 * h1 + h0, h1 + 2.0 * h0);
    (w0 + w1) / (w0 / d0 + w1 / d1)
}

/// One-sided, of second order, kept from overshooting.
fn end_slope(h0: f64, h1: f64, d0: f64, d1: f64) -> f64 {
    let slope = ((2.0 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
    if slope * d0 <= 0.0 {
        0.0
    } else if d0 * d1 < 0.0 && slope.abs() > 3.0 * d0.abs() {
        3.0 * d0
    } else {
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: [RatePoint; 4] = [(100.0, 30.0), (200.0, 33.0), (400.0, 36.0), (800.0, 39.0)];

    fn percent(anchor: &[RatePoint], tested: &[RatePoint]) -> f64 {
        match bd_rate(anchor, tested) {
            BdRate::Percent { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn half_the_rate_at_every_quality_is_minus_fifty_percent() {
        let halved = ANCHOR.map(|(rate, quality)| (rate / 2.0, quality));
        assert!((percent(&ANCHOR, &halved) + 50.0).abs() < 1e-9);
        assert!((percent(&halved, &ANCHOR) - 100.0).abs() < 1e-9);
        assert!(percent(&ANCHOR, &ANCHOR).abs() < 1e-9);
    }

    #[test]
    fn only_the_qualities_that_both_reach_count() {
        // The logarithm of the anchor's rate rises by ln 2 every 3 of quality; the tested one's is flat in relation:
        // equal at 33, half at 36 and no further. On straight lines the mean is at the middle: 2^-0.5.
        let tested = [(200.0, 33.0), (200.1, 36.0)];
        let expected = (0.5f64.sqrt() - 1.0) * 100.0;
        assert!((percent(&ANCHOR, &tested) - expected).abs() < 0.1);
        let shares = |tested: &[RatePoint]| match bd_rate(&ANCHOR, tested) {
            BdRate::Percent { shared, .. } => shared,
            other => panic!("{other:?}"),
        };
        assert!((shares(&tested) - 1.0).abs() < 1e-9);
        assert!((shares(&[(200.0, 37.5), (300.0, 43.5)]) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_cubic_through_three_points_is_that_of_fritsch_and_butland() {
        // Through (0, 0), (1, 1), (2, 4): slopes 0 (3·1/2 − 3/2 = 0 at the end), harmonic mean 1.5, and
        // 3·3/2 − 1/2 = 4 at the other. By Hermite's rule the integral is Σ h(y0+y1)/2 + h²(m0−m1)/12.
        let curve = Curve::new(&[(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)]).unwrap();
        assert_eq!(curve.slope, vec![0.0, 1.5, 4.0]);
        let expected = 0.5 + (0.0 - 1.5) / 12.0 + 2.5 + (1.5 - 4.0) / 12.0;
        assert!((curve.integral(0.0, 2.0) - expected).abs() < 1e-12);
        let parts = curve.integral(0.0, 0.7) + curve.integral(0.7, 2.0);
        assert!((parts - expected).abs() < 1e-12);
    }

    #[test]
    fn curves_that_do_not_overlap_say_so() {
        let better = ANCHOR.map(|(rate, quality)| (rate, quality + 20.0));
        assert_eq!(bd_rate(&ANCHOR, &better), BdRate::Above);
        assert_eq!(bd_rate(&better, &ANCHOR), BdRate::Below);
        assert_eq!(bd_rate(&ANCHOR, &ANCHOR[..1]), BdRate::TooFew);
    }

    #[test]
    fn points_that_cost_more_and_give_less_are_left_out() {
        let points = [(100.0, 1.0), (150.0, 0.5), (200.0, 1.0), (300.0, 2.0)];
        assert_eq!(
            frontier(&points),
            vec![(1.0, 100f64.ln()), (2.0, 300f64.ln())]
        );
    }
}
