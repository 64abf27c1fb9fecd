// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The real models find on real videos what is there. Skipped, with a printed line, where data or tools are absent.

mod common;

use std::collections::HashMap;
use std::path::Path;

use common::{Real, Video, data};

/// Boxes (x0, y0, x1, y1) of the moving cars by frame number from 0.
fn truth(data: &Path) -> HashMap<usize, Vec<[f32; 4]>> {
    let text = std::fs::read_to_string(data.join("truth/car-detection.machine_boxes.txt")).unwrap();
    let mut boxes: HashMap<usize, Vec<[f32; 4]>> = HashMap::new();
    for line in text.lines() {
        let v: Vec<f32> = line.split(',').map(|x| x.parse().unwrap()).collect();
        let corners = [v[2], v[3], v[2] + v[4], v[3] + v[5]];
        boxes.entry(v[0] as usize - 1).or_default().push(corners);
    }
    boxes
}

fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let both = [
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ];
    area(both) / (area(a) + area(b) - area(both))
}

/// Recall and precision at IoU 0.5, any class, on the frames that have cars and every eighth of the others.
fn score(model: &mut Real, video: &Video, truth: &HashMap<usize, Vec<[f32; 4]>>) -> (f32, f32) {
    let (mut hits, mut wanted, mut found) = (0, 0, 0);
    for i in 0..video.frames.len() {
        let mut left = truth.get(&i).cloned().unwrap_or_default();
        if left.is_empty() && i % 8 != 0 {
            continue;
        }
        wanted += left.len();
        for object in model.objects(&video.frame(i)) {
            found += 1;
            let best = (0..left.len())
                .max_by(|a, b| {
                    let overlap = |i: &usize| iou(left[*i], object.corners());
                    overlap(a).total_cmp(&overlap(b))
                })
                .filter(|b| iou(left[*b], object.corners()) >= 0.5);
            if let Some(b) = best {
                left.swap_remove(b);
                hits += 1;
            }
        }
    }
    println!("{hits} of {wanted} cars, {found} boxes");
    (hits as f32 / wanted as f32, hits as f32 / found as f32)
}

/// Runs a detector over the car video; sidecar or guess must come to the same.
fn finds_cars(name: &str, least_recall: f32, least_precision: f32) {
    let Some(data) = data() else { return };
    let file = data.join("videos/car-detection.mp4");
    let Some(video) = Video::decode(&file, [768, 432], &[]) else {
        return;
    };
    assert_eq!(video.frames.len(), 377);
    let Some(mut said) = Real::load(&data, name, true) else {
        return;
    };
    let guessed = Real::load(&data, name, false).unwrap();
    assert_eq!(said.info.input, guessed.info.input);
    assert_eq!(said.info.head, guessed.info.head);
    assert_eq!(said.info.labels, guessed.info.labels);
    // From so high up a car may look like a phone: count boxes, not names.
    said.change(|info| info.head.class_agnostic = true);
    let (recall, precision) = score(&mut said, &video, &truth(&data));
    println!("{name}: recall {recall:.3}, precision {precision:.3}");
    assert!(recall >= least_recall, "recall {recall}");
    assert!(precision >= least_precision, "precision {precision}");
}

#[test]
fn fastestdet_finds_the_cars() {
    finds_cars("FastestDet", 0.65, 0.9);
}

#[test]
fn yolox_finds_the_cars() {
    finds_cars("yolox_nano_416", 0.58, 0.95);
}

/// Someone walks through the middle of these frames.
fn person_video(data: &Path) -> Option<Video> {
    let file = data.join("videos/one-by-one-person-detection.mp4");
    let select = "select=between(n\\,130\\,190)*not(mod(n\\,10))";
    Video::decode(&file, [768, 432], &["-vf", select, "-vsync", "0"])
}

