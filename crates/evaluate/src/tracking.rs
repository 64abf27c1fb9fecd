// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Identities across frames: CLEAR-MOT and IDF1, at one threshold of the score.

use crate::frame::Frame;
use crate::operating_point::{OVERLAP, counted};
use crate::rules::Rules;
use crate::similarity::iou;
use serde::Serialize;
use splitinfer_assignment::assign;
use std::collections::{BTreeMap, BTreeSet};

/// Cost of a pair that must not be made; more than all others of a frame together.
const NEVER: f64 = 1e6;

/// Figures over a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tracking {
    /// 1 − (missed + false + switches) / true objects; may be negative. K. Bernardin and R. Stiefelhagen, *EURASIP
    /// Journal on Image and Video Processing*, 2008.
    pub mota: Option<f64>,
    /// Mean overlap of the pairs.
    pub motp: Option<f64>,
    /// E. Ristani et al., *Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking*, 2016.
    pub idf1: Option<f64>,
    /// True objects and found ones over all frames.
    pub objects: usize,
    pub found: usize,
    pub missed: usize,
    pub false_alarms: usize,
    /// Times that a true identity was found under another one than before.
    pub switches: usize,
}

#[derive(Default)]
pub(crate) struct Sums {
    figures: Tracking,
    overlap: f64,
    /// Under which identity a true one was last found.
    last: BTreeMap<u64, u64>,
    /// Frames in which a true and a found identity overlap.
    together: BTreeMap<(u64, u64), usize>,
}

/// Boxes with an identity.
type Tracked = Vec<(u64, [f64; 4])>;

impl Sums {
    pub fn add(&mut self, frame: &Frame, rules: &Rules) {
        let actual: Tracked = frame
            .actual
            .iter()
            .filter(|a| !a.ignore)
            .filter_map(|a| Some((a.track?, a.bbox)))
            .collect();
        let found: Tracked = counted(frame, rules)
            .into_iter()
            .filter_map(|(f, _)| Some((f.track?, f.bbox)))
            .collect();
        let overlaps: Vec<Vec<Option<f64>>> = actual
            .iter()
            .map(|(_, a)| found.iter().map(|(_, f)| overlap(a, f)).collect())
            .collect();
        for (a, row) in actual.iter().zip(&overlaps) {
            for (f, _) in found.iter().zip(row).filter(|(_, o)| o.is_some()) {
                *self.together.entry((a.0, f.0)).or_default() += 1;
            }
        }
        let pairs = self.pair(&actual, &found, &overlaps);
        self.figures.objects += actual.len();
        self.figures.found += found.len();
        self.figures.missed += actual.len() - pairs;
        self.figures.false_alarms += found.len() - pairs;
    }

    /// Those who were a pair stay one while they overlap; the others are paired at the least cost. How many pairs.
    fn pair(&mut self, actual: &Tracked, found: &Tracked, overlaps: &[Vec<Option<f64>>]) -> usize {
        let mut free_found: Vec<usize> = (0..found.len()).collect();
        let mut free_actual = Vec::new();
        let mut pairs = 0;
        for (a, (identity, _)) in actual.iter().enumerate() {
            let before = self.last.get(identity);
            let place = free_found.iter().position(|f| Some(&found[*f].0) == before);
            match place.and_then(|p| Some((p, overlaps[a][free_found[p]]?))) {
                Some((place, overlap)) => {
                    free_found.remove(place);
                    self.overlap += overlap;
                    pairs += 1;
                }
                None => free_actual.push(a),
            }
        }
        let new = assign(free_actual.len(), free_found.len(), |a, f| {
            overlaps[free_actual[a]][free_found[f]].map_or(NEVER, |o| 1.0 - o)
        });
        for (a, f) in free_actual.into_iter().zip(new) {
            let Some(f) = f.map(|f| free_found[f]) else {
                continue;
            };
            let Some(overlap) = overlaps[a][f] else {
                continue;
            };
            let before = self.last.insert(actual[a].0, found[f].0);
            self.figures.switches += usize::from(before.is_some_and(|b| b != found[f].0));
            self.overlap += overlap;
            pairs += 1;
        }
        pairs
    }

