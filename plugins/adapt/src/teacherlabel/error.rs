// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How far a student is from its teacher on a frame, in units of the objects' size: what `svdgate`'s canary asks.

use splitinfer_meta::Object;

/// An object that only one of the two has found counts as wrong by its whole size.
const MISSED: f64 = 1.0;

/// Boxes that overlap less are different objects.
const LEAST_OVERLAP: f32 = 0.3;

/// An object of this score or more counts fully, one of less in proportion: about what neither believes in itself there is
/// little to be wrong.
const SURE: f64 = 0.5;

/// A frame on which less than this is found, all objects together, says nothing of either.
const LEAST_FOUND: f64 = 0.5;

/// Mean over all objects of both, by how sure the surer of the two is: of those that both have found, the mean distance of
/// their points (keypoints, or the corners of their boxes) over the square root of the teacher's box's area, at most
/// [`MISSED`]. `None` when there is next to nothing on the frame.
pub(super) fn error(student: &[Object], teacher: &[Object]) -> Option<f64> {
    let mut free: Vec<&Object> = student.iter().collect();
    let (mut sum, mut found) = (0.0, 0.0);
    let mut count = |error: f64, score: f32| {
        let weight = (f64::from(score) / SURE).clamp(0.0, 1.0);
        sum += weight * error;
        found += weight;
    };
    for object in teacher {
        let overlaps = free.iter().map(|s| overlap(&s.box_, &object.box_));
        let best = overlaps.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        match best.filter(|(_, o)| *o >= LEAST_OVERLAP) {
            Some((i, _)) => {
                let counterpart = free.swap_remove(i);
                let score = counterpart.score.max(object.score);
                count(distance(counterpart, object).min(MISSED), score);
            }
            None => count(MISSED, object.score),
        }
    }
    for object in free {
        count(MISSED, object.score);
    }
    (found >= LEAST_FOUND).then(|| sum / found)
}

/// Intersection over union of x, y, width, height.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let side = |i: usize| {
        let end = (a[i] + a[i + 2]).min(b[i] + b[i + 2]);
        (end - a[i].max(b[i])).max(0.0)
    };
    let both = side(0) * side(1);
    let all = a[2] * a[3] + b[2] * b[3] - both;
    if all > 0.0 { both / all } else { 0.0 }
}

fn distance(a: &Object, b: &Object) -> f64 {
    let size = f64::from(b.box_[2] * b.box_[3]).max(1.0).sqrt();
    let same = !b.keypoints.is_empty() && a.keypoints.len() == b.keypoints.len();
    let (a, b) = match same {
        true => (points(&a.keypoints), points(&b.keypoints)),
        false => (corners(&a.box_), corners(&b.box_)),
    };
    let apart = a
        .iter()
        .zip(&b)
        .map(|(a, b)| f64::from((a[0] - b[0]).hypot(a[1] - b[1])));
    apart.sum::<f64>() / (a.len().max(1) as f64 * size)
}

fn points(keypoints: &[[f32; 3]]) -> Vec<[f32; 2]> {
    keypoints.iter().map(|k| [k[0], k[1]]).collect()
}

fn corners(box_: &[f32; 4]) -> Vec<[f32; 2]> {
    vec![[box_[0], box_[1]], [box_[0] + box_[2], box_[1] + box_[3]]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(box_: [f32; 4]) -> Object {
        Object {
            box_,
            score: 0.8,
            ..Default::default()
        }
    }

    #[test]
    fn agreement_is_no_error_and_a_miss_a_whole_one() {
        let there = object([10.0, 10.0, 20.0, 20.0]);
        let error = |a: &[Object], b: &[Object]| super::error(a, b);
        assert_eq!(error(&[], &[]), None);
        assert_eq!(
            error(std::slice::from_ref(&there), std::slice::from_ref(&there)),
            Some(0.0)
        );
        assert_eq!(error(&[], std::slice::from_ref(&there)), Some(1.0));
        let far = object([200.0, 10.0, 20.0, 20.0]);
        assert_eq!(
            error(std::slice::from_ref(&far), std::slice::from_ref(&there)),
            Some(1.0)
        );
        let ghost = Object { score: 0.1, ..far };
        assert_eq!(error(std::slice::from_ref(&ghost), &[]), None);
        let beside = error(&[there.clone(), ghost], std::slice::from_ref(&there)).unwrap();
        assert!((beside - 0.2 / 1.2).abs() < 1e-6, "{beside}");
        let moved = object([12.0, 10.0, 20.0, 20.0]);
        let small = error(&[moved], &[there]).unwrap();
        assert!((small - 0.1).abs() < 1e-6, "{small}");
    }
}
