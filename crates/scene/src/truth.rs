// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is really there: the exact answer for one frame.

use crate::stage::Box4;
use serde::Serialize;

/// The 17 keypoints in the order of the COCO data set.
pub const JOINT_NAMES: [&str; 17] = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
];

/// The truth about one frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// Counted from 0.
    pub frame: u64,
    /// Seconds from the start.
    pub time: f64,
    /// The preset of the domain in force.
    pub domain: String,
    pub objects: Vec<TruthObject>,
}

/// One object that is at least partly inside the picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TruthObject {
    /// `person`, `car`, `van`, `truck` or `bus`.
    pub label: &'static str,
    /// Identity, the same in every frame.
    pub track: u64,
    /// x, y, width, height in pixels: the whole object also where something hides it, cut at the
    /// picture's edges; shadows and the glow of lamps do not count.
    #[serde(rename = "box")]
    pub box_: Box4,
    /// Share of the silhouette that is inside the picture and not hidden, 0–1.
    pub visible: f32,
    /// Whether it moved since the frame before (parked cars do not).
    pub moving: bool,
    /// For people: 17 joints; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keypoints: Vec<Keypoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gait: Option<Gait>,
}

/// A joint in pixels; also where it lies outside the picture or behind something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    pub x: f32,
    pub y: f32,
    /// As in COCO: 0 outside the picture, 1 inside but hidden, 2 visible.
    pub visibility: u8,
}

impl Serialize for Keypoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.x, self.y, self.visibility).serialize(serializer)
    }
}

/// The state of a person's legs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gait {
    /// Knee flexion in degrees, left and right: 0 is a straight leg.
    pub knee_flexion: [f32; 2],
    /// Place in the left leg's gait cycle, 0–1 from heel strike to heel strike; absent when not walking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<f32>,
    /// `walk`, `turn`, `stand`, `sit` or `raise`.
    pub action: &'static str,
}

impl Truth {
    /// One line of JSON without the line break.
    pub fn to_json(&self) -> String {
        json(self)
    }

    /// The same for a frame that is a file of its own, with `file` as its name.
    pub fn to_json_of_file(&self, file: &str) -> String {
        #[derive(Serialize)]
        struct InFile<'a> {
            file: &'a str,
            #[serde(flatten)]
            truth: &'a Truth,
        }
        json(&InFile { file, truth: self })
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
}
