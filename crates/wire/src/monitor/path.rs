// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What replies tell beside bandwidth: delay that changes, and loss each way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::bandwidth::Estimate;
use crate::message::Load;
use crate::rtt::RttEstimator;

/// Losses are those of about so long.
const LOSS_MEMORY: Duration = Duration::from_secs(10);
/// The least delay is forgotten after one to two of these: the two clocks drift apart.
const LEAST_MEMORY: Duration = Duration::from_secs(30);
const MOST_COUNTS: usize = 128;

/// Whether the server answers probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// Not known yet.
    #[default]
    Trying,
    Reachable,
    /// So many probes went unanswered that something seems to be in the way; others have to say how the path is.
    Blocked,
}

/// What the monitor knows.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub reachability: Reachability,
    /// Of small packets.
    pub rtt: Option<RttEstimator>,
    /// How much longer than the least of the last half minute the last packet took, each way.
    pub delay_up: Duration,
    pub delay_down: Duration,
    /// Share of packets lost in the last ten seconds, each way.
    pub loss_up: f64,
    pub loss_down: f64,
    pub bandwidth: Option<Estimate>,
    /// As the server last told; tails of zero are not known.
    pub load: Option<Load>,
    /// The monitor's own traffic, IP and UDP headers included.
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// One direction's delay against its least, on clocks that are not compared.
#[derive(Debug, Default)]
pub(super) struct Delay {
    reference: Option<u32>,
    least: Option<(i32, Instant)>,
    coming: Option<i32>,
    pub(super) above: Duration,
}

impl Delay {
    /// Instants of sending and arrival, each of its own clock, µs modulo 2³².
    pub(super) fn add(&mut self, now: Instant, sent: u32, arrived: u32) {
        let difference = arrived.wrapping_sub(sent);
        let reference = *self.reference.get_or_insert(difference);
        let delay = difference.wrapping_sub(reference) as i32;
        let coming = self.coming.map_or(delay, |least| least.min(delay));
        self.coming = Some(coming);
        let (least, since) = self.least.unwrap_or((delay, now));
        self.least = Some(if now.saturating_duration_since(since) > LEAST_MEMORY {
            self.coming = Some(delay);
            (coming, now)
        } else {
            (least.min(delay), since)
        });
        let least = self.least.map_or(delay, |(least, _)| least);
        self.above = Duration::from_micros(i64::from(delay).abs_diff(i64::from(least)));
    }
}

/// Of sent packets those that came, from running counts of both.
#[derive(Debug, Default)]
pub(super) struct Losses {
    counts: VecDeque<(Instant, u32, u32)>,
}

impl Losses {
    /// Running counts at one moment; those of an earlier moment that come late are ignored.
    pub(super) fn add(&mut self, now: Instant, sent: u32, came: u32) {
        if self.counts.back().is_some_and(|last| last.1 >= sent) {
            return;
        }
        self.counts.push_back((now, sent, came));
        let old = |at: Instant| now.saturating_duration_since(at) > LOSS_MEMORY;
        while self.counts.len() > MOST_COUNTS || self.counts.len() > 2 && old(self.counts[0].0) {
            self.counts.pop_front();
        }
    }

    pub(super) fn share(&self) -> f64 {
        let (Some(first), Some(last)) = (self.counts.front(), self.counts.back()) else {
            return 0.0;
        };
        let sent = last.1.wrapping_sub(first.1);
        let came = last.2.wrapping_sub(first.2).min(sent);
        if sent == 0 {
            return 0.0;
        }
        1.0 - f64::from(came) / f64::from(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_is_counted_from_its_least_whatever_the_clocks_say() {
        let mut delay = Delay::default();
        let now = Instant::now();
        delay.add(now, u32::MAX - 10, 5_000);
        delay.add(now, 1_000, 9_011);
        assert_eq!(delay.above, Duration::from_micros(3_000));
        delay.add(now, 2_000, 7_011);
        assert_eq!(delay.above, Duration::ZERO);
    }

    #[test]
    fn losses_are_the_difference_of_the_counts() {
        let mut losses = Losses::default();
        let now = Instant::now();
        losses.add(now, 10, 10);
        losses.add(now, 110, 105);
        losses.add(now, 90, 90);
        assert!((losses.share() - 0.05).abs() < 1e-9);
    }
}
