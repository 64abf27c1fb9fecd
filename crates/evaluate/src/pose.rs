// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Errors of keypoints, at one threshold of the score.

use crate::frame::{Actual, Found, Frame};
use crate::rules::Rules;
use serde::Serialize;
use splitinfer_assignment::assign;

/// Points of [`Pose::pck_curve`]: shares 0, 0.01, …, 0.5.
const CURVE: usize = 51;

/// Hip, knee and ankle in COCO's order, left and right.
const LEGS: [[usize; 3]; 2] = [[11, 13, 15], [12, 14, 16]];
const COCO_KEYPOINTS: usize = 17;

/// Errors over a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pose {
    /// Share of the labelled joints found within a share of the body's size, for each share asked for.
    pub pck: Vec<Pck>,
    /// The same at shares 0, 0.01, …, 0.5; empty where no joint is labelled.
    pub pck_curve: Vec<f64>,
    /// Pixels: mean distance of the labelled joints of the people who were found.
    pub joint_error: Option<f64>,
    /// People who count, and those of them who were paired with a found one.
    pub people: usize,
    pub found: usize,
    pub knee: Knee,
}

/// Share of joints that are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pck {
    /// Share of the body's size, the longer side of the person's box.
    pub within: f64,
    /// Of all labelled joints.
    pub all: Option<f64>,
    /// Of the visible ones.
    pub visible: Option<f64>,
}

/// Mean absolute errors of knee flexion in degrees, over the knees of the people found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Knee {
    /// Found angle in the picture against the true angle in the picture.
    pub in_picture: Option<f64>,
    /// Found angle in the picture against the true flexion in space.
    pub in_space: Option<f64>,
    /// True angle in the picture against the true flexion in space: what the projection alone costs.
    pub of_projection: Option<f64>,
    /// Knees with hip, knee and ankle labelled.
    pub knees: usize,
}

/// Knee flexion in the picture, degrees: 0 for a straight leg, 180 for one folded onto itself. `None` where two of the
/// joints coincide or one is no number.
pub fn knee_angle(hip: [f64; 2], knee: [f64; 2], ankle: [f64; 2]) -> Option<f64> {
    let (ux, uy) = (knee[0] - hip[0], knee[1] - hip[1]);
    let (vx, vy) = (ankle[0] - knee[0], ankle[1] - knee[1]);
    let lengths = ux.hypot(uy) * vx.hypot(vy);
    // The angle between thigh and shank, both pointing down.
    let angle = (ux * vy - uy * vx).abs().atan2(ux * vx + uy * vy);
    (lengths > 0.0).then(|| angle.to_degrees())
}

