// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From what a detector proposes to the objects that are reported.

use crate::Object;
use crate::modelinfo::{Activation, ModelInfo};
use crate::nms::{Candidate, nms};

/// Collects the boxes of a detector that pass its threshold and class filter.
pub(super) struct Detections<'a> {
    info: &'a ModelInfo,
    candidates: Vec<Candidate>,
}

impl<'a> Detections<'a> {
    pub fn new(info: &'a ModelInfo) -> Self {
        Self {
            info,
            candidates: Vec::new(),
        }
    }

    /// `corners` are x0, y0, x1, y1 in pixels of the picture; `index` is where in the output the box came from.
    pub fn push(&mut self, class: usize, score: f32, corners: [f32; 4], index: usize) {
        let head = &self.info.head;
        if !reaches(score, head.score_threshold) {
            return;
        }
        let Some(class) = report_class(self.info, class) else {
            return;
        };
        self.candidates.push(Candidate {
            class,
            score: score.min(1.0),
            corners,
            index,
        });
    }

    /// A box by its centre and size.
    pub fn push_centred(&mut self, class: usize, score: f32, [x, y, w, h]: [f32; 4], index: usize) {
        let corners = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
        self.push(class, score, corners, index);
    }

    /// The objects that remain, best first, each with the index it was pushed with.
    pub fn finish(self) -> Vec<(Object, usize)> {
        let head = &self.info.head;
        let kept = nms(
            self.candidates,
            head.nms_threshold,
            head.class_agnostic,
            head.max_objects,
        );
        let object = |c: &Candidate| {
            let [x0, y0, x1, y1] = c.corners;
            Object {
                class: c.class,
                label: self.info.label(c.class),
                score: c.score,
                box_: [x0, y0, x1 - x0, y1 - y0],
                ..Object::default()
            }
        };
        kept.iter().map(|c| (object(c), c.index)).collect()
    }

    /// The same without the indices.
    pub fn objects(self) -> Vec<Object> {
        self.finish().into_iter().map(|(o, _)| o).collect()
    }
}

/// Whether a score is enough. One that is not a number is not, which `score < threshold` would let pass.
pub(super) fn reaches(score: f32, threshold: f32) -> bool {
    score >= threshold
}

/// The class as it is reported: renumbered as the sidecar says; `None` if it is not wanted.
pub(super) fn report_class(info: &ModelInfo, class: usize) -> Option<u32> {
    let head = &info.head;
    let class = u32::try_from(class).ok()?;
    let class = head
        .remap
        .iter()
        .find(|(from, _)| *from == class)
        .map_or(class, |(_, to)| *to);
    (head.classes.is_empty() || head.classes.contains(&class)).then_some(class)
}

/// The class that scores highest; `None` if there is no number among the scores.
pub(super) fn best_class(scores: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    let mut best = None;
    for (class, score) in scores.enumerate() {
        let better = match best {
            Some((_, s)) => score > s,
            None => !score.is_nan(),
        };
        if better {
            best = Some((class, score));
        }
    }
    best
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// What is still to be applied to a single score. (Softmax needs all of them: see classification.)
pub(crate) fn activate(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Sigmoid => sigmoid(x),
        Activation::None | Activation::Softmax => x,
    }
}
