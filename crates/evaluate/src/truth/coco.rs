// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! COCO's annotation JSON: <https://cocodataset.org/#format-data>.

use super::{Truth, TruthError};
use crate::frame::Actual;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: Option<String>,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
    #[serde(default)]
    ignore: u8,
    #[serde(default)]
    keypoints: Vec<f64>,
    track_id: Option<u64>,
}

pub(super) fn read(text: &str) -> Result<Truth, TruthError> {
    let file: File = serde_json::from_str(text)
        .map_err(|e| TruthError::Whole(format!("not COCO annotations: {e}")))?;
    let names: BTreeMap<u64, String> = file
        .categories
        .into_iter()
        .map(|c| (c.id, c.name))
        .collect();
    let mut frames: BTreeMap<u64, Vec<Actual>> = BTreeMap::new();
    let mut files = BTreeMap::new();
    for image in file.images {
        if let Some(name) = image.file_name {
            files.insert(name, image.id);
        }
        if frames.insert(image.id, Vec::new()).is_some() {
            return Err(TruthError::Whole(format!(
                "image {} is listed twice",
                image.id
            )));
        }
    }
    for (i, annotation) in file.annotations.into_iter().enumerate() {
        let problem = |what: String| TruthError::Whole(format!("annotation {i} (from 0): {what}"));
        let frame = frames
            .get_mut(&annotation.image_id)
            .ok_or_else(|| problem(format!("there is no image {}", annotation.image_id)))?;
        let label = names
            .get(&annotation.category_id)
            .ok_or_else(|| problem(format!("there is no category {}", annotation.category_id)))?;
        frame.push(actual(annotation, label).map_err(problem)?);
    }
    Ok(Truth {
        frames,
        files,
        ..Truth::default()
    })
}

fn actual(annotation: Annotation, label: &str) -> Result<Actual, String> {
    let (keypoints, rest) = annotation.keypoints.as_chunks::<3>();
    if !rest.is_empty() {
        let n = annotation.keypoints.len();
        return Err(format!("{n} numbers of keypoints are not x, y, v each"));
    }
    let crowd = annotation.iscrowd != 0;
    Ok(Actual {
        label: label.to_owned(),
        bbox: annotation.bbox,
        area: annotation.area,
        ignore: crowd || annotation.ignore != 0,
        crowd,
        keypoints: keypoints.to_vec(),
        track: annotation.track_id,
        ..Actual::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "images": [{"id": 0, "file_name": "a.jpg"}, {"id": 7}],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 10.5, "iscrowd": 1},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [5, 6, 7, 8], "keypoints": [1, 2, 2, 0, 0, 0]}
        ]
    }"#;

    #[test]
    fn annotations_stand_on_their_frames() {
        let truth = read(FILE).unwrap();
        assert_eq!(truth.on(0), Some(&[][..]));
        assert_eq!(truth.on(1), None);
        assert_eq!(truth.files, BTreeMap::from([("a.jpg".to_owned(), 0)]));
        let [crowd, pose] = truth.on(7).unwrap() else {
            panic!("two objects")
        };
        assert_eq!((crowd.label.as_str(), crowd.area()), ("car", 10.5));
        assert!(crowd.ignore && crowd.crowd && !pose.ignore);
        assert_eq!(pose.keypoints, [[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]);
        assert_eq!(pose.area(), 56.0);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (from, to, said) in [
            (
                "\"image_id\": 7",
                "\"image_id\": 8",
                "annotation 0 (from 0): there is no image 8",
            ),
            ("\"id\": 3", "\"id\": 4", "no category 3"),
            ("0, 0, 0]", "0, 0]", "5 numbers"),
            ("\"id\": 0", "\"id\": 7", "image 7 is listed twice"),
            ("[1, 2, 3, 4]", "[1, 2, 3]", "line 5"),
        ] {
            let e = read(&FILE.replace(from, to)).unwrap_err().to_string();
            assert!(e.contains(said), "{e}");
        }
    }
}
