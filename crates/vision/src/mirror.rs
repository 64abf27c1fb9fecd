// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The same picture seen in a mirror, and how well a model's two answers agree.
//!
//! A model that is sure of itself gives the mirror image of its answer to the mirror image of its picture; where it does
//! not, it is likely wrong. That needs no ground truth.

use crate::{ModelInfo, Object, Picture, Placement};

/// The picture with the frame on it flipped left to right where it lies, so that a letterbox's padding stays in place.
pub fn flip_picture(picture: &Picture, placement: &Placement) -> Picture {
    let width = picture.width as usize;
    let [x0, _, x1, _] = placement.content();
    let column = |x: f32| (x.round().max(0.0) as usize).min(width);
    let (x0, x1) = (column(x0), column(x1));
    let mut out = picture.clone();
    for row in out.rgb.chunks_exact_mut(width.max(1) * 3) {
        if let Some(content) = row.get_mut(x0 * 3..x1 * 3) {
            content.as_chunks_mut::<3>().0.reverse();
        }
    }
    out
}

/// Objects found on a [flipped picture](flip_picture) as they would lie on the picture itself: boxes and keypoints
/// flipped back, left and right joints exchanged.
pub fn flip_objects(objects: &mut [Object], placement: &Placement, info: &ModelInfo) {
    let [x0, _, x1, _] = placement.content();
    let axis = x0.round() + x1.round();
    let partner = info.mirrored_keypoints();
    for object in objects {
        object.box_[0] = axis - object.box_[0] - object.box_[2];
        for p in &mut object.keypoints {
            p[0] = axis - p[0];
        }
        if object.keypoints.len() == partner.len() {
            let flipped = object.keypoints.clone();
            for (point, from) in object.keypoints.iter_mut().zip(&partner) {
                *point = flipped[*from];
            }
        }
    }
}

/// How well two answers for the same picture agree, from 0 to 1; `None` if neither found anything.
///
/// The [`agreements`] of the objects of `a`, summed, over the larger number of objects.
pub fn agreement(a: &[Object], b: &[Object]) -> Option<f64> {
    let objects = a.len().max(b.len());
    (objects > 0).then(|| agreements(a, b).iter().sum::<f64>() / objects as f64)
}

/// How well each object of `a` agrees with its counterpart in `b`, from 0 to 1; 0 without one. Counterparts are the pairs
/// that agree best.
///
/// Keypoints: one minus the mean distance between corresponding points in units of the object's size (the longer side of
/// its box), weighted with the points' scores; what is farther apart than that counts as that far. Boxes of one class:
/// their overlap (intersection over union).
pub fn agreements(a: &[Object], b: &[Object]) -> Vec<f64> {
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate().filter(|(_, b)| b.class == a.class) {
            pairs.push((similarity(a, b), i, j));
        }
    }
    pairs.sort_by(|p, q| q.0.total_cmp(&p.0));
    let (mut of_a, mut used_a, mut used_b) = (
        vec![0.0; a.len()],
        vec![false; a.len()],
        vec![false; b.len()],
    );
    for (similarity, i, j) in pairs {
        if !used_a[i] && !used_b[j] {
            (used_a[i], used_b[j]) = (true, true);
            of_a[i] = similarity;
        }
    }
    of_a
}

/// The agreements of the objects of one frame, handed on to those of a later one that overlap them by half or more.
pub fn carried(agreements: &[f64], from: &[Object], to: &[Object]) -> Vec<Option<f64>> {
    let nearest = |object: &Object| {
        let overlap = |o: &Object| crate::nms::iou(o.corners(), object.corners());
        let pairs = from.iter().zip(agreements);
        pairs
            .map(|(o, agreement)| (overlap(o), *agreement))
            .filter(|(overlap, _)| *overlap >= 0.5)
            .max_by(|p, q| p.0.total_cmp(&q.0))
            .map(|(_, agreement)| agreement)
    };
    to.iter().map(nearest).collect()
}

fn similarity(a: &Object, b: &Object) -> f64 {
    match a.keypoints.is_empty() || a.keypoints.len() != b.keypoints.len() {
        true => f64::from(crate::nms::iou(a.corners(), b.corners())),
        false => keypoint_similarity(a, b),
    }
}

