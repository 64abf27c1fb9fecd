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
            if self.waited.len() == REMEMBERED {
                self.waited.pop_front();
            }
            self.waited.push_back(number);
        }
    }

    /// The answer took so long from sending on.
    pub fn answered(&mut self, number: u64, taken: Duration) {
        self.forget(number);
        self.waiting.answered(self.worked + taken);
    }

    /// The answer came, to a part of the frame.
    pub fn answered_in_part(&mut self, number: u64) {
        self.forget(number);
        self.waiting.answered_in_part();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_which_nothing_is_heard_do_not_crowd_out_new_ones() {
        let now = Instant::now();
        let (budget, rest) = (Duration::from_millis(200), Duration::from_millis(100));
        let mut fixed = Fixed::default();
        fixed.patience(Choice::Picture, budget, rest, now);
        (0..2).for_each(|n| fixed.given_up(n, now));
        for number in 0..100 {
            let patience = fixed.patience(Choice::Picture, budget, rest, now);
            assert_eq!(patience, budget);
            fixed.sent(number);
        }
        (97..100).for_each(|n| fixed.given_up(n, now));
        let patience = fixed.patience(Choice::Picture, budget, rest, now);
        assert_eq!(patience, Duration::ZERO, "three waits were in vain");
    }
}
