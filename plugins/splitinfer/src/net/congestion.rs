// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Congestion control for frames on links that lose packets: CUBIC (RFC 9438), which is told of a loss only where it is a sign of
//! congestion.
//!
//! CUBIC takes every loss for one. On a radio link that loses one packet in twenty its window so shrinks to about ten
//! packets, whatever the link could carry, and a larger frame takes several round trips. But a link that is congested has a
//! queue, which shows in the round trip, or drops much.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

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

/// Makes the controllers of connections.
#[derive(Debug, Default)]
pub struct Lossy {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Lossy {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(LossyCubic {
            cubic: self.cubic.clone().build(now, current_mtu),
            judge: Judge::default(),
        })
    }
}

/// See the module's documentation.
struct LossyCubic {
    cubic: Box<dyn Controller>,
    judge: Judge,
}

impl Controller for LossyCubic {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.judge.acknowledged(bytes, rtt.get(), now);
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.cubic
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.judge.lost(lost_bytes);
        // Without lost bytes it is a router that says so.
        if lost_bytes == 0 || is_persistent_congestion || self.judge.is_congested() {
            self.cubic
                .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            cubic: self.cubic.clone_box(),
            judge: self.judge,
        })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Tells losses of congestion from others.
#[derive(Clone, Copy, Debug, Default)]
struct Judge {
    /// Bytes, older ones counting less.
    arrived: f64,
    lost: f64,
    rtt: Duration,
    least: Option<Least>,
}

/// The least round trip of this period and of the one before, as it is smoothed.
#[derive(Clone, Copy, Debug)]
struct Least {
    since: Instant,
    before: Duration,
    now: Duration,
}

impl Judge {
    fn acknowledged(&mut self, bytes: u64, rtt: Duration, now: Instant) {
        self.pass(bytes);
        self.arrived += bytes as f64;
        self.rtt = rtt;
        let least = self.least.get_or_insert(Least {
            since: now,
            before: rtt,
            now: rtt,
        });
        if now.saturating_duration_since(least.since) > PERIOD {
            *least = Least {
                since: now,
                before: least.now,
                now: rtt,
            };
        }
        least.now = least.now.min(rtt);
    }

    fn lost(&mut self, bytes: u64) {
        self.pass(bytes);
        self.lost += bytes as f64;
    }

    fn pass(&mut self, bytes: u64) {
        let left = (-(bytes as f64) / MEMORY).exp();
        self.arrived *= left;
        self.lost *= left;
    }

    fn is_congested(&self) -> bool {
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
    fn judge(lose: impl Fn(u32) -> bool, rtt: impl Fn(u32) -> Duration) -> Judge {
        let begun = Instant::now();
        let mut judge = Judge::default();
        for i in 0..4000 {
            match lose(i) {
                true => judge.lost(1200),
                false => judge.acknowledged(1200, rtt(i), begun + 4 * i * MS),
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

    #[test]
    fn the_window_keeps_its_size_where_there_is_no_queue_and_shrinks_where_a_router_says_so() {
        let now = Instant::now();
        let mut controller = Arc::new(Lossy::default()).build(now, 1200);
        let window = controller.window();
        controller.on_congestion_event(now, now, false, 3600);
        assert_eq!(controller.window(), window);
        assert_eq!(controller.clone_box().window(), window);
        controller.on_congestion_event(now + MS, now + MS, false, 0);
        assert!(controller.window() < window);
    }
}
