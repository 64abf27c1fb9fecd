// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

/// One thing a model found: a box with a class, a person with keypoints, or the class of the whole picture.
///
/// Coordinates are continuous pixels: pixel `i` covers `[i, i + 1)`. They are pixels of the [`Picture`](crate::Picture)
/// as [`Head::read`](crate::Head::read) returns them, and of the frame after
/// [`Placement::to_frame`](crate::Placement::to_frame).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Index of the class in the model's label list.
    pub class: u32,
    /// The name of the class; `class N` where the model has no labels.
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    /// x, y of the top left corner, width, height.
    pub box_: [f32; 4],
    /// Identity over time, if something tracks.
    pub track: Option<u64>,
    /// x, y, score of each keypoint, in the order of [`ModelInfo::keypoints`](crate::ModelInfo).
    pub keypoints: Vec<[f32; 3]>,
    /// The estimated quality of this prediction, if something estimates it.
    pub quality: Option<f32>,
}

impl Object {
    /// The box as x0, y0, x1, y1.
    pub fn corners(&self) -> [f32; 4] {
        let [x, y, w, h] = self.box_;
        [x, y, x + w, y + h]
    }
}
