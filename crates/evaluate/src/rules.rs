// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What counts, and how it is counted.

use crate::{Actual, Found, Frame};

/// How results are compared with truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Score from which an object counts in the figures of an operating point (all but AP).
    pub score: f64,
    /// Pixels: what a missed object, a false one, and a pair further apart costs in the box error.
    pub cutoff: f64,
    /// Shares of body size for PCK.
    pub pck: Vec<f64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            score: 0.0,
            cutoff: 100.0,
            pck: vec![0.05, 0.1, 0.2],
        }
    }
}

/// Which true objects are not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ignore {
    /// Pixels: objects whose shorter side is below are ignored.
    pub min_size: f64,
    /// Objects of which a smaller share is visible are ignored, where that is known.
    pub min_visible: f64,
    /// Only the true object with the largest box counts (for models that answer one person).
    pub largest: bool,
}

impl Ignore {
    /// Marks what is to be ignored in a frame.
    pub fn apply(&self, frame: &mut Frame) {
        let small = |bbox: &[f64; 4]| bbox[2].min(bbox[3]) < self.min_size;
        for object in &mut frame.actual {
            let hidden = object.visible.is_some_and(|v| v < self.min_visible);
            object.ignore |= hidden || small(&object.bbox);
        }
        for object in &mut frame.found {
            object.small |= small(&object.bbox) && !is_pose(object);
        }
        if self.largest {
            keep_largest(&mut frame.actual);
        }
    }
}

/// The box of a pose is that of its visible keypoints and says little about the person's size.
fn is_pose(found: &Found) -> bool {
    !found.keypoints.is_empty()
}

fn keep_largest(actual: &mut [Actual]) {
    let area = |o: &Actual| o.bbox[2] * o.bbox[3];
    let largest = (0..actual.len())
        .filter(|i| !actual[*i].ignore)
        .max_by(|a, b| area(&actual[*a]).total_cmp(&area(&actual[*b])));
    for (i, object) in actual.iter_mut().enumerate() {
        object.ignore |= Some(i) != largest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actual(width: f64, height: f64, visible: Option<f64>) -> Actual {
        Actual {
            bbox: [0.0, 0.0, width, height],
            visible,
            ..Actual::default()
        }
    }

    fn ignored(ignore: Ignore, actual: Vec<Actual>) -> Vec<bool> {
        let mut frame = Frame {
            actual,
            ..Frame::default()
        };
        ignore.apply(&mut frame);
        frame.actual.iter().map(|a| a.ignore).collect()
    }

    #[test]
    fn small_and_hidden_objects_are_ignored() {
        let ignore = Ignore {
            min_size: 10.0,
            min_visible: 0.3,
            largest: false,
        };
        let objects = vec![
            actual(10.0, 10.0, None),
            actual(9.0, 100.0, None),
            actual(50.0, 50.0, Some(0.2)),
            actual(50.0, 50.0, Some(0.3)),
        ];
        assert_eq!(ignored(ignore, objects), [false, true, true, false]);
    }

    #[test]
    fn of_several_the_largest_that_counts_remains() {
        let ignore = Ignore {
            min_visible: 0.5,
            largest: true,
            ..Ignore::default()
        };
        let objects = vec![
            actual(90.0, 90.0, Some(0.1)),
            actual(20.0, 20.0, None),
            actual(30.0, 30.0, Some(1.0)),
        ];
        assert_eq!(ignored(ignore, objects), [true, true, false]);
    }
}
