// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames on their way to workers, and back.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use splitinfer_wire::{FrameHeader, Status, WireObject};
use tokio::sync::oneshot;

/// A frame to be computed.
pub struct Job<S> {
    pub session: Arc<S>,
    pub header: FrameHeader,
    /// Zeros where something is missing.
    pub payload: Bytes,
    /// Parts of it that did not come while it was waited for: only where the edge asked for it, and then tensors.
    pub missing: Vec<Range<usize>>,
    /// When the last byte of it had come, or the others were no longer waited for.
    pub received: Instant,
    pub deadline: Instant,
    pub forecast: Forecast,
    pub(super) reply: oneshot::Sender<Outcome>,
}

impl<S> Job<S> {
    /// False once its deadline has passed or its edge gave it up.
    pub fn is_wanted(&self, now: Instant) -> bool {
        now < self.deadline && !self.reply.is_closed()
    }

    /// Bytes of the payload that did not come.
    pub fn missing_bytes(&self) -> usize {
        self.missing.iter().map(Range::len).sum()
    }

    /// `None`: all of the payload came.
    pub fn received_share(&self) -> Option<f64> {
        let missing = self.missing_bytes();
        (missing > 0).then(|| 1.0 - missing as f64 / self.payload.len() as f64)
    }

    /// Sends the result back.
    pub fn finish(self, outcome: Outcome) {
        // Nobody to tell, if the edge has gone meanwhile.
        let _ = self.reply.send(outcome);
    }
}

/// What was expected of a frame when it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// The work that was before it.
    pub ahead: Duration,
    /// On it; zero where none like it has been computed yet.
    pub work: Duration,
}

/// What became of a job.
#[derive(Debug)]
pub struct Outcome {
    pub model_version: u64,
    pub queue: Duration,
    pub decode: Duration,
    pub compute: Duration,
    pub body: OutcomeBody,
    /// Bytes of the payload that it does without.
    pub missing: usize,
}

#[derive(Debug)]
pub enum OutcomeBody {
    /// The answer to a report.
    None,
    /// In pixels of the frame.
    Objects(Vec<WireObject>),
    /// The model's outputs, coded by `tensorcode`.
    Tensors(Bytes),
    Failure(Status, String),
}
