// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How far a student's object is from the truth, in units of the object's size.

use splitinfer_evaluate::{Actual, iou};
use splitinfer_vision::Object;

use super::record::Set;
use crate::tensor_code::accuracy::LEAST_VISIBLE;

/// Pixels of the frame: smaller vehicles the students were not trained to find (models/recipe: 6 of the model's picture,
/// which is half as large).
const SMALLEST: f64 = 12.0;

/// Overlap from which a vehicle is the one that a box is about.
const ABOUT: f64 = 0.1;

/// Mean distance of the points over the longer side of the true box; a distance longer than that counts as that long, and
/// so does an object where there is none. `None` where the truth is not known or not asked for.
pub fn error(object: &Object, truth: &[Actual], set: Set) -> Option<f64> {
    match (object.keypoints.is_empty(), set) {
        (true, _) => of_box(object, truth),
        (false, Set::Real) => of_person(object, truth),
        (false, _) => Some(of_person(object, truth).unwrap_or(1.0)),
    }
}

/// Of the person it is nearest to, over the joints that are known.
fn of_person(object: &Object, truth: &[Actual]) -> Option<f64> {
    let distance = |actual: &Actual| {
        let size = size(&actual.bbox);
        let known = object.keypoints.iter().zip(&actual.keypoints);
        let (sum, n) = known
            .filter(|(_, k)| k[2] > 0.0)
            .map(|(p, k)| (f64::from(p[0]) - k[0]).hypot(f64::from(p[1]) - k[1]) / size)
            .fold((0.0, 0), |(sum, n), d| (sum + d.min(1.0), n + 1));
        (n > 0).then(|| sum / f64::from(n))
    };
    truth.iter().filter_map(distance).min_by(f64::total_cmp)
}

/// Of the vehicle it overlaps most.
fn of_box(object: &Object, truth: &[Actual]) -> Option<f64> {
    let bbox = object.box_.map(f64::from);
    let best = truth
        .iter()
        .map(|t| (iou(&bbox, &t.bbox, false), t))
        .filter(|(overlap, _)| *overlap >= ABOUT)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, actual)) = best else {
        return Some(1.0);
    };
    let hidden = actual.visible.is_some_and(|v| v < LEAST_VISIBLE);
    if hidden || size(&actual.bbox) < SMALLEST {
        return None;
    }
    let corners = |[x, y, w, h]: [f64; 4]| [[x, y], [x + w, y + h]];
    let pairs = corners(bbox).into_iter().zip(corners(actual.bbox));
    let sum: f64 = pairs.map(|(p, q)| (p[0] - q[0]).hypot(p[1] - q[1])).sum();
    Some((sum / 2.0 / size(&actual.bbox)).min(1.0))
}

fn size([_, _, w, h]: &[f64; 4]) -> f64 {
    w.max(*h).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_compared_with_the_nearest_in_units_of_its_size() {
        let found = Object {
            keypoints: vec![[5.0, 0.0, 0.9], [0.0, 15.0, 0.9], [900.0, 0.0, 0.1]],
            ..Object::default()
        };
        let person = |x: f64| Actual {
            bbox: [x, 0.0, 50.0, 100.0],
            keypoints: vec![[x, 0.0, 2.0], [x, 0.0, 1.0], [0.0; 3]],
            ..Actual::default()
        };
        let near = error(&found, &[person(300.0), person(0.0)], Set::Real);
        assert!((near.unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(error(&found, &[], Set::Real), None);
        assert_eq!(error(&found, &[], Set::Walker), Some(1.0));
    }

    #[test]
    fn a_box_is_compared_by_its_corners_and_one_without_a_vehicle_is_wrong_altogether() {
        let found = Object {
            box_: [10.0, 10.0, 40.0, 20.0],
            ..Object::default()
        };
        let car = |x: f64, visible: f64| Actual {
            bbox: [x, 10.0, 40.0, 20.0],
            visible: Some(visible),
            ..Actual::default()
        };
        assert_eq!(error(&found, &[car(14.0, 1.0)], Set::Traffic), Some(0.1));
        assert_eq!(error(&found, &[car(14.0, 0.1)], Set::Traffic), None);
        assert_eq!(error(&found, &[car(200.0, 1.0)], Set::Traffic), Some(1.0));
    }
}
