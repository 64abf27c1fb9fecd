// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is really on a frame: from the metadata of `scenesrc`, or from boxes in a file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use splitinfer_vision::Placement;

/// One thing that is really there, in pixels of the model's picture.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthObject {
    /// x, y, width, height.
    pub box_: [f32; 4],
    /// False: neither asked for nor held against the model.
    pub counts: bool,
    /// x, y, and 0 where it lies outside the picture.
    pub keypoints: Vec<[f32; 3]>,
}

/// As the students were trained: smaller or more hidden ones do not count (models/recipe).
const SMALLEST: f32 = 6.0;
const LEAST_VISIBLE: f32 = 0.3;

#[derive(Deserialize)]
struct Scene {
    objects: Vec<SceneObject>,
}

#[derive(Deserialize)]
struct SceneObject {
    #[serde(rename = "box")]
    box_: [f32; 4],
    visible: f32,
    #[serde(default)]
    keypoints: Vec<[f32; 3]>,
}

/// The truth that `scenesrc` attached, if it did.
///
/// # Errors
/// When it cannot be read.
pub fn of_scene(buffer: &gst::BufferRef, place: &Placement) -> Result<Option<Vec<TruthObject>>> {
    let Ok(meta) = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferTruth") else {
        return Ok(None);
    };
    let json: String = meta
        .structure()
        .get("json")
        .context("a truth without its JSON")?;
    scene(&json, place).map(Some)
}

fn scene(json: &str, place: &Placement) -> Result<Vec<TruthObject>> {
    let scene: Scene = serde_json::from_str(json).context("the truth cannot be read")?;
    let object = |o: SceneObject| {
        let box_ = on_picture(o.box_, place);
        let keypoint = |[x, y, v]: [f32; 3]| {
            let [x, y] = place.point_to_picture([x, y]);
            [x, y, v]
        };
        TruthObject {
            box_,
            counts: box_[2].min(box_[3]) >= SMALLEST && o.visible >= LEAST_VISIBLE,
            keypoints: o.keypoints.into_iter().map(keypoint).collect(),
        }
    };
    Ok(scene.objects.into_iter().map(object).collect())
}

fn on_picture([x, y, w, h]: [f32; 4], place: &Placement) -> [f32; 4] {
    let [left, top] = place.point_to_picture([x, y]);
    let [right, bottom] = place.point_to_picture([x + w, y + h]);
    [left, top, right - left, bottom - top]
}

/// Boxes of a video in pixels of its frames, by number of the frame, from 1: the format of the MOT challenge.
#[derive(Default)]
pub struct Boxes(HashMap<usize, Vec<[f32; 4]>>);

impl Boxes {
    /// # Errors
    /// When the file cannot be read or is no such list.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut boxes: HashMap<usize, Vec<[f32; 4]>> = HashMap::new();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let numbers: Vec<f32> = line
                .split(',')
                .map(|n| n.trim().parse())
                .collect::<Result<_, _>>()
                .with_context(|| format!("`{line}`"))?;
            let [frame, _, x, y, w, h, ..] = numbers[..] else {
                anyhow::bail!("`{line}` has fewer than six numbers");
            };
            boxes.entry(frame as usize).or_default().push([x, y, w, h]);
        }
        Ok(Self(boxes))
    }

    pub fn of(&self, frame: usize, place: &Placement) -> Vec<TruthObject> {
        let boxes = self.0.get(&frame).into_iter().flatten();
        let object = |b: &[f32; 4]| TruthObject {
            box_: on_picture(*b, place),
            counts: true,
            keypoints: Vec::new(),
        };
        boxes.map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Placement = Placement {
        scale_x: 0.5,
        scale_y: 0.5,
        offset_x: 0.0,
        offset_y: 10.0,
        frame_width: 640.0,
        frame_height: 360.0,
    };

    #[test]
    fn boxes_of_a_file_belong_to_their_frames() {
        let boxes = Boxes::parse("57,1,306,394,152,38,1,-1,-1,-1\n57,2,0,0,2,2,1\n").unwrap();
        let found = boxes.of(57, &HALF);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].box_, [153.0, 207.0, 76.0, 19.0]);
        assert!(boxes.of(58, &HALF).is_empty());
        assert!(Boxes::parse("57,1,x").is_err());
    }

    #[test]
    fn small_and_hidden_things_of_a_scene_do_not_count() {
        let json = r#"{"frame":0,"objects":[
            {"label":"car","box":[10,10,20,20],"visible":1.0},
            {"label":"car","box":[10,10,20,20],"visible":0.2},
            {"label":"person","box":[10,10,4,40],"visible":1.0,"keypoints":[[100,20,2]]}]}"#;
        let found = scene(json, &HALF).unwrap();
        assert_eq!(
            found.iter().map(|o| o.counts).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(found[0].box_, [5.0, 15.0, 10.0, 10.0]);
        assert_eq!(found[2].keypoints, [[50.0, 20.0, 2.0]]);
    }
}
