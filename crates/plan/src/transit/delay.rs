// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that are late: for the rate of the link, or for another reason.

use std::time::Instant;

use super::{DEVIATIONS, Sent, Transit, USUAL, waited};

/// An overdue frame is late by this share of what was expected, too.
const SHARE: f64 = 0.3;
/// What an idle system is late by anyway.
const SLACK: f64 = 0.003;
/// Bytes a second that a link is taken to have at least: half of the slowest that are meant here. A frame that would need a slower
/// one was lost, or stood still with all others.
const SLOWEST: f64 = 15_625.0;
/// So many frames in a row that took longer for another reason than their size show a longer way.
const LONGER: usize = 3;

impl Transit {
    /// Frames that should have been answered by now.
    pub(super) fn overdue(&self, now: Instant) -> impl Iterator<Item = &Sent> {
        let late = DEVIATIONS * self.deviation + SLACK;
        let sent = self.sent.iter();
        sent.filter(move |s| waited(s, now) > s.expected * (1.0 + SHARE) + late)
    }

    /// For how long, seconds, the link has let nothing through for another reason than its rate; most likely it will not for
    /// as long again.
    pub fn stall(&self, now: Instant) -> f64 {
        let delayed =
            |s: &&Sent| !s.overtaken && self.is_delay(s.bytes, waited(s, now) - self.rtt());
        let overdue = self.overdue(now).filter(delayed);
        let overdue = overdue.map(|s| waited(s, now) - s.expected);
        overdue.fold(self.stalled.unwrap_or_default(), f64::max)
    }

    /// Whether a frame that kept the link busy for so long did so for another reason than that the link is slower: for a
    /// small one the rate would have to have fallen by far more than the round trip would have to have grown.
    pub(super) fn is_delay(&self, bytes: f64, seconds: f64) -> bool {
        let Some(rate) = self.rate.get() else {
            return false;
        };
        let usual = bytes / rate;
        let slower = seconds / usual;
        let longer = 1.0 + (seconds - usual) / self.rtt().max(USUAL);
        slower > 1.0 && (longer < slower.sqrt() || bytes < SLOWEST * seconds)
    }

    /// Rate and round trip are not what they were taken for.
    pub(super) fn is_explained(&mut self, rate: f64, trip: f64, at: Instant) {
        self.longer.clear();
        self.rounds.clear();
        self.told.clear();
        self.trips.clear();
        self.trips.push_back((at, trip));
        self.doubtful = false;
        self.informed = Some(at);
        self.rate.restart(rate);
    }

    /// One frame took longer for another reason than its size.
    pub(super) fn took_longer(&mut self, trip: f64, at: Instant) {
        self.longer.push(trip);
        if self.longer.len() == LONGER {
            let least = self.longer.iter().copied().fold(f64::INFINITY, f64::min);
            self.longer.clear();
            self.told.clear();
            self.trips.clear();
            self.trips.push_back((at, least));
        }
    }
}
