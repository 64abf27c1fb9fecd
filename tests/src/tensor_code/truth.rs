// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is really on a frame, in pixels of the model's picture: from the metadata of `scenesrc`, or from boxes in a
//! file.

use std::path::Path;

use anyhow::{Context, Result};
use splitinfer_evaluate::Actual;
use splitinfer_evaluate::truth::{Format, Truth, read, read_scene_frame};
use splitinfer_vision::Placement;

/// The truth that `scenesrc` attached, if it did.
///
/// # Errors
/// When it cannot be read.
pub fn of_scene(buffer: &gst::BufferRef, place: &Placement) -> Result<Option<Vec<Actual>>> {
    let Ok(meta) = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferTruth") else {
        return Ok(None);
    };
    let json: String = meta
        .structure()
        .get("json")
        .context("a truth without its JSON")?;
    let (_, _, actual) = read_scene_frame(&json)?;
    Ok(Some(on_picture(&actual, place)))
}

/// Boxes of a video in pixels of its frames: the format of the MOT challenge.
///
/// # Errors
/// When the file cannot be read or is no such list.
pub fn load(path: &Path) -> Result<Truth> {
    let what = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(what)?;
    read(&text, Format::Mot).with_context(what)
}

/// From pixels of the frame to pixels of the model's picture.
pub fn on_picture(actual: &[Actual], place: &Placement) -> Vec<Actual> {
    let point = |x: f64, y: f64| {
        let [x, y] = place.point_to_picture([x as f32, y as f32]);
        [f64::from(x), f64::from(y)]
    };
    let object = |o: &Actual| {
        let [x, y, w, h] = o.bbox;
        let ([left, top], [right, bottom]) = (point(x, y), point(x + w, y + h));
        let keypoint = |[x, y, visibility]: &[f64; 3]| {
            let [x, y] = point(*x, *y);
            [x, y, *visibility]
        };
        Actual {
            bbox: [left, top, right - left, bottom - top],
            keypoints: o.keypoints.iter().map(keypoint).collect(),
            ..o.clone()
        }
    };
    actual.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_lies_where_the_frame_lies_on_the_picture() {
        let half = Placement {
            scale_x: 0.5,
            scale_y: 0.5,
            offset_x: 0.0,
            offset_y: 10.0,
            frame_width: 640.0,
            frame_height: 360.0,
        };
        let person = Actual {
            bbox: [10.0, 10.0, 20.0, 20.0],
            visible: Some(0.5),
            keypoints: vec![[100.0, 20.0, 2.0]],
            ..Actual::default()
        };
        let moved = on_picture(std::slice::from_ref(&person), &half);
        let expected = Actual {
            bbox: [5.0, 15.0, 10.0, 10.0],
            keypoints: vec![[50.0, 20.0, 2.0]],
            ..person
        };
        assert_eq!(moved, [expected]);
    }
}