    pub fn finish(self) -> Tracking {
        let mut figures = self.figures;
        let objects = figures.objects;
        let mistakes = figures.missed + figures.false_alarms + figures.switches;
        figures.mota = (objects > 0).then(|| 1.0 - mistakes as f64 / objects as f64);
        let pairs = objects - figures.missed;
        figures.motp = (pairs > 0).then(|| self.overlap / pairs as f64);
        let both = objects + figures.found;
        let right = identified(&self.together);
        figures.idf1 = (objects > 0).then(|| 2.0 * right as f64 / both as f64);
        figures
    }
}

/// Frames in which the right identities overlap, for the one-to-one assignment of identities where they are most.
fn identified(together: &BTreeMap<(u64, u64), usize>) -> usize {
    let actual: Vec<u64> = together
        .keys()
        .map(|k| k.0)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let found: Vec<u64> = together
        .keys()
        .map(|k| k.1)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let frames = |a: usize, f: usize| together.get(&(actual[a], found[f])).copied().unwrap_or(0);
    assign(actual.len(), found.len(), |a, f| -(frames(a, f) as f64))
        .into_iter()
        .enumerate()
        .filter_map(|(a, f)| Some(frames(a, f?)))
        .sum()
}

/// `None` where it is too little for a pair.
fn overlap(a: &[f64; 4], b: &[f64; 4]) -> Option<f64> {
    let overlap = iou(a, b, false);
    (overlap >= OVERLAP).then_some(overlap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Actual, Found};

    /// Identities stand at x = 100 × place.
    fn run(frames: &[(&[u64], &[Option<u64>])]) -> Tracking {
        let bbox = |place: usize| [100.0 * place as f64, 0.0, 10.0, 10.0];
        let mut sums = Sums::default();
        for (actual, found) in frames {
            let frame = Frame {
                number: 0,
                actual: actual
                    .iter()
                    .enumerate()
                    .map(|(i, t)| Actual {
                        bbox: bbox(i),
                        track: Some(*t),
                        ..Actual::default()
                    })
                    .collect(),
                found: found
                    .iter()
                    .enumerate()
                    .filter_map(|(i, t)| {
                        Some(Found {
                            score: 1.0,
                            bbox: bbox(i),
                            track: Some((*t)?),
                            ..Found::default()
                        })
                    })
                    .collect(),
            };
            sums.add(&frame, &Rules::default());
        }
        sums.finish()
    }

    #[test]
    fn a_perfect_tracker() {
        let t = run(&[
            (&[1, 2], &[Some(7), Some(8)]),
            (&[1, 2], &[Some(7), Some(8)]),
        ]);
        assert_eq!((t.mota, t.motp, t.idf1), (Some(1.0), Some(1.0), Some(1.0)));
    }

    #[test]
    fn a_switch_a_miss_and_a_false_alarm() {
        let t = run(&[
            (&[1], &[Some(7)]),
            (&[1], &[Some(9)]),          // switch
            (&[1], &[None]),             // miss
            (&[1], &[Some(9), Some(5)]), // false alarm
        ]);
        assert_eq!((t.switches, t.missed, t.false_alarms), (1, 1, 1));
        assert_eq!(t.mota, Some(1.0 - 3.0 / 4.0));
        // Identity 9 is right in two of four true and four found boxes.
        assert_eq!(t.idf1, Some(0.5));
    }

    #[test]
    fn who_was_a_pair_stays_one_even_where_another_is_nearer() {
        let bbox = |x: f64| [x, 0.0, 10.0, 10.0];
        let frame = |found: &[(u64, f64)]| Frame {
            number: 0,
            actual: vec![Actual {
                bbox: bbox(0.0),
                track: Some(1),
                ..Actual::default()
            }],
            found: found
                .iter()
                .map(|(track, x)| Found {
                    score: 1.0,
                    bbox: bbox(*x),
                    track: Some(*track),
                    ..Found::default()
                })
                .collect(),
        };
        let mut sums = Sums::default();
        sums.add(&frame(&[(7, 0.0)]), &Rules::default());
        sums.add(&frame(&[(8, 0.0), (7, 2.0)]), &Rules::default());
        let t = sums.finish();
        assert_eq!((t.switches, t.false_alarms), (0, 1));
    }
}