#[derive(Default)]
pub(crate) struct Sums {
    /// Distances in units of the body's size, infinite for people who were missed.
    all: Vec<f64>,
    visible: Vec<f64>,
    distance: Mean,
    people: usize,
    found: usize,
    in_picture: Mean,
    in_space: Mean,
    of_projection: Mean,
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn get(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Sums {
    /// The mean joint error of the frame, pixels; `None` where nobody who counts was found.
    pub fn add(&mut self, frame: &Frame, rules: &Rules) -> Option<f64> {
        let mut of_frame = Mean::default();
        for (actual, found) in pairs(frame, rules) {
            self.people += 1;
            self.found += usize::from(found.is_some());
            let size = actual.bbox[2].max(actual.bbox[3]).max(f64::MIN_POSITIVE);
            for (i, joint) in actual.keypoints.iter().enumerate() {
                if joint[2] <= 0.0 {
                    continue;
                }
                let distance = found
                    .and_then(|f| f.keypoints.get(i))
                    .map_or(f64::INFINITY, |f| distance(f, joint));
                self.all.push(distance / size);
                if joint[2] >= 2.0 {
                    self.visible.push(distance / size);
                }
                if distance.is_finite() {
                    self.distance.add(distance);
                    of_frame.add(distance);
                }
            }
            if let Some(found) = found {
                self.add_knees(actual, found);
            }
        }
        of_frame.get()
    }

    fn add_knees(&mut self, actual: &Actual, found: &Found) {
        if actual.keypoints.len() != COCO_KEYPOINTS || found.keypoints.len() != COCO_KEYPOINTS {
            return;
        }
        for (side, leg) in LEGS.into_iter().enumerate() {
            if leg.iter().any(|j| actual.keypoints[*j][2] <= 0.0) {
                continue;
            }
            let (Some(seen), Some(true_)) =
                (angle(&found.keypoints, leg), angle(&actual.keypoints, leg))
            else {
                continue;
            };
            self.in_picture.add((seen - true_).abs());
            if let Some(flexion) = actual.knee_flexion {
                self.in_space.add((seen - flexion[side]).abs());
                self.of_projection.add((true_ - flexion[side]).abs());
            }
        }
    }

    pub fn finish(&self, rules: &Rules) -> Pose {
        let pck = |within: f64| Pck {
            within,
            all: share(&self.all, within),
            visible: share(&self.visible, within),
        };
        let shares = (0..CURVE).map(|i| i as f64 / 100.0);
        Pose {
            pck: rules.pck.iter().map(|w| pck(*w)).collect(),
            pck_curve: shares.filter_map(|w| share(&self.all, w)).collect(),
            joint_error: self.distance.get(),
            people: self.people,
            found: self.found,
            knee: Knee {
                in_picture: self.in_picture.get(),
                in_space: self.in_space.get(),
                of_projection: self.of_projection.get(),
                knees: self.in_picture.count,
            },
        }
    }
}

fn share(distances: &[f64], within: f64) -> Option<f64> {
    let close = distances.iter().filter(|d| **d <= within).count();
    (!distances.is_empty()).then(|| close as f64 / distances.len() as f64)
}

fn angle(keypoints: &[[f64; 3]], [hip, knee, ankle]: [usize; 3]) -> Option<f64> {
    let point = |i: usize| [keypoints[i][0], keypoints[i][1]];
    knee_angle(point(hip), point(knee), point(ankle))
}

fn distance(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The people who count, each with the found one that the pairing of least mean joint distances gives it. Ignored
/// people take part in the pairing, so that nobody is compared with someone else's answer.
fn pairs<'a>(frame: &'a Frame, rules: &Rules) -> Vec<(&'a Actual, Option<&'a Found>)> {
    let actual: Vec<&Actual> = frame.actual.iter().filter(|a| a.has_pose()).collect();
    let found: Vec<&Found> = frame
        .found
        .iter()
        .filter(|f| f.score >= rules.score && !f.keypoints.is_empty())
        .collect();
    let of_actual = assign(actual.len(), found.len(), |a, f| {
        mean_distance(actual[a], found[f])
    });
    actual
        .into_iter()
        .zip(of_actual)
        .filter(|(a, _)| !a.ignore)
        .map(|(a, f)| (a, f.map(|f| found[f])))
        .collect()
}

/// Over the labelled joints, pixels.
fn mean_distance(actual: &Actual, found: &Found) -> f64 {
    let mut mean = Mean::default();
    for (a, f) in actual.keypoints.iter().zip(&found.keypoints) {
        if a[2] > 0.0 {
            mean.add(distance(a, f));
        }
    }
    mean.get()
        .filter(|d| d.is_finite())
        .unwrap_or(f64::MAX / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(offset: f64, visibility: f64) -> Vec<[f64; 3]> {
        (0..17)
            .map(|i| [f64::from(i) * 10.0 + offset, f64::from(i % 3), visibility])
            .collect()
    }

    fn found(keypoints: Vec<[f64; 3]>, score: f64) -> Found {
        Found {
            score,
            keypoints,
            ..Found::default()
        }
    }

    fn actual(keypoints: Vec<[f64; 3]>) -> Actual {
        Actual {
            bbox: [0.0, 0.0, 50.0, 100.0],
            keypoints,
            ..Actual::default()
        }
    }

    fn pose(found: Vec<Found>, actual: Vec<Actual>) -> Pose {
        let rules = Rules {
            score: 0.5,
            ..Rules::default()
        };
        let mut sums = Sums::default();
        sums.add(
            &Frame {
                number: 0,
                found,
                actual,
            },
            &rules,
        );
        sums.finish(&rules)
    }

    #[test]
    fn flexion_by_hand() {
        let angle = |a| knee_angle([0.0, 0.0], [0.0, 1.0], a).unwrap();
        assert_eq!(angle([0.0, 2.0]), 0.0);
        assert!((angle([1.0, 1.0]) - 90.0).abs() < 1e-12);
        assert!((angle([-1.0, 1.0]) - 90.0).abs() < 1e-12);
        assert!((angle([1.0, 2.0]) - 45.0).abs() < 1e-12);
        assert!((angle([0.0, 0.0]) - 180.0).abs() < 1e-12);
        assert_eq!(knee_angle([0.0; 2], [0.0; 2], [1.0; 2]), None);
        assert_eq!(knee_angle([0.0; 2], [f64::NAN; 2], [1.0; 2]), None);
    }

    #[test]
    fn joints_are_found_within_a_share_of_the_longer_side() {
        let mut joints = person(0.0, 2.0);
        joints[0][0] += 7.0; // of a body of 100
        joints[1][0] += 15.0;
        let mut truth = person(0.0, 2.0);
        truth[1][2] = 1.0; // hidden
        truth[16][2] = 0.0; // not labelled
        let pose = pose(vec![found(joints, 0.9)], vec![actual(truth)]);
        let pck = |i: usize| (pose.pck[i].all.unwrap(), pose.pck[i].visible.unwrap());
        assert_eq!(pck(0), (14.0 / 16.0, 14.0 / 15.0));
        assert_eq!(pck(1), (15.0 / 16.0, 1.0));
        assert_eq!(pck(2), (1.0, 1.0));
        assert_eq!(pose.joint_error, Some(22.0 / 16.0));
        assert_eq!(pose.pck_curve.len(), CURVE);
    }

    #[test]
    fn the_joints_of_a_missed_person_are_missed() {
        let pose = pose(
            vec![found(person(0.0, 1.0), 0.9), found(person(300.0, 1.0), 0.4)],
            vec![actual(person(0.0, 2.0)), actual(person(300.0, 2.0))],
        );
        assert_eq!(pose.pck[0].all, Some(0.5));
        assert_eq!(pose.joint_error, Some(0.0));
        assert_eq!((pose.people, pose.found), (2, 1));
    }

    #[test]
    fn an_ignored_person_takes_the_answer_that_is_theirs() {
        let mut other = actual(person(300.0, 2.0));
        other.ignore = true;
        let pose = pose(
            vec![found(person(301.0, 1.0), 0.9)],
            vec![actual(person(0.0, 2.0)), other],
        );
        assert_eq!((pose.people, pose.found), (1, 0));
    }

    #[test]
    fn knees_in_picture_and_in_space() {
        // Left leg straight down, right leg bent by 90 degrees.
        let mut truth = vec![[0.0, 0.0, 0.0]; 17];
        for (joint, x, y) in [(11, 0.0, 0.0), (13, 0.0, 10.0), (15, 0.0, 20.0)] {
            truth[joint] = [x, y, 2.0];
        }
        for (joint, x, y) in [(12, 5.0, 0.0), (14, 5.0, 10.0), (16, 15.0, 10.0)] {
            truth[joint] = [x, y, 2.0];
        }
        let mut seen = truth.clone();
        seen[15] = [10.0, 20.0, 1.0]; // 45 degrees
        let mut person = actual(truth);
        person.knee_flexion = Some([3.0, 100.0]);
        let knee = pose(vec![found(seen, 0.9)], vec![person]).knee;
        assert_eq!(knee.knees, 2);
        assert!((knee.in_picture.unwrap() - 22.5).abs() < 1e-9);
        assert!((knee.in_space.unwrap() - f64::midpoint(42.0, 10.0)).abs() < 1e-9);
        assert!((knee.of_projection.unwrap() - f64::midpoint(3.0, 10.0)).abs() < 1e-9);
    }
}
