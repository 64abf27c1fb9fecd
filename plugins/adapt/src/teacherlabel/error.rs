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

/// Mean over all objects of both: of those that both have found, the mean distance of their points (keypoints,
/// or the corners of their boxes) over the square root of the teacher's box's area, at most [`MISSED`]. `None` when
/// neither has found anything: a frame with nothing on it says nothing of either.
pub(super) fn error(student: &[Object], teacher: &[Object]) -> Option<f64> {
    let mut free: Vec<&Object> = student.iter().collect();
    let mut sum = 0.0;
    for object in teacher {
        let overlaps = free.iter().map(|s| overlap(&s.box_, &object.box_));
        let best = overlaps.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        sum += match best.filter(|(_, o)| *o >= LEAST_OVERLAP) {
            Some((i, _)) => distance(free.swap_remove(i), object).min(MISSED),
            None => MISSED,
        };
    }
    let count = teacher.len() + free.len();
    (count > 0).then(|| (sum + MISSED * free.len() as f64) / count as f64)
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
        let moved = object([12.0, 10.0, 20.0, 20.0]);
        let small = error(&[moved], &[there]).unwrap();
        assert!((small - 0.1).abs() < 1e-6, "{small}");
    }
}
