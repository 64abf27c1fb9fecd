// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One picture: what was found on it, and what is there.

/// One thing that a model found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub label: String,
    /// Only its order counts, and whether it reaches the threshold of the operating point.
    pub score: f64,
    /// x, y, width, height in pixels.
    pub bbox: [f64; 4],
    /// x, y in pixels, score; empty for models without.
    pub keypoints: Vec<[f64; 3]>,
    /// Identity across frames.
    pub track: Option<u64>,
    /// Outside what is asked for: no false alarm when it matches nothing (COCO's area ranges do the same).
    pub small: bool,
}

/// One thing that is really there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    pub label: String,
    /// x, y, width, height in pixels.
    pub bbox: [f64; 4],
    /// Square pixels, the scale of OKS; `None`: that of the box.
    pub area: Option<f64>,
    /// Neither asked for nor held against the model: finding it is no hit, missing it no miss.
    pub ignore: bool,
    /// A region of many objects, with ignore: it may be found any number of times, and what lies inside it counts as
    /// overlapping it wholly.
    pub crowd: bool,
    /// x, y in pixels, COCO's visibility: 0 not labelled, 1 labelled but hidden, 2 visible.
    pub keypoints: Vec<[f64; 3]>,
    /// Identity across frames.
    pub track: Option<u64>,
    /// Share that is visible, 0 to 1, where that is known.
    pub visible: Option<f64>,
    /// Left and right knee flexion in space, degrees, 0 for a straight leg, where that is known.
    pub knee_flexion: Option<[f64; 2]>,
}

impl Actual {
    /// Square pixels.
    pub fn area(&self) -> f64 {
        self.area.unwrap_or(self.bbox[2] * self.bbox[3])
    }

    /// Whether any keypoint is labelled.
    pub fn has_pose(&self) -> bool {
        self.keypoints.iter().any(|k| k[2] > 0.0)
    }
}

/// A picture of a sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Its place in the sequence, from 0.
    pub number: u64,
    pub found: Vec<Found>,
    pub actual: Vec<Actual>,
}
