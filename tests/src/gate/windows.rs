// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Windows as the gate cuts them, with every score and the error that is to be told from them.

use splitinfer_quality::{
    Evidence, Gate, Identity, Metric, Object, Observation, Seen, Settings, Tracker,
};
use splitinfer_vision::mirror::agreements;
use std::collections::BTreeMap;

use super::error::error;
use super::record::{Clip, Frame, Set};

/// T.
pub const LENGTH: usize = 20;
/// r of the published score, as published.
pub const RANK: usize = 3;

/// One window of one object.
pub struct Window {
    pub set: Set,
    /// Video or scene, which no fit may have seen that is tested on it.
    pub clip: String,
    /// Degradation or domain, likewise.
    pub kind: String,
    /// Mean error over the window, in units of the object's size.
    pub error: f64,
    pub published: f64,
    pub effective_rank: f64,
    /// With every frame inferred mirrored.
    pub evidence: Evidence,
    /// With every [`SPARSE`]th.
    pub sparse: Evidence,
}

/// A cheaper mirror check.
pub const SPARSE: usize = 5;

/// All windows of a clip whose error is known on more than half of their frames.
pub fn windows(clip: &Clip) -> Vec<Window> {
    let errors = errors(clip);
    let published = verdicts(clip, Metric::RelativeError, 1);
    let ranks = verdicts(clip, Metric::EffectiveRank, 1);
    let combined = verdicts(clip, Metric::Combined, 1);
    let sparse = verdicts(clip, Metric::Combined, SPARSE);
    let mut windows = Vec::new();
    for (((p, r), c), s) in published.iter().zip(&ranks).zip(&combined).zip(&sparse) {
        let [first, last] = c.frames;
        let known: Vec<f64> = (first..=last)
            .filter_map(|f| errors.get(&(f, c.identity)).copied())
            .collect();
        if known.len() * 2 <= LENGTH {
            continue;
        }
        windows.push(Window {
            set: clip.set,
            clip: clip.name.clone(),
            kind: clip.kind.clone(),
            error: known.iter().sum::<f64>() / known.len() as f64,
            published: p.score,
            effective_rank: r.score,
            evidence: c.evidence,
            sparse: s.evidence,
        });
    }
    windows
}

fn verdicts(clip: &Clip, metric: Metric, every: usize) -> Vec<splitinfer_quality::Verdict> {
    let mut gate = Gate::new(Settings {
        window: LENGTH,
        metric,
        rank: Some(RANK),
        threshold: Some(f64::INFINITY),
        gates: false,
        cooldown: 0,
    });
    let frames = clip.frames.iter().enumerate();
    frames
        .flat_map(|(number, frame)| {
            let mirrored = number % every == 0;
            gate.frame(number as u64, objects(frame, mirrored)).verdicts
        })
        .collect()
}

fn objects(frame: &Frame, mirrored: bool) -> Vec<Object> {
    let agreements = agreements(&frame.found, &frame.mirrored);
    let objects = frame.found.iter().zip(agreements);
    objects
        .map(|(o, agreement)| {
            let bbox = o.box_.map(f64::from);
            let keypoints: Vec<[f64; 3]> = o.keypoints.iter().map(|k| k.map(f64::from)).collect();
            let mirror = mirrored.then_some(agreement);
            Object {
                seen: seen(o),
                observation: Observation::new(bbox, f64::from(o.score), &keypoints, mirror),
            }
        })
        .collect()
}

fn seen(object: &splitinfer_vision::Object) -> Seen {
    Seen {
        bbox: object.box_.map(f64::from),
        class: object.class,
        score: f64::from(object.score),
        track: object.track,
    }
}

/// By frame and identity, as the gate's own tracker gives it.
fn errors(clip: &Clip) -> BTreeMap<(u64, Identity), f64> {
    let mut tracker = Tracker::default();
    let mut errors = BTreeMap::new();
    for (number, frame) in clip.frames.iter().enumerate() {
        let seen: Vec<Seen> = frame.found.iter().map(seen).collect();
        for (identity, object) in tracker.frame(&seen).into_iter().zip(&frame.found) {
            if let Some(e) = error(object, &frame.truth, clip.set) {
                errors.insert((number as u64, identity), e);
            }
        }
    }
    errors
}
