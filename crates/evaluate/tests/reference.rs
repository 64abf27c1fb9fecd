// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The same figures as `pycocotools` and `motmetrics`, on random results with ties, empty frames, ignored objects,
//! crowds and too many answers. `fixtures/make.py` made the files and says with which versions.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use splitinfer_evaluate::{Actual, Figures, Found, Frame, Rules, evaluate};
use std::collections::BTreeMap;

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Picture {
    actual: Vec<Object>,
    found: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(default)]
struct Object {
    label: String,
    kind: String,
    score: f64,
    #[serde(rename = "box")]
    bbox: [f64; 4],
    area: Option<f64>,
    keypoints: Vec<[f64; 3]>,
    track: Option<u64>,
}

impl Default for Object {
    fn default() -> Self {
        Self {
            label: "person".into(),
            kind: "counts".into(),
            score: 1.0,
            bbox: [0.0; 4],
            area: None,
            keypoints: Vec::new(),
            track: None,
        }
    }
}

fn figures(pictures: Vec<Picture>) -> Figures {
    evaluate(&frames(pictures), &Rules::default())
}

fn frames(pictures: Vec<Picture>) -> Vec<Frame> {
    let actual = |o: Object| Actual {
        label: o.label,
        bbox: o.bbox,
        area: o.area,
        ignore: o.kind != "counts",
        crowd: o.kind == "crowd",
        keypoints: o.keypoints,
        track: o.track,
        ..Actual::default()
    };
    let found = |o: Object| Found {
        label: o.label,
        score: o.score,
        bbox: o.bbox,
        keypoints: o.keypoints,
        track: o.track,
        ..Found::default()
    };
    pictures
        .into_iter()
        .enumerate()
        .map(|(i, p)| Frame {
            number: i as u64,
            actual: p.actual.into_iter().map(actual).collect(),
            found: p.found.into_iter().map(found).collect(),
        })
        .collect()
}

#[track_caller]
fn same(ours: Option<f64>, reference: f64) {
    let ours = ours.unwrap();
    assert!(
        (ours - reference).abs() < 1e-9,
        "{ours}, but {reference} is right"
    );
}

#[derive(Deserialize)]
struct Ap {
    ap: f64,
    ap50: f64,
    #[serde(default)]
    ap75: f64,
}

#[derive(Deserialize)]
struct Boxes {
    frames: Vec<Picture>,
    #[serde(flatten)]
    over: Ap,
    classes: BTreeMap<String, Ap>,
    precision50: Vec<f64>,
    medium: f64,
    any: Ap,
}

#[test]
fn boxes_of_a_range_of_sizes_as_pycocotools() {
    let reference: Boxes = fixture("boxes");
    let mut frames = frames(reference.frames);
    let outside = |b: &[f64; 4]| !(1024.0..=9216.0).contains(&(b[2] * b[3]));
    for frame in &mut frames {
        frame
            .actual
            .iter_mut()
            .for_each(|a| a.ignore |= outside(&a.bbox));
        frame
            .found
            .iter_mut()
            .for_each(|f| f.small = outside(&f.bbox));
    }
    same(
        evaluate(&frames, &Rules::default()).detection.ap,
        reference.medium,
    );
}

#[test]
fn boxes_as_pycocotools() {
    let reference: Boxes = fixture("boxes");
    let ours = figures(reference.frames).detection;
    same(ours.ap, reference.over.ap);
    same(ours.ap50, reference.over.ap50);
    same(ours.ap75, reference.over.ap75);
    assert_eq!(ours.classes.len(), reference.classes.len());
    for (label, class) in reference.classes {
        same(ours.classes[&label].ap, class.ap);
        same(ours.classes[&label].ap50, class.ap50);
    }
    assert_eq!(ours.precision.len(), reference.precision50.len());
    for (ours, reference) in ours.precision.iter().zip(reference.precision50) {
        same(Some(*ours), reference);
    }
    same(ours.any_label.ap, reference.any.ap);
    same(ours.any_label.ap50, reference.any.ap50);
    same(ours.any_label.ap75, reference.any.ap75);
}

#[test]
fn keypoints_as_pycocotools() {
    #[derive(Deserialize)]
    struct Keypoints {
        frames: Vec<Picture>,
        #[serde(flatten)]
        over: Ap,
    }
    let reference: Keypoints = fixture("keypoints");
    let ours = figures(reference.frames).pose.unwrap();
    same(ours.ap, reference.over.ap);
    same(ours.ap50, reference.over.ap50);
    same(ours.ap75, reference.over.ap75);
}

#[test]
fn tracks_as_motmetrics() {
    #[derive(Deserialize)]
    struct Tracks {
        frames: Vec<Picture>,
        mota: f64,
        overlap: f64,
        idf1: f64,
        switches: usize,
        missed: usize,
        false_alarms: usize,
    }
    let reference: Tracks = fixture("tracks");
    let ours = figures(reference.frames).tracking.unwrap();
    assert_eq!(
        (ours.switches, ours.missed, ours.false_alarms),
        (reference.switches, reference.missed, reference.false_alarms)
    );
    same(ours.mota, reference.mota);
    same(ours.motp, reference.overlap);
    same(ours.idf1, reference.idf1);
}
