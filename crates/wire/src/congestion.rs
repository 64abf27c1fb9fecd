// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whether a lost packet is a sign of congestion.
//!
//! CUBIC takes every loss for one. On a radio link that loses one packet in twenty its window so shrinks to about ten
//! packets, whatever the link could carry, and a larger frame takes several round trips. But a link that is congested has a
//! queue, which shows in the round trip, or drops much.

use std::time::Duration;

/// A round trip that is longer than the least by this, and by this share of it, shows a queue. A frame of ours makes a short one
/// itself.
const QUEUE: Duration = Duration::from_millis(15);
const QUEUE_SHARE: f64 = 0.5;
/// Of what was sent lately: who loses more than this sends too much, whatever the round trip says.
const MUCH: f64 = 0.12;
/// What "lately" is, bytes: long enough that some bursts of losses do not look like many.
const MEMORY: f64 = 1_000_000.0;
/// The least round trip is that of the last one or two such times: a path may change, and a single sample be wrong.
const PERIOD: Duration = Duration::from_secs(5);

/// Tells losses of congestion from others. Times are those since any one instant.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossJudge {
    /// Bytes, older ones counting less.
    arrived: f64,
    lost: f64,
    rtt: Duration,
    least: Option<Least>,
}

/// The least round trip of this period and of the one before, as it is smoothed.
#[derive(Clone, Copy, Debug)]
struct Least {
    since: Duration,
    before: Duration,
    now: Duration,
}

impl LossJudge {
    /// So many bytes were acknowledged; `rtt`: the round trip as it is smoothed.
    pub fn acknowledged(&mut self, bytes: u64, rtt: Duration, now: Duration) {
        self.pass(bytes);
        self.arrived += bytes as f64;
        self.rtt = rtt;
        let least = self.least.get_or_insert(Least {
            since: now,
            before: rtt,
            now: rtt,
        });
        if now.saturating_sub(least.since) > PERIOD {
            *least = Least {
                since: now,
                before: least.now,
                now: rtt,
            };
        }
        least.now = least.now.min(rtt);
    }

    /// So many bytes were lost.
    pub fn lost(&mut self, bytes: u64) {
        self.pass(bytes);
        self.lost += bytes as f64;
    }

    fn pass(&mut self, bytes: u64) {
        let left = (-(bytes as f64) / MEMORY).exp();
        self.arrived *= left;
        self.lost *= left;
    }

    /// There is a queue, or much is lost.
    pub fn is_congested(&self) -> bool {
        // At first there is too little to take a share of.
        let all = (self.arrived + self.lost).max(MEMORY / 2.0);
        let much = self.lost > MUCH * all;
        let least = self
            .least
            .map_or(self.rtt, |least| least.now.min(least.before));
        let queue = self.rtt.saturating_sub(least);
        much || queue > QUEUE.max(least.mul_f64(QUEUE_SHARE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// After packets at intervals of 4 ms, of which these are lost, with such round trips.
    fn judge(lose: impl Fn(u32) -> bool, rtt: impl Fn(u32) -> Duration) -> LossJudge {
        let mut judge = LossJudge::default();
        for i in 0..4000 {
            match lose(i) {
                true => judge.lost(1200),
                false => judge.acknowledged(1200, rtt(i), 4 * i * MS),
            }
        }
        judge
    }

    fn steady(_: u32) -> Duration {
        40 * MS
    }

    /// At the end.
    fn late(ms: u32) -> impl Fn(u32) -> Duration {
        move |i| if i < 3900 { 40 * MS } else { ms * MS }
    }

    #[test]
    fn bursts_of_five_percent_without_a_queue_are_no_congestion() {
        assert!(!judge(|i| i % 60 < 3, late(45)).is_congested());
    }

    #[test]
    fn a_loss_with_a_queue_is() {
        assert!(judge(|i| i == 3990, late(61)).is_congested());
        assert!(!judge(|i| i == 3990, late(59)).is_congested());
    }

    #[test]
    fn a_path_that_has_become_longer_is_no_queue_for_ever() {
        let longer = |i: u32| if i < 10 { 20 * MS } else { 45 * MS };
        assert!(!judge(|_| false, longer).is_congested());
        assert!(judge(|_| false, late(80)).is_congested());
    }

    #[test]
    fn much_loss_is_and_is_forgotten() {
        assert!(judge(|i| i % 7 == 0, steady).is_congested());
        assert!(!judge(|i| i < 2000 && i % 7 == 0, steady).is_congested());
    }
}
