// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! All figures of a sequence.

use crate::average_precision::{AveragePrecision, By, by_class, mean};
use crate::boxes::{self, Boxes};
use crate::frame::Frame;
use crate::pose::{self, Pose};
use crate::rules::Rules;
use crate::tracking::{self, Tracking};
use serde::Serialize;
use std::collections::BTreeMap;

/// How good the results of a sequence are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub frames: usize,
    pub detection: Detection,
    /// Where results or truth have keypoints.
    pub pose: Option<PoseFigures>,
    /// Where results and truth have identities.
    pub tracking: Option<Tracking>,
    /// Errors frame by frame.
    pub moments: Vec<Moment>,
}

/// Boxes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Detection {
    /// Mean over the classes, at IoU 0.50 to 0.95 (COCO's AP).
    pub ap: Option<f64>,
    pub ap50: Option<f64>,
    pub ap75: Option<f64>,
    /// Whatever the label.
    pub any_label: AveragePrecision,
    pub classes: BTreeMap<String, AveragePrecision>,
    /// Mean over the classes, at IoU 0.5 and recalls 0, 0.01, …, 1.
    pub precision: Vec<f64>,
    pub boxes: Boxes,
}

/// Keypoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoseFigures {
    /// Mean over the classes, at OKS 0.50 to 0.95 (COCO's keypoint AP).
    pub ap: Option<f64>,
    pub ap50: Option<f64>,
    pub ap75: Option<f64>,
    /// At OKS 0.5 and recalls 0, 0.01, …, 1.
    pub precision: Vec<f64>,
    #[serde(flatten)]
    pub joints: Pose,
}

/// Errors of one frame; `None` where nothing defines them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Moment {
    pub frame: u64,
    /// Objects.
    pub count_error: f64,
    /// Pixels.
    pub box_mae: Option<f64>,
    /// Pixels.
    pub joint_error: Option<f64>,
}

/// Compares what was found with what is there.
///
/// The order of the frames matters to tracking and, among equal scores, to AP.
pub fn evaluate(frames: &[Frame], rules: &Rules) -> Figures {
    let mut boxes = boxes::Sums::default();
    let mut joints = pose::Sums::default();
    let mut tracks = tracking::Sums::default();
    let mut moments = Vec::with_capacity(frames.len());
    for frame in frames {
        let of_boxes = boxes.add(frame, rules);
        tracks.add(frame, rules);
        moments.push(Moment {
            frame: frame.number,
            count_error: of_boxes.count_error,
            box_mae: of_boxes.mae,
            joint_error: joints.add(frame, rules),
        });
    }
    Figures {
        frames: frames.len(),
        detection: detection(frames, boxes.finish()),
        pose: has_poses(frames).then(|| pose_figures(frames, joints.finish(rules))),
        tracking: has_tracks(frames).then(|| tracks.finish()),
        moments,
    }
}

fn detection(frames: &[Frame], boxes: Boxes) -> Detection {
    let classes = by_class(frames, By::Box, false);
    let over = mean(&classes);
    Detection {
        ap: over.ap,
        ap50: over.ap50,
        ap75: over.ap75,
        any_label: by_class(frames, By::Box, true)
            .into_values()
            .next()
            .unwrap_or_default(),
        classes,
        precision: over.precision,
        boxes,
    }
}

fn pose_figures(frames: &[Frame], joints: Pose) -> PoseFigures {
    let over = mean(&by_class(frames, By::Keypoints, false));
    PoseFigures {
        ap: over.ap,
        ap50: over.ap50,
        ap75: over.ap75,
        precision: over.precision,
        joints,
    }
}

fn has_poses(frames: &[Frame]) -> bool {
    let mut objects = frames.iter().flat_map(|f| &f.actual);
    objects.any(|a| a.has_pose())
}

fn has_tracks(frames: &[Frame]) -> bool {
    let mut found = frames.iter().flat_map(|f| &f.found);
    let mut actual = frames.iter().flat_map(|f| &f.actual);
    found.any(|f| f.track.is_some()) && actual.any(|a| a.track.is_some())
}
