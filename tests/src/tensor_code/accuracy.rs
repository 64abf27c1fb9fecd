// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How good answers are, against the truth: average precision of boxes, share of correct keypoints.

use splitinfer_vision::Object;

use super::truth::TruthObject;
use crate::model::overlap;

/// Boxes that overlap something that does not count by more than this are neither right nor wrong.
const SPARE: f32 = 0.3;

/// AP at IoU 0.5 whatever the class, 101 points, as COCO. Only objects above the model's own threshold are seen.
#[derive(Clone, Default)]
pub struct AveragePrecision {
    scored: Vec<(f32, bool)>,
    wanted: usize,
}

impl AveragePrecision {
    /// One frame.
    pub fn add(&mut self, found: &[Object], truth: &[TruthObject]) {
        let (wanted, spare): (Vec<_>, Vec<_>) = truth.iter().partition(|t| t.counts);
        self.wanted += wanted.len();
        let mut free = wanted;
        let mut found: Vec<&Object> = found.iter().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        for object in found {
            let overlaps = free.iter().map(|t| overlap(object.box_, t.box_));
            let best = overlaps.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
            match best {
                Some((i, iou)) if iou >= 0.5 => {
                    free.swap_remove(i);
                    self.scored.push((object.score, true));
                }
                _ if spare.iter().any(|s| overlap(object.box_, s.box_) > SPARE) => {}
                _ => self.scored.push((object.score, false)),
            }
        }
    }

    /// `None` where there was nothing to find.
    pub fn value(&self) -> Option<f64> {
        if self.wanted == 0 {
            return None;
        }
        let mut scored = self.scored.clone();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut hits = 0usize;
        let mut points: Vec<(f64, f64)> = Vec::with_capacity(scored.len());
        for (n, (_, hit)) in scored.iter().enumerate() {
            hits += usize::from(*hit);
            let recall = hits as f64 / self.wanted as f64;
            points.push((recall, hits as f64 / (n + 1) as f64));
        }
        // Precision at a recall is the best at this or any higher recall.
        for i in (1..points.len()).rev() {
            points[i - 1].1 = points[i - 1].1.max(points[i].1);
        }
        let at = |recall: f64| {
            let first = points.iter().find(|p| p.0 >= recall - 1e-9);
            first.map_or(0.0, |p| p.1)
        };
        Some((0..=100).map(|i| at(f64::from(i) / 100.0)).sum::<f64>() / 101.0)
    }
}

/// PCK@.05: the share of the keypoints inside the picture that are found within 5 % of the height of their person's
/// box. Of several people the largest counts.
#[derive(Clone, Default)]
pub struct Pck {
    close: usize,
    total: usize,
}

impl Pck {
    /// One frame.
    pub fn add(&mut self, found: &[Object], truth: &[TruthObject]) {
        let people = truth.iter().filter(|t| t.counts && !t.keypoints.is_empty());
        let area = |t: &TruthObject| t.box_[2] * t.box_[3];
        let Some(person) = people.max_by(|a, b| area(a).total_cmp(&area(b))) else {
            return;
        };
        let inside = |p: &[f32; 3]| p[2] > 0.0;
        let close = |object: &Object| {
            let pairs = object.keypoints.iter().zip(&person.keypoints);
            let near = |(p, q): &(&[f32; 3], &[f32; 3])| {
                inside(q) && (p[0] - q[0]).hypot(p[1] - q[1]) < 0.05 * person.box_[3]
            };
            pairs.filter(near).count()
        };
        self.total += person.keypoints.iter().filter(|p| inside(p)).count();
        self.close += found.iter().map(close).max().unwrap_or(0);
    }

    /// `None` where there was nothing to find.
    pub fn value(&self) -> Option<f64> {
        (self.total > 0).then(|| self.close as f64 / self.total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(score: f32, x: f32) -> Object {
        Object {
            score,
            box_: [x, 0.0, 10.0, 10.0],
            ..Object::default()
        }
    }

    fn truth(x: f32, counts: bool) -> TruthObject {
        TruthObject {
            box_: [x, 0.0, 10.0, 10.0],
            counts,
            keypoints: vec![],
        }
    }

    #[test]
    fn everything_found_and_nothing_else_is_one() {
        let mut ap = AveragePrecision::default();
        ap.add(
            &[object(0.9, 0.0), object(0.8, 20.0)],
            &[truth(0.0, true), truth(20.0, true)],
        );
        assert_eq!(ap.value(), Some(1.0));
        assert_eq!(AveragePrecision::default().value(), None);
    }

    #[test]
    fn a_false_one_between_two_right_ones_lowers_the_precision_behind_it() {
        // Right at .9, wrong at .8, right at .7, of two: precision 1 up to recall .5 (51 points), then 2/3 (50 points).
        let mut ap = AveragePrecision::default();
        ap.add(&[object(0.9, 0.0), object(0.8, 50.0)], &[truth(0.0, true)]);
        ap.add(&[object(0.7, 0.0)], &[truth(1.0, true)]);
        let expected = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
        assert!((ap.value().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn a_missed_one_costs_its_recall_and_one_that_does_not_count_costs_nothing() {
        let mut ap = AveragePrecision::default();
        ap.add(
            &[object(0.9, 0.0), object(0.8, 30.0)],
            &[truth(0.0, true), truth(60.0, true), truth(30.0, false)],
        );
        assert!((ap.value().unwrap() - 51.0 / 101.0).abs() < 1e-12);
    }

    #[test]
    fn two_boxes_on_one_object_are_one_right_and_one_wrong() {
        let mut ap = AveragePrecision::default();
        ap.add(
            &[object(0.9, 0.0), object(0.95, 1.0)],
            &[truth(0.0, true), truth(60.0, true)],
        );
        // The better one (0.95) takes it: precision 1 up to recall .5.
        assert!((ap.value().unwrap() - 51.0 / 101.0).abs() < 1e-12);
    }

    #[test]
    fn keypoints_are_close_within_a_twentieth_of_the_height() {
        let person = TruthObject {
            box_: [0.0, 0.0, 40.0, 100.0],
            counts: true,
            keypoints: vec![
                [10.0, 10.0, 2.0],
                [20.0, 20.0, 1.0],
                [30.0, 30.0, 2.0],
                [0.0, 0.0, 0.0],
            ],
        };
        let found = Object {
            keypoints: vec![
                [14.9, 10.0, 0.9],
                [20.0, 25.1, 0.9],
                [30.0, 30.0, 0.1],
                [0.0, 0.0, 0.9],
            ],
            ..Object::default()
        };
        let mut pck = Pck::default();
        pck.add(&[found], std::slice::from_ref(&person));
        assert_eq!(pck.value(), Some(2.0 / 3.0));
        pck.add(&[], &[person]);
        assert_eq!(pck.value(), Some(2.0 / 6.0));
    }
}
