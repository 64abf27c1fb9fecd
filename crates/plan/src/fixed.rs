// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long answers are waited for while the user fixes the split.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Choice;
use crate::waiting::Waiting;

/// Frames that may be under way, at most.
const REMEMBERED: usize = 64;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Fixed {
    choice: Option<Choice>,
    waiting: Waiting,
    /// The streaming thread's work on the last frame.
    worked: Duration,
    /// Whether the frame that is begun now gets all of the budget, and frames that did.
    patient: bool,
    waited: VecDeque<u64>,
}

impl Fixed {
    /// How long to wait for an answer even if completion here, which takes `rest`, is late then.
    pub fn patience(
        &mut self,
        choice: Choice,
        budget: Duration,
        rest: Duration,
        now: Instant,
    ) -> Duration {
        if self.choice != Some(choice) {
            *self = Self {
                choice: Some(choice),
                ..Self::default()
            };
        }
        self.patient = choice != Choice::Here && self.waiting.is_worth_it(budget, rest, now);
        if self.patient { budget } else { Duration::ZERO }
    }

    /// The work here on the frame that is begun, completion not included.
    pub fn worked(&mut self, took: Duration) {
        self.worked = took;
    }

    /// It is on its way.
    pub fn sent(&mut self, number: u64) {
        if std::mem::take(&mut self.patient) {
            self.waited.push_back(number);
            self.waited.truncate(REMEMBERED);
        }
    }

    /// The answer took so long from sending on.
    pub fn answered(&mut self, number: u64, taken: Duration) {
        self.forget(number);
        self.waiting.answered(self.worked + taken);
    }

    /// No answer came in the time that was given.
    pub fn given_up(&mut self, number: u64, now: Instant) {
        let waited = self.forget(number);
        self.waiting.given_up(waited, now);
    }

    /// Whether it was a frame that got all of the budget.
    fn forget(&mut self, number: u64) -> bool {
        let place = self.waited.iter().position(|n| *n == number);
        place.is_some_and(|i| self.waited.remove(i).is_some())
    }
}
