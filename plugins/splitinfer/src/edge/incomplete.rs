// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which frames the server may complete from a part of what was sent, and how long it waits for the rest of them.
//!
//! What it finds on such a frame is a little off, what this machine finds is not, and both come by the deadline. So it is
//! asked for only where this machine would be late, unless the user wants this machine spared.

use std::time::{Duration, Instant};

use splitinfer_plan::Choice;

use super::engine::Engine;
use super::job;
use super::planner::Planner;
use super::settings::Settings;
use super::{IncompleteFrames, OnDeadline};
use crate::net::client::Until;

/// A frame that is about to be sent.
pub(super) struct Leaving<'a> {
    pub(super) choice: Choice,
    /// It is predicted from no frame before it, which could tell what is missing.
    pub(super) alone: bool,
    /// Until when an answer is waited for.
    pub(super) give_up_at: Instant,
    pub(super) deadline: Instant,
    pub(super) engine: &'a Engine,
    pub(super) rtt: Option<Duration>,
}

impl Leaving<'_> {
    /// `None`: only an answer to the whole frame is wanted.
    pub(super) fn patience(
        &self,
        planner: &Planner,
        settings: &Settings,
        now: Instant,
    ) -> Option<Until> {
        let in_pieces = matches!(self.choice, Choice::Candidate(_)) && job::bits(settings) <= 8;
        if !in_pieces || self.alone || !self.is_wanted(planner, settings) {
            return None;
        }
        let budget = settings.latency_budget;
        let due = self.due(settings);
        let at = planner.server_begins_by(self.choice, due, budget, self.rtt?)?;
        // With no time left at all it is better to hope for the whole than to ask for less.
        (at > now).then_some(Until {
            at,
            least_permille: settings.least_permille(),
        })
    }

    /// When the answer is to be here: while it is waited for, unless this machine goes on to compute and would be late with that.
    fn due(&self, settings: &Settings) -> Instant {
        match (settings.incomplete_frames, settings.on_deadline()) {
            (IncompleteFrames::WhenLate, OnDeadline::Complete) => self.deadline,
            _ => self.give_up_at,
        }
    }

    fn is_wanted(&self, planner: &Planner, settings: &Settings) -> bool {
        let late_here = || {
            let rest = planner.rest(self.choice, self.engine, settings.latency_budget);
            self.give_up_at + rest > self.deadline
        };
        is_wanted(
            settings.incomplete_frames,
            settings.on_deadline(),
            late_here,
        )
    }
}

/// `late_here`: whether completion here would not be done in time once an answer is no longer waited for.
fn is_wanted(
    frames: IncompleteFrames,
    on_deadline: OnDeadline,
    late_here: impl FnOnce() -> bool,
) -> bool {
    match (frames, on_deadline) {
        (IncompleteFrames::Never, _) => false,
        (IncompleteFrames::Always, _) | (IncompleteFrames::WhenLate, OnDeadline::Skip) => true,
        (IncompleteFrames::WhenLate, OnDeadline::Complete) => late_here(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_goes_first_where_it_is_in_time_and_nobody_said_otherwise() {
        use IncompleteFrames::{Always, Never, WhenLate};
        use OnDeadline::{Complete, Skip};
        for (frames, on_deadline, in_time, late) in [
            (Never, Complete, false, false),
            (Never, Skip, false, false),
            (WhenLate, Complete, false, true),
            (WhenLate, Skip, true, true),
            (Always, Complete, true, true),
            (Always, Skip, true, true),
        ] {
            let wanted = [false, true].map(|late| is_wanted(frames, on_deadline, || late));
            assert_eq!(wanted, [in_time, late], "{frames:?}, {on_deadline:?}");
        }
    }
}
