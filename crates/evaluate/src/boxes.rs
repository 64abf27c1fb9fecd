// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Errors of boxes and of their number, at one threshold of the score.

use crate::frame::{Actual, Found, Frame};
use crate::operating_point::counted;
use crate::rules::Rules;
use serde::Serialize;
use splitinfer_assignment::assign;

/// Errors over a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Boxes {
    /// Mean absolute error of the number of objects a frame.
    pub count_error: Option<f64>,
    /// Mean error of the number, found minus true: above 0 where too many are found.
    pub count_bias: Option<f64>,
    /// Pixels: mean absolute error of the boxes' coordinates, missed and false ones at the cut-off.
    pub mae: Option<f64>,
    /// The same over the pairs alone, nothing missed or false included.
    pub mae_of_pairs: Option<f64>,
    /// True objects with a found one closer than the cut-off, without one, and found ones without a true one.
    pub paired: usize,
    pub missed: usize,
    pub false_alarms: usize,
    /// Share of right labels among the objects that overlap a true one by half.
    pub right_label: Option<f64>,
}

/// Mean absolute difference of left, top, right and bottom of two boxes x, y, width, height; pixels.
pub fn box_distance(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let edges = |r: &[f64; 4]| [r[0], r[1], r[0] + r[2], r[1] + r[3]];
    let (a, b) = (edges(a), edges(b));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 4.0
}

/// Sums over the frames so far.
#[derive(Default)]
pub(crate) struct Sums {
    frames: usize,
    count_error: f64,
    count_bias: f64,
    cost: f64,
    of_pairs: f64,
    pairs: usize,
    missed: usize,
    false_alarms: usize,
    /// Objects in all pairings: the larger of the two numbers, a frame.
    places: usize,
    labelled: usize,
    right: usize,
}

/// Errors of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct OfFrame {
    pub count_error: f64,
    /// `None` where nothing is there and nothing was found.
    pub mae: Option<f64>,
}

impl Sums {
    pub fn add(&mut self, frame: &Frame, rules: &Rules) -> OfFrame {
        let found = counted(frame, rules);
        for (object, place) in &found {
            if let Some(place) = place {
                self.labelled += 1;
                self.right += usize::from(object.label == frame.actual[*place].label);
            }
        }
        let found: Vec<&Found> = found.into_iter().map(|(f, _)| f).collect();
        let actual: Vec<&Actual> = frame.actual.iter().filter(|a| !a.ignore).collect();
        let difference = found.len() as f64 - actual.len() as f64;
        self.frames += 1;
        self.count_error += difference.abs();
        self.count_bias += difference;

        let close = close_pairs(&found, &actual, rules.cutoff);
        let places = found.len().max(actual.len());
        let of_pairs: f64 = close.iter().sum();
        let cost = of_pairs + rules.cutoff * (places - close.len()) as f64;
        self.of_pairs += of_pairs;
        self.cost += cost;
        self.places += places;
        self.pairs += close.len();
        self.missed += actual.len() - close.len();
        self.false_alarms += found.len() - close.len();
        OfFrame {
            count_error: difference.abs(),
            mae: (places > 0).then(|| cost / places as f64),
        }
    }

    pub fn finish(&self) -> Boxes {
        let over = |sum: f64, n: usize| (n > 0).then(|| sum / n as f64);
        Boxes {
            count_error: over(self.count_error, self.frames),
            count_bias: over(self.count_bias, self.frames),
            mae: over(self.cost, self.places),
            mae_of_pairs: over(self.of_pairs, self.pairs),
            paired: self.pairs,
            missed: self.missed,
            false_alarms: self.false_alarms,
            right_label: over(self.right as f64, self.labelled),
        }
    }
}

/// Distances of the pairs below `cutoff` in the pairing whose distances, none counted above it, have the least sum.
fn close_pairs(found: &[&Found], actual: &[&Actual], cutoff: f64) -> Vec<f64> {
    let distance = |a: usize, f: usize| box_distance(&found[f].bbox, &actual[a].bbox);
    assign(actual.len(), found.len(), |a, f| distance(a, f).min(cutoff))
        .iter()
        .enumerate()
        .filter_map(|(a, f)| Some(distance(a, (*f)?)))
        .filter(|d| *d < cutoff)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(found: &[[f64; 4]], actual: &[[f64; 4]]) -> Boxes {
        let frame = Frame {
            number: 0,
            found: found
                .iter()
                .map(|b| Found {
                    score: 1.0,
                    bbox: *b,
                    ..Found::default()
                })
                .collect(),
            actual: actual
                .iter()
                .map(|b| Actual {
                    bbox: *b,
                    ..Actual::default()
                })
                .collect(),
        };
        let mut sums = Sums::default();
        sums.add(&frame, &Rules::default());
        sums.finish()
    }

    const A: [f64; 4] = [0.0, 0.0, 20.0, 10.0];
    const FAR: [f64; 4] = [500.0, 0.0, 20.0, 10.0];

    #[test]
    fn a_box_that_is_moved_and_stretched() {
        // Left 2 off, top 0, right 6, bottom 4: 12 / 4.
        assert_eq!(box_distance(&A, &[2.0, 0.0, 24.0, 14.0]), 3.0);
        assert_eq!(boxes(&[[2.0, 0.0, 24.0, 14.0]], &[A]).mae, Some(3.0));
    }

    #[test]
    fn missed_and_false_ones_cost_the_cutoff() {
        let missed = boxes(&[A], &[A, FAR]);
        assert_eq!(missed.mae, Some(50.0));
        assert_eq!(missed.mae_of_pairs, Some(0.0));
        assert_eq!(
            (missed.count_error, missed.count_bias),
            (Some(1.0), Some(-1.0))
        );
        let extra = boxes(&[A, FAR], &[A]);
        assert_eq!(extra.mae, Some(50.0));
        assert_eq!((extra.missed, extra.false_alarms), (0, 1));
        // One in place of the other is one mistake, not two.
        let elsewhere = boxes(&[FAR], &[A]);
        assert_eq!(elsewhere.mae, Some(100.0));
        assert_eq!((elsewhere.missed, elsewhere.false_alarms), (1, 1));
    }

    #[test]
    fn nothing_found_where_nothing_is_has_no_box_error() {
        let empty = boxes(&[], &[]);
        assert_eq!(empty.mae, None);
        assert_eq!(empty.count_error, Some(0.0));
    }
}
