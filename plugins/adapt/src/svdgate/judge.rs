// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From the result on a frame to what the gate is told, and back.

use splitinfer_meta::FrameResult;
use splitinfer_quality::{Identity, Object, Observation, Outcome, Seen, Signs, probability_wrong};

/// The objects of a frame.
pub(super) fn objects(result: &FrameResult) -> Vec<Object> {
    let of_frame = result.mirror_agreement;
    result
        .objects
        .iter()
        .map(|object| {
            let bbox = object.box_.map(f64::from);
            let score = f64::from(object.score);
            let keypoints: Vec<[f64; 3]> =
                object.keypoints.iter().map(|k| k.map(f64::from)).collect();
            let mirror = object.mirror_agreement.map(f64::from).or(of_frame);
            Object {
                seen: Seen {
                    bbox,
                    class: object.class,
                    score,
                    track: object.track,
                },
                observation: Observation::new(bbox, score, &keypoints, mirror),
            }
        })
        .collect()
}

/// What a frame shows of drift.
pub(super) fn signs(result: &FrameResult, outcome: &Outcome) -> Signs {
    let windows = outcome.verdicts.iter();
    Signs {
        confidences: result.objects.iter().map(confidence).collect(),
        places: result.objects.iter().map(middle).collect(),
        mirror: result.mirror_agreement,
        jitters: outcome.jitters.clone(),
        windows: windows.map(|v| probability_wrong(&v.evidence)).collect(),
    }
}

/// Of its keypoints, where it has any: one that is missed every time shows there.
fn confidence(object: &splitinfer_meta::Object) -> f64 {
    let points = object.keypoints.iter().map(|k| f64::from(k[2]));
    match object.keypoints.len() {
        0 => f64::from(object.score),
        n => points.sum::<f64>() / n as f64,
    }
}

/// Of its box.
fn middle(object: &splitinfer_meta::Object) -> [f64; 2] {
    let [x, y, width, height] = object.box_.map(f64::from);
    [x + width / 2.0, y + height / 2.0]
}

/// Puts the qualities on the objects; `false` if none is known.
pub(super) fn give_qualities(result: &mut FrameResult, outcome: &Outcome) -> bool {
    for (object, quality) in result.objects.iter_mut().zip(&outcome.qualities) {
        object.quality = quality.map(|q| q as f32);
    }
    outcome.qualities.iter().any(Option::is_some)
}

/// As a number: the tracker's own identities count from 0, so do upstream's.
pub(super) fn number(identity: Identity) -> u64 {
    match identity {
        Identity::Upstream(n) | Identity::Own(n) => n,
    }
}
