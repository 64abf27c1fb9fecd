// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Drifts that leave the picture as it is: what goes wrong is put into the student's results.

use gst::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_meta::{FrameResult, Object};
use std::sync::{Arc, Mutex};

/// A bias grows to its full size in so many frames.
const GROWS: u64 = 15;
/// Of the object's size (square root of its box's area): a bias, and the standard deviation of jitter.
const BIAS: f32 = 0.25;
const JITTER: f32 = 0.2;

/// Where no object reaches this score a fault does not show.
const BELIEVED: f32 = 0.3;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Everything is found a quarter of an object's size to the right, growing to that in a second.
    Bias,
    /// The last answer before stays.
    Freeze,
    /// Every point is off by chance, anew on each frame.
    Jitter,
    /// Left and right keypoints change places.
    Swaps,
    /// Objects in the left half of the picture, or the joints of the legs, are never found.
    Misses,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bias => "bias",
            Self::Freeze => "freeze",
            Self::Jitter => "jitter",
            Self::Swaps => "swaps",
            Self::Misses => "misses",
        }
    }

    /// Puts the fault into the results that leave a pad, from a frame on; says from which frame on it shows.
    pub fn inject(self, pad: &gst::Pad, from: u64, seed: u64) -> Arc<Mutex<Option<u64>>> {
        let shows = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&shows);
        let last = Mutex::new(Vec::new());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer_mut() else {
                return gst::PadProbeReturn::Ok;
            };
            let Some(mut result) = splitinfer_meta::read(buffer) else {
                return gst::PadProbeReturn::Ok;
            };
            let mut last = last.lock().unwrap_or_else(|e| e.into_inner());
            if result.frame < from {
                *last = result.objects;
                return gst::PadProbeReturn::Ok;
            }
            let believed = result.objects.iter().any(|o| o.score >= BELIEVED);
            let before = result.objects.clone();
            self.apply(&mut result, from, &last, picture_width(pad), seed);
            if result.objects != before {
                if believed {
                    let mut seen = seen.lock().unwrap_or_else(|e| e.into_inner());
                    seen.get_or_insert(result.frame);
                }
                splitinfer_meta::update(buffer.make_mut(), &result);
            }
            gst::PadProbeReturn::Ok
        });
        shows
    }

    fn apply(self, result: &mut FrameResult, from: u64, last: &[Object], width: f32, seed: u64) {
        let frame = result.frame;
        match self {
            Self::Bias => {
                let share = ((frame - from + 1) as f32 / GROWS as f32).min(1.0);
                for object in &mut result.objects {
                    let right = BIAS * share * size(object);
                    moved(object, |_| [right, 0.0]);
                }
            }
            Self::Freeze => result.objects = last.to_vec(),
            Self::Jitter => {
                let mut random = ChaCha8Rng::seed_from_u64(seed ^ frame.wrapping_mul(0x9e37_79b9));
                for object in &mut result.objects {
                    let far = JITTER * size(object);
                    moved(object, |_| {
                        [far * normal(&mut random), far * normal(&mut random)]
                    });
                }
            }
            Self::Swaps => result.objects.iter_mut().for_each(swap),
            Self::Misses => {
                result.objects.retain(|o| {
                    !o.keypoints.is_empty() || o.box_[0] + o.box_[2] / 2.0 > width / 2.0
                });
                for object in &mut result.objects {
                    for point in object.keypoints.iter_mut().skip(LEGS) {
                        *point = [0.0; 3];
                    }
                }
            }
        }
    }
}

/// The first joint of the legs, of COCO's 17.
const LEGS: usize = 11;

fn picture_width(pad: &gst::Pad) -> f32 {
    let caps = pad.current_caps();
    let width = caps.and_then(|c| c.structure(0)?.get::<i32>("width").ok());
    width.unwrap_or(0) as f32
}

fn size(object: &Object) -> f32 {
    (object.box_[2] * object.box_[3]).max(1.0).sqrt()
}

/// Moves each keypoint and each corner of the box.
fn moved(object: &mut Object, mut by: impl FnMut(usize) -> [f32; 2]) {
    let [x, y, w, h] = object.box_;
    let [a, b] = [by(0), by(1)];
    let [left, top] = [x + a[0], y + a[1]];
    let [right, bottom] = [x + w + b[0], y + h + b[1]];
    object.box_ = [
        left.min(right),
        top.min(bottom),
        (right - left).abs(),
        (bottom - top).abs(),
    ];
    for (i, point) in object.keypoints.iter_mut().enumerate() {
        let by = by(i + 2);
        point[0] += by[0];
        point[1] += by[1];
    }
}

/// COCO's joints but the nose are pairs of left and right.
fn swap(object: &mut Object) {
    for pair in object
        .keypoints
        .get_mut(1..)
        .unwrap_or_default()
        .chunks_exact_mut(2)
    {
        pair.swap(0, 1);
    }
}

/// Standard normal (Box and Muller).
fn normal(random: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * random.random::<f32>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(frame: u64) -> FrameResult {
        let person = Object {
            box_: [100.0, 50.0, 20.0, 80.0],
            keypoints: (0..17).map(|i| [i as f32, 2.0 * i as f32, 0.9]).collect(),
            ..Object::default()
        };
        FrameResult {
            frame,
            objects: vec![person],
            ..FrameResult::default()
        }
    }

    fn with(fault: Fault, frame: u64) -> FrameResult {
        let mut result = result(frame);
        fault.apply(&mut result, 100, &[], 640.0, 1);
        result
    }

    #[test]
    fn a_bias_grows_to_a_quarter_of_the_size() {
        let right = |frame| with(Fault::Bias, frame).objects[0].box_[0] - 100.0;
        assert!((right(100) - 10.0 / 15.0).abs() < 1e-3);
        assert!((right(300) - 10.0).abs() < 1e-3);
        assert_eq!(with(Fault::Bias, 300).objects[0].box_[2..], [20.0, 80.0]);
    }

    #[test]
    fn left_and_right_change_places_and_legs_are_missed() {
        let swapped = with(Fault::Swaps, 100).objects.remove(0).keypoints;
        assert_eq!(swapped[0][0], 0.0);
        assert_eq!(
            [swapped[1][0], swapped[2][0], swapped[16][0]],
            [2.0, 1.0, 15.0]
        );
        let missed = with(Fault::Misses, 100).objects.remove(0).keypoints;
        assert_eq!([missed[10][2], missed[11][2]], [0.9, 0.0]);
    }

    #[test]
    fn what_is_missed_or_frozen_is_gone_or_stays() {
        let mut street = result(100);
        street.objects[0].keypoints.clear();
        let last = street.objects.clone();
        Fault::Misses.apply(&mut street, 100, &[], 640.0, 1);
        assert!(street.objects.is_empty());
        Fault::Freeze.apply(&mut street, 100, &last, 640.0, 1);
        assert_eq!(street.objects, last);
    }

    #[test]
    fn jitter_differs_from_frame_to_frame_and_is_the_same_again() {
        let jitter = |frame| with(Fault::Jitter, frame).objects;
        assert_ne!(jitter(100), jitter(101));
        assert_eq!(jitter(100), jitter(100));
    }
}
