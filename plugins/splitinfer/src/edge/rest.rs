// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The rest of a frame, for which the server was asked: its answer, or what this machine computes in its place, whichever is there
//! first.

use std::sync::Arc;
use std::time::Instant;

use splitinfer_runtime::Stop;
use splitinfer_vision::Placement;

use super::OnDeadline;
use super::engine::{self, Engine};
use super::flow::Flow;
use super::frame::{Answer, Outcome, Remote, Rest, ServerTimes};
use super::link::Link;

/// What became of it.
#[derive(Default)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Of an answer.
    pub(super) server: Option<ServerTimes>,
    /// The share of the payload that the server had, where that was not all.
    pub(super) received: Option<f64>,
    /// The server was asked, and its answer was not there in time.
    pub(super) missed: bool,
    /// The server was asked, and had too much to do.
    pub(super) refused: bool,
}

/// Why there is no outcome.
pub(super) enum Unfinished {
    Flushing,
    Failed(gst::ErrorMessage),
}

impl From<gst::ErrorMessage> for Unfinished {
    fn from(message: gst::ErrorMessage) -> Self {
        Self::Failed(message)
    }
}

/// Who may have a part in it.
pub(super) struct Parties<'a> {
    pub(super) engine: &'a Engine,
    pub(super) flow: &'a Flow,
    pub(super) link: Option<&'a Link>,
}

impl Parties<'_> {
    /// Of the frame with this number, which the flow has given.
    pub(super) fn finish(
        &self,
        number: u64,
        remote: Remote,
        on_deadline: OnDeadline,
    ) -> Result<Done, Unfinished> {
        let (rest, placement, answer) = remote.into_parts();
        let refused = matches!(answer, Some(Answer::Refused));
        if let Some(done) = taken(answer, self.engine, &placement) {
            return Ok(done);
        }
        match on_deadline {
            OnDeadline::Complete if refused => {
                let done = self.complete(&rest, &placement)?;
                Ok(done.unwrap_or_else(|outcome| Done {
                    outcome,
                    refused,
                    ..Done::default()
                }))
            }
            OnDeadline::Complete => {
                let done = self.complete(&rest, &placement)?;
                Ok(done.unwrap_or_else(|outcome| self.missed(number, outcome)))
            }
            OnDeadline::Skip => Ok(self.missed(number, Outcome::default())),
        }
    }

    /// What came of an answer that was there first, or else what this machine has found.
    fn complete(
        &self,
        rest: &Rest,
        placement: &Placement,
    ) -> Result<Result<Done, Outcome>, Unfinished> {
        let begun = Instant::now();
        let stop = Arc::new(Stop::new().map_err(engine::failed)?);
        let flushing = |_| Unfinished::Flushing;
        self.flow.race(&stop).map_err(flushing)?;
        let here = self.engine.complete_until(rest, placement, &stop)?;
        let answer = self.flow.end_race().map_err(flushing)?;
        if let Some(done) = taken(answer, self.engine, placement) {
            return Ok(Ok(done));
        }
        let outcome = match here {
            Some(outcome) => {
                if let Some(link) = self.link {
                    link.completed(rest.choice(), begun.elapsed());
                }
                outcome
            }
            // For an answer that could not be used.
            None => self.engine.complete(rest, placement)?,
        };
        Ok(Err(outcome))
    }

    fn missed(&self, number: u64, outcome: Outcome) -> Done {
        if let Some(link) = self.link {
            link.missed(number, Instant::now());
        }
        Done {
            outcome,
            missed: true,
            ..Done::default()
        }
    }
}

/// A usable answer, and of what share of the payload where that was not all.
fn taken(answer: Option<Answer>, engine: &Engine, placement: &Placement) -> Option<Done> {
    let Some(Answer::Completed {
        found,
        model_version,
        server,
        received,
    }) = answer
    else {
        return None;
    };
    if model_version != engine.version() {
        gst::warning!(
            super::imp::CAT,
            "the server answered with version {model_version} of the weights, the frame began with {}",
            engine.version()
        );
        return None;
    }
    match engine.take(found, placement) {
        Ok(outcome) => Some(Done {
            outcome,
            server: Some(server),
            received,
            ..Done::default()
        }),
        Err(problem) => {
            gst::warning!(
                super::imp::CAT,
                "unusable answer from the server: {problem}"
            );
            None
        }
    }
}
