// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A frame on its way through the element: the buffer, and how far its inference has come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use splitinfer_meta::Completed;
use splitinfer_plan::Choice;
use splitinfer_tensor::Tensor;
use splitinfer_vision::{Object, Picture, Placement};

use super::engine::Engine;

/// One buffer and what is known about it.
pub(super) struct Frame {
    /// Counted from 0 since the element started; the server answers by it.
    pub(super) number: u64,
    pub(super) buffer: gst::Buffer,
    pub(super) arrived: Instant,
    /// How long the result may take from then on.
    pub(super) budget: Duration,
    /// With which it was begun: it is completed with no other.
    pub(super) engine: Arc<Engine>,
    /// As metadata and messages name the split.
    pub(super) split: Arc<str>,
    pub(super) work: Work,
}

/// How far the inference of a frame has come.
pub(super) enum Work {
    /// Not wanted for this frame: `inference-interval`, or too late for the sink.
    Skipped,
    Done(Outcome),
    /// The rest is under way on the server.
    Remote(Remote),
}

/// What inference found, in pixels of the frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) objects: Vec<Object>,
    /// The raw outputs of a model whose head is unknown.
    pub(super) tensors: Vec<(String, Tensor)>,
    pub(super) completed: Completed,
}

/// A frame whose rest the server does, and what it takes to do it here instead.
pub(super) struct Remote {
    rest: Rest,
    /// Where the model's picture lies in the frame.
    placement: Placement,
    /// When completion here has to begin at the latest.
    give_up_at: Instant,
    answer: Option<Answer>,
}

/// What remains to be done after the part done here.
pub(super) enum Rest {
    /// All of the model.
    Picture(Picture),
    /// The tail of a candidate.
    Tail {
        candidate: usize,
        tensors: Vec<Tensor>,
    },
}

impl Rest {
    /// What the server was to do, however the picture was coded.
    pub(super) fn choice(&self) -> Choice {
        match self {
            Self::Picture(_) => Choice::Picture,
            Self::Tail { candidate, .. } => Choice::Candidate(*candidate),
        }
    }
}

/// What came back from the server for a frame.
pub(super) enum Answer {
    Completed {
        found: Found,
        /// Of the weights that the server used.
        model_version: u64,
        server: ServerTimes,
        /// The share of the payload that it had, where that was not all.
        received: Option<f64>,
    },
    /// The server could not do it, or the connection broke.
    Failed,
    /// The server has too much to do, and this machine is done sooner.
    Refused,
}

/// The body of an answer.
pub(super) enum Found {
    /// In pixels of the frame.
    Objects(Vec<Object>),
    /// Raw outputs, still encoded: decoding them is no work for the network's thread.
    Tensors(Vec<u8>),
}

/// Where the time went on the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerTimes {
    pub(super) queue: Duration,
    pub(super) decode: Duration,
    pub(super) compute: Duration,
}

impl Remote {
    pub(super) fn new(rest: Rest, placement: Placement, give_up_at: Instant) -> Self {
        Self {
            rest,
            placement,
            give_up_at,
            answer: None,
        }
    }

    pub(super) fn into_parts(self) -> (Rest, Placement, Option<Answer>) {
        (self.rest, self.placement, self.answer)
    }
}

impl Frame {
    /// Until when the frame has to wait for an answer; `None` if it can leave now.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        match &self.work {
            Work::Remote(remote) if remote.answer.is_none() => Some(remote.give_up_at),
            _ => None,
        }
    }

    pub(super) fn give_up_at(&mut self, when: Instant) {
        if let Work::Remote(remote) = &mut self.work {
            remote.give_up_at = remote.give_up_at.min(when);
        }
    }

    /// `false` if no answer is wanted: the frame was completed otherwise, or answered before.
    pub(super) fn take_answer(&mut self, answer: Answer) -> bool {
        match &mut self.work {
            Work::Remote(remote) if remote.answer.is_none() => {
                remote.answer = Some(answer);
                true
            }
            _ => false,
        }
    }
}