#[test]
fn every_movenet_finds_the_person_where_the_person_detector_does() {
    let Some(data) = data() else { return };
    let Some(video) = person_video(&data) else {
        return;
    };
    let Some(mut detector) = Real::load(&data, "light_person_detector_192", true) else {
        return;
    };
    for name in [
        "movenet_lightning_f32_128",
        "movenet_lightning_f32_192",
        "movenet_lightning_f32_256",
        "movenet_lightning_qdq",
    ] {
        let mut pose = Real::load(&data, name, true).unwrap();
        let guessed = Real::load(&data, name, false).unwrap();
        assert_eq!(pose.info.input, guessed.info.input);
        assert_eq!(pose.info.head, guessed.info.head);
        assert_eq!(pose.info.keypoints, guessed.info.keypoints);
        let mut together = 0;
        for i in 0..video.frames.len() {
            let people = detector.objects(&video.frame(i));
            let poses = pose.objects(&video.frame(i));
            let (Some(seen), Some(person)) = (people.first(), poses.first()) else {
                continue;
            };
            assert_eq!(person.keypoints.len(), 17);
            let [x0, y0, x1, y1] = seen.corners();
            let margin = 0.15 * (y1 - y0);
            let inside = person
                .keypoints
                .iter()
                .filter(|p| {
                    (x0 - margin..x1 + margin).contains(&p[0])
                        && (y0 - margin..y1 + margin).contains(&p[1])
                })
                .count();
            together += usize::from(person.score > 0.3 && inside >= 15);
        }
        println!("{name}: {together} of {}", video.frames.len());
        assert!(
            together * 10 >= video.frames.len() * 8,
            "{name}: {together}"
        );
    }
}

#[test]
fn mobilenets_know_a_cat_and_a_bird() {
    let Some(data) = data() else { return };
    for (image, words) in [
        ("cat.bmp", &["cat", "tabby"][..]),
        ("bird.bmp", &["chickadee", "bird"]),
    ] {
        let file = data.join("images").join(image);
        let Some(video) = Video::decode(&file, [320, 240], &["-vf", "scale=320:240"]) else {
            return;
        };
        for name in ["mobilenet_v1_0.25_128_f32", "mobilenet_v2_1.0_224_f32"] {
            let Some(mut model) = Real::load(&data, name, true) else {
                return;
            };
            let classes = model.objects(&video.frame(0));
            let labels: Vec<_> = classes.iter().map(|c| c.label.as_str()).collect();
            println!("{name} {image}: {labels:?} {}", classes[0].score);
            assert_eq!(labels.len(), 3);
            let [x, y, w, h] = classes[0].box_;
            assert!(x == 0.0 && y == 0.0 && (w - 320.0).abs() < 0.01 && (h - 240.0).abs() < 0.01);
            // The small one may be wrong, but not by much.
            assert!(
                name.contains("v1") || labels.iter().any(|l| words.iter().any(|w| l.contains(w))),
                "{labels:?}"
            );
        }
    }
}

#[test]
fn blazepose_finds_the_person_in_a_crop() {
    let Some(data) = data() else { return };
    let file = data.join("videos/asl-walk.mkv");
    let Some(video) = Video::decode(
        &file,
        [480, 480],
        &["-vf", "crop=480:480", "-frames:v", "5"],
    ) else {
        return;
    };
    let Some(mut model) = Real::load(&data, "blazepose_landmark_lite", true) else {
        return;
    };
    let guessed = Real::load(&data, "blazepose_landmark_lite", false).unwrap();
    assert_eq!(model.info.head.roles, guessed.info.head.roles);
    let people = model.objects(&video.frame(4));
    let [person] = people.as_slice() else {
        panic!("{people:?}")
    };
    let at = |name: &str| {
        let i = model.info.keypoints.iter().position(|k| k == name).unwrap();
        person.keypoints[i]
    };
    println!("{} {:?}", person.score, person.box_);
    let (nose, left, right) = (at("nose"), at("left_shoulder"), at("right_shoulder"));
    assert!(nose[2] > 0.5 && left[2] > 0.5 && right[2] > 0.5);
    // Facing the camera, the nose is above and between the shoulders, the left one on the right of the picture.
    assert!(nose[1] < left[1] && nose[1] < right[1]);
    assert!(right[0] < nose[0] && nose[0] < left[0]);
}
