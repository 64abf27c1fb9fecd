// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long an answer is worth waiting for where nobody chose the split for it: completing the frame here in time may have
//! to begin before any answer can come, and then much of each frame would be computed here for nothing.

use std::time::{Duration, Instant};

use crate::Tracked;

/// Frames in a row that were given up, after which it is tried to wait for all of the budget.
const GIVEN_UP: u32 = 2;
/// Frames in a row for which that was in vain, after which it is not tried for a while.
const IN_VAIN: u32 = 3;
const REST: Duration = Duration::from_secs(2);
/// See [`can_pay`].
const LONG: f64 = 0.1;
/// An answer may take so much longer than usual.
const SPARE: f64 = 1.15;

/// Whether waiting for all of the `budget` can be worth it at all. Where completing here takes less than a tenth of it, hardly an
/// answer can come after completion must begin, and a frame that waits for one only comes late.
pub fn can_pay(budget: Duration, rest: Duration) -> bool {
    rest >= budget.mul_f64(LONG)
}

/// What the last frames of one split showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    /// Seconds from the choice to the answer.
    answer: Tracked,
    given_up: u32,
    in_vain: u32,
    rest_until: Option<Instant>,
}

impl Waiting {
    /// A frame was answered so long after it was begun.
    pub fn answered(&mut self, after: Duration) {
        self.answer.add(after.as_secs_f64());
        self.answered_in_part();
    }

    /// A frame was answered, from a part of it: how long that took says how long the server was told to wait.
    pub fn answered_in_part(&mut self) {
        (self.given_up, self.in_vain) = (0, 0);
        self.rest_until = None;
    }

    /// A frame was not; `waited`: whether for all of the budget.
    pub fn given_up(&mut self, waited: bool, now: Instant) {
        self.given_up += 1;
        if !waited {
            return;
        }
        self.in_vain += 1;
        if self.in_vain >= IN_VAIN {
            *self = Self::default();
            self.rest_until = Some(now + REST);
        }
    }

    /// Whether to wait for all of the `budget`; else only as long as completing the frame here, which takes `rest`, leaves.
    pub fn is_worth_it(&self, budget: Duration, rest: Duration, now: Instant) -> bool {
        if !can_pay(budget, rest) || self.rest_until.is_some_and(|until| now < until) {
            return false;
        }
        let usual = self.answer.get().map(|s| s * SPARE);
        let late = usual.is_some_and(|s| s + rest.as_secs_f64() > budget.as_secs_f64());
        late || self.given_up >= GIVEN_UP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BUDGET: Duration = Duration::from_millis(200);

    #[test]
    fn answers_that_come_after_completion_must_begin_are_waited_for() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        assert!(!waiting.is_worth_it(BUDGET, 100 * MS, now));
        waiting.given_up(false, now);
        waiting.given_up(false, now);
        assert!(waiting.is_worth_it(BUDGET, 100 * MS, now));
        waiting.answered(130 * MS);
        assert!(waiting.is_worth_it(BUDGET, 100 * MS, now));
        assert!(!waiting.is_worth_it(BUDGET, 20 * MS, now), "both fit");
    }

    #[test]
    fn where_completing_takes_hardly_any_time_none_is_late_for_an_answer() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        waiting.answered(170 * MS);
        for _ in 0..10 {
            waiting.given_up(false, now);
            assert!(!waiting.is_worth_it(BUDGET, 19 * MS, now));
        }
        assert!(waiting.is_worth_it(BUDGET, 20 * MS, now));
    }

    #[test]
    fn a_server_that_does_not_answer_at_all_is_waited_for_seldom() {
        let mut now = Instant::now();
        let mut waiting = Waiting::default();
        let mut waits = 0;
        for _ in 0..300 {
            let worth = waiting.is_worth_it(BUDGET, 100 * MS, now);
            waits += u32::from(worth);
            now += 33 * MS;
            waiting.given_up(worth, now);
        }
        assert!((6..=18).contains(&waits), "{waits} of 300 frames waited");
    }
}
