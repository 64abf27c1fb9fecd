// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How much the monitor may send, and so when.

use std::time::{Duration, Instant};

/// Link time, in seconds, that a train out of turn may be in debt.
const MOST_DEBT: f64 = 0.012;
const LONGEST_DEBT: Duration = Duration::from_secs(5);

/// A share of the link's time, in bytes: a debt is worth what the link turns out to be.
#[derive(Debug)]
pub(super) struct Budget {
    interval: Duration,
    share: f64,
    /// Bytes that may be sent; below zero a debt.
    credit: f64,
    credited: Instant,
    /// When the last train began.
    begun: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant, interval: Duration, share: f64) -> Self {
        Self {
            interval,
            share,
            credit: 0.0,
            credited: now,
            begun: now,
        }
    }

    /// Time has passed on a link of `rate` bytes a second.
    pub(super) fn earn(&mut self, now: Instant, rate: f64) {
        let passed = now.saturating_duration_since(self.credited).as_secs_f64();
        self.credited = now;
        let income = self.share * rate;
        let most = income * self.interval.as_secs_f64();
        self.credit = (self.credit + passed * income).min(most);
    }

    /// A train begins.
    pub(super) fn spend(&mut self, now: Instant, bytes: f64) {
        self.credit -= bytes;
        self.begun = now;
    }

    /// To find the first estimate takes what it takes.
    pub(super) fn forgive(&mut self) {
        self.credit = self.credit.max(0.0);
    }

    pub(super) fn is_in_debt(&self) -> bool {
        self.credit < 0.0
    }

    /// When the last train began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    pub(super) fn allows_out_of_turn(&self, rate: f64) -> bool {
        self.credit > -MOST_DEBT * rate
    }

    /// When the interval is over and debts are paid.
    pub(super) fn next_in_turn(&self, now: Instant, rate: f64) -> Instant {
        let debt = (-self.credit).max(0.0);
        let pay_back = Duration::try_from_secs_f64(debt / (self.share * rate));
        let paid = now + pay_back.unwrap_or(LONGEST_DEBT).min(LONGEST_DEBT);
        paid.max(self.begun + self.interval)
    }
}
