// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Knee-flexion error: how far a code moves the angle between thigh and shank.

use splitinfer_vision::{ModelInfo, Object};

/// Keypoints below this score say nothing about the angle.
const LEAST_SCORE: f32 = 0.3;

/// Hip, knee and ankle of both legs, as indices of a model's keypoints; empty where it has none.
pub fn legs(info: &ModelInfo) -> Vec<[usize; 3]> {
    let place = |name: &str| info.keypoints.iter().position(|k| k == name);
    let leg = |side: &str| {
        Some([
            place(&format!("{side}_hip"))?,
            place(&format!("{side}_knee"))?,
            place(&format!("{side}_ankle"))?,
        ])
    };
    ["left", "right"].into_iter().filter_map(leg).collect()
}

/// The differences in degrees between the knees of `expected` and those of the nearest person in `found`, where all
/// six keypoints score enough. A person who is not found adds nothing here: that is a matter of F1.
pub fn differences(expected: &[Object], found: &[Object], legs: &[[usize; 3]]) -> Vec<f64> {
    let mut out = Vec::new();
    for person in expected {
        let near = found
            .iter()
            .filter(|o| o.keypoints.len() == person.keypoints.len())
            .min_by(|a, b| distance(a, person).total_cmp(&distance(b, person)));
        let Some(other) = near else { continue };
        for leg in legs {
            if let (Some(a), Some(b)) = (flexion(person, *leg), flexion(other, *leg)) {
                out.push((a - b).abs());
            }
        }
    }
    out
}

fn distance(a: &Object, b: &Object) -> f32 {
    let pairs = a.keypoints.iter().zip(&b.keypoints);
    pairs.map(|(p, q)| (p[0] - q[0]).hypot(p[1] - q[1])).sum()
}

/// 0: the leg is straight.
fn flexion(person: &Object, leg: [usize; 3]) -> Option<f64> {
    let [hip, knee, ankle] = leg.map(|i| person.keypoints.get(i));
    let (hip, knee, ankle) = (hip?, knee?, ankle?);
    if [hip, knee, ankle].iter().any(|p| p[2] < LEAST_SCORE) {
        return None;
    }
    let thigh = [f64::from(knee[0] - hip[0]), f64::from(knee[1] - hip[1])];
    let shank = [f64::from(ankle[0] - knee[0]), f64::from(ankle[1] - knee[1])];
    let lengths = thigh[0].hypot(thigh[1]) * shank[0].hypot(shank[1]);
    let cosine = (thigh[0] * shank[0] + thigh[1] * shank[1]) / lengths;
    (lengths > 0.0).then(|| cosine.clamp(-1.0, 1.0).acos().to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(knee_x: f32, score: f32) -> Object {
        Object {
            keypoints: vec![[0.0, 0.0, 0.9], [knee_x, 10.0, score], [0.0, 20.0, 0.9]],
            ..Object::default()
        }
    }

    #[test]
    fn a_straight_leg_is_not_flexed_and_a_right_angle_is_ninety_degrees() {
        assert_eq!(flexion(&person(0.0, 0.9), [0, 1, 2]), Some(0.0));
        let bent = flexion(&person(10.0, 0.9), [0, 1, 2]).unwrap();
        assert!((bent - 90.0).abs() < 1e-9);
        assert_eq!(flexion(&person(0.0, 0.2), [0, 1, 2]), None);
    }

    #[test]
    fn the_difference_is_that_of_the_nearest_person() {
        let found = [person(500.0, 0.9), person(10.0, 0.9)];
        let errors = differences(&[person(0.0, 0.9)], &found, &[[0, 1, 2]]);
        assert_eq!(errors.len(), 1);
        assert!((errors[0] - 90.0).abs() < 1e-9);
        assert!(differences(&[person(0.0, 0.9)], &[], &[[0, 1, 2]]).is_empty());
    }
}
