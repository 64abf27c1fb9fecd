// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How alike two objects are, 0 to 1.

/// COCO's standard deviations of its 17 keypoints, in units of the square root of the object's area, as
/// `pycocotools` has them.
pub const COCO_SIGMAS: [f64; 17] = [
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
];

/// What `pycocotools` adds to an area so as not to divide by zero.
const EPSILON: f64 = f64::EPSILON;

/// Intersection over union of two boxes x, y, width, height. With a crowd as `b`, intersection over the area of `a`.
pub fn iou(a: &[f64; 4], b: &[f64; 4], crowd: bool) -> f64 {
    let side = |i: usize| (a[i] + a[i + 2]).min(b[i] + b[i + 2]) - a[i].max(b[i]);
    let (width, height) = (side(0), side(1));
    if !(width > 0.0 && height > 0.0) {
        return 0.0;
    }
    let shared = width * height;
    let own = a[2] * a[3];
    let whole = if crowd {
        own
    } else {
        own + b[2] * b[3] - shared
    };
    shared / whole
}

/// COCO's object keypoint similarity: the mean of exp(−d² / (2 s² k²)) over the labelled keypoints of the truth, with d
/// the distance in pixels, s² the `area` and k twice the keypoint's sigma.
///
/// `found` is x, y, score; `actual` x, y, visibility. Where no keypoint is labelled, d is how far a keypoint lies
/// outside the box `bbox` after that has been doubled in size around its centre and once more on each side, as
/// `pycocotools` does for people who are to be ignored. `None` unless both have the 17 keypoints of COCO.
pub fn oks(found: &[[f64; 3]], actual: &[[f64; 3]], bbox: &[f64; 4], area: f64) -> Option<f64> {
    if found.len() != COCO_SIGMAS.len() || actual.len() != COCO_SIGMAS.len() {
        return None;
    }
    let labelled = actual.iter().any(|k| k[2] > 0.0);
    let outside =
        |v: f64, low: f64, size: f64| (low - size - v).max(0.0) + (v - low - 2.0 * size).max(0.0);
    let mut sum = 0.0;
    let mut count = 0.0;
    for ((f, a), sigma) in found.iter().zip(actual).zip(COCO_SIGMAS) {
        if labelled && a[2] <= 0.0 {
            continue;
        }
        let [dx, dy] = if labelled {
            [f[0] - a[0], f[1] - a[1]]
        } else {
            [
                outside(f[0], bbox[0], bbox[2]),
                outside(f[1], bbox[1], bbox[3]),
            ]
        };
        let variance = (2.0 * sigma).powi(2);
        sum += (-(dx * dx + dy * dy) / variance / (area + EPSILON) / 2.0).exp();
        count += 1.0;
    }
    Some(sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_of_boxes_by_hand() {
        let a = [0.0, 0.0, 10.0, 10.0];
        assert_eq!(iou(&a, &a, false), 1.0);
        // 5 × 10 shared of 150.
        assert!((iou(&a, &[5.0, 0.0, 10.0, 10.0], false) - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(iou(&a, &[5.0, 0.0, 10.0, 10.0], true), 0.5);
        assert_eq!(iou(&a, &[10.0, 0.0, 10.0, 10.0], false), 0.0);
        assert_eq!(iou(&[0.0; 4], &[0.0; 4], false), 0.0);
    }

    #[test]
    fn keypoint_similarity_by_hand() {
        let mut actual = [[0.0, 0.0, 0.0]; 17];
        actual[0] = [10.0, 10.0, 2.0];
        actual[5] = [30.0, 40.0, 1.0];
        let mut found = [[0.0, 0.0, 1.0]; 17];
        found[0] = [10.0, 10.0, 1.0];
        found[5] = [33.0, 44.0, 1.0];
        // Five pixels off where sigma is 0.079 and the area 1000; the nose is exact, the others are not labelled.
        let expected = f64::midpoint(1.0, (-25.0 / (0.158f64 * 0.158) / 1000.0 / 2.0).exp());
        let value = oks(&found, &actual, &[0.0; 4], 1000.0).unwrap();
        assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        assert_eq!(oks(&found[..16], &actual, &[0.0; 4], 1000.0), None);
    }
}
