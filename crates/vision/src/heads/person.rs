// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From keypoints to a person.

use super::select::reaches;
use crate::Object;
use crate::modelinfo::ModelInfo;

/// A person with these keypoints (x, y in pixels of the picture, score); none if the mean score of the keypoints is
/// below the threshold or no keypoint is visible.
///
/// The box is that of the visible keypoints.
pub(super) fn person(info: &ModelInfo, keypoints: Vec<[f32; 3]>) -> Option<Object> {
    let n = keypoints.len().max(1) as f32;
    let keypoints = sane(keypoints);
    let score = keypoints.iter().map(|p| p[2]).sum::<f32>() / n;
    scored_person(info, keypoints, score)
}

/// The same where the model itself says how sure it is that there is a person.
pub(super) fn scored_person(
    info: &ModelInfo,
    keypoints: Vec<[f32; 3]>,
    score: f32,
) -> Option<Object> {
    let keypoints = sane(keypoints);
    if !reaches(score, info.head.score_threshold) {
        return None;
    }
    let visible = keypoints
        .iter()
        .filter(|p| p[2] >= info.head.keypoint_threshold);
    let corners = visible.fold(None, |corners: Option<[f32; 4]>, p| {
        let [x0, y0, x1, y1] = corners.unwrap_or([p[0], p[1], p[0], p[1]]);
        Some([x0.min(p[0]), y0.min(p[1]), x1.max(p[0]), y1.max(p[1])])
    });
    let [x0, y0, x1, y1] = corners?;
    Some(Object {
        class: 0,
        label: info.label(0),
        score: score.min(1.0),
        box_: [x0, y0, x1 - x0, y1 - y0],
        keypoints,
        ..Object::default()
    })
}

/// Scores within 0 to 1; a point that is not a number scores 0.
fn sane(mut keypoints: Vec<[f32; 3]>) -> Vec<[f32; 3]> {
    for p in &mut keypoints {
        *p = if p.iter().all(|x| x.is_finite()) {
            [p[0], p[1], p[2].clamp(0.0, 1.0)]
        } else {
            [0.0; 3]
        };
    }
    keypoints
}
