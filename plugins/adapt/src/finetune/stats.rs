// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What `finetune` has done so far.

use std::time::Duration;

use splitinfer_trainer::{Outcome, Progress};

#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) frames: u64,
    /// Frames that could not be learnt from.
    pub(super) refused: u64,
    /// Frames that the teacher said nothing of.
    pub(super) unlabelled: u64,
    pub(super) trainings: u64,
    pub(super) accepted: u64,
    pub(super) recalled: u64,
    pub(super) rejected: u64,
    /// Of those accepted and rejected: their loss was no number at the end.
    pub(super) diverged: u64,
    pub(super) steps: u64,
    /// Time that training worked, without its rests.
    pub(super) busy: Duration,
    pub(super) loss: Option<(f32, f32)>,
    pub(super) version: u64,
    pub(super) update_bytes: u64,
    /// Of the training that is under way.
    pub(super) now: Option<Progress>,
}

impl Counts {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.trainings += 1;
        self.diverged += u64::from(outcome.diverged());
        self.now = None;
        match *outcome {
            Outcome::Accepted {
                before,
                after,
                steps,
                ..
            } => {
                self.accepted += 1;
                self.steps += steps as u64;
                self.loss = Some((before, after));
            }
            Outcome::Recalled { before, after } => {
                self.recalled += 1;
                self.loss = Some((before, after));
            }
            Outcome::Rejected {
                before,
                after,
                steps,
                ..
            } => {
                self.rejected += 1;
                self.steps += steps as u64;
                self.loss = Some((before, after));
            }
            Outcome::Abandoned => {}
        }
    }

    pub(super) fn to_structure(&self, dropped: u64, idle: bool) -> gst::Structure {
        let mut stats = gst::Structure::builder("stats")
            .field("frames", self.frames)
            .field("idle", idle)
            .field("dropped-frames", dropped)
            .field("refused-frames", self.refused)
            .field("unlabelled-frames", self.unlabelled)
            .field("trainings", self.trainings)
            .field("accepted", self.accepted)
            .field("recalled", self.recalled)
            .field("rejected", self.rejected)
            .field("diverged", self.diverged)
            .field("steps", self.steps)
            .field("training-ms", self.busy.as_secs_f64() * 1000.0)
            .field("model-version", self.version)
            .field("update-bytes", self.update_bytes)
            .build();
        if let Some((before, after)) = self.loss {
            stats.set("loss-before", f64::from(before));
            stats.set("loss-after", f64::from(after));
        }
        if let Some(now) = self.now {
            stats.set("training-step", now.step as u64);
            stats.set("training-loss", f64::from(now.train_loss));
        }
        stats
    }
}