fn keypoint_similarity(a: &Object, b: &Object) -> f64 {
    let size = a.box_[2].max(a.box_[3]).max(1.0);
    let (mut sum, mut weights) = (0.0, 0.0);
    for (p, q) in a.keypoints.iter().zip(&b.keypoints) {
        let distance = ((p[0] - q[0]).hypot(p[1] - q[1]) / size).min(1.0);
        sum += f64::from(p[2] * distance);
        weights += f64::from(p[2]);
    }
    match weights > 0.0 && sum.is_finite() {
        true => (1.0 - sum / weights).clamp(0.0, 1.0),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pose_info() -> ModelInfo {
        let text = "[modelinfo]\nversion=1.0\n[x]\ndir=input\ntype=uint8\ndims=1,4,8,3\n\
                    [y]\ndir=output\ntype=float32\ndims=1,1,3,3\n\
                    [splitinfer]\nhead=keypoints\nkeypoints=nose;left_eye;right_eye\n";
        ModelInfo::parse(text).unwrap()
    }

    fn placement() -> Placement {
        // A frame of 12 x 8 drawn 6 pixels wide at the left of a picture of 8 x 4.
        Placement::from_f32x6([0.5, 0.5, 0.0, 0.0, 12.0, 8.0]).unwrap()
    }

    #[test]
    fn a_flipped_picture_flips_back_and_its_padding_stays() {
        let rgb: Vec<u8> = (0..96).collect();
        let picture = Picture::new(8, 4, rgb).unwrap();
        let flipped = flip_picture(&picture, &placement());
        assert_eq!(flipped.rgb[..3], picture.rgb[15..18]);
        assert_eq!(flipped.rgb[18..24], picture.rgb[18..24]);
        assert_eq!(flip_picture(&flipped, &placement()), picture);
    }

    #[test]
    fn flipped_objects_change_sides() {
        let person = Object {
            box_: [1.0, 0.0, 2.0, 4.0],
            keypoints: vec![[2.0, 1.0, 0.9], [1.5, 0.5, 0.8], [2.5, 0.5, 0.7]],
            ..Object::default()
        };
        let mut flipped = [person.clone()];
        flip_objects(&mut flipped, &placement(), &pose_info());
        assert_eq!(flipped[0].box_, [3.0, 0.0, 2.0, 4.0]);
        let expected = [[4.0, 1.0, 0.9], [3.5, 0.5, 0.7], [4.5, 0.5, 0.8]];
        assert_eq!(flipped[0].keypoints, expected);
        flip_objects(&mut flipped, &placement(), &pose_info());
        assert_eq!(flipped[0], person);
    }

    #[test]
    fn agreement_is_one_for_the_same_and_falls_with_distance() {
        let person = |dx: f32| Object {
            score: 1.0,
            box_: [0.0, 0.0, 50.0, 100.0],
            keypoints: vec![
                [10.0 + dx, 0.0, 1.0],
                [20.0 + dx, 9.0, 1.0],
                [30.0, 5.0, 1.0],
            ],
            ..Object::default()
        };
        assert_eq!(agreement(&[person(0.0)], &[person(0.0)]), Some(1.0));
        let far = agreement(&[person(0.0)], &[person(10.0)]).unwrap();
        // Two of three points are a tenth of the size away.
        assert!((far - (1.0 - 0.2 / 3.0)).abs() < 1e-6, "{far}");
        assert_eq!(agreement(&[], &[]), None);
        assert_eq!(agreement(&[person(0.0)], &[]), Some(0.0));
    }

    #[test]
    fn boxes_agree_by_overlap_and_class() {
        let car = |x: f32, class| Object {
            class,
            box_: [x, 0.0, 10.0, 10.0],
            ..Object::default()
        };
        let same = [car(0.0, 2), car(50.0, 2)];
        assert_eq!(agreement(&same, &same), Some(1.0));
        assert_eq!(agreement(&same, &same[..1]), Some(0.5));
        assert_eq!(agreement(&same[..1], &[car(0.0, 3)]), Some(0.0));
    }
    #[test]
    fn points_count_as_much_as_the_model_is_sure_of_them() {
        let person = |dx: f32| Object {
            box_: [0.0, 0.0, 50.0, 100.0],
            keypoints: vec![[10.0, 0.0, 0.9], [20.0 + dx, 9.0, 0.1]],
            ..Object::default()
        };
        let near = agreements(&[person(0.0)], &[person(50.0)])[0];
        assert!((near - 0.95).abs() < 1e-6, "{near}");
        let far = agreements(&[person(0.0)], &[person(5e6)])[0];
        assert!((far - 0.9).abs() < 1e-6, "{far}");
    }

    #[test]
    fn a_later_frame_takes_over_what_it_overlaps() {
        let car = |x: f32| Object {
            box_: [x, 0.0, 10.0, 10.0],
            ..Object::default()
        };
        let earlier = [car(0.0), car(50.0)];
        let later = [car(51.0), car(30.0), car(2.0)];
        let expected = [Some(0.25), None, Some(0.75)];
        assert_eq!(carried(&[0.75, 0.25], &earlier, &later), expected);
    }
}
