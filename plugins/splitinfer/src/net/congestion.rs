// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Congestion control for frames on links that lose packets: CUBIC (RFC 9438), which is told of a loss only where it is a sign of
//! congestion ([`LossJudge`]).

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use splitinfer_wire::LossJudge;

/// Makes the controllers of connections.
#[derive(Debug, Default)]
pub struct Lossy {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Lossy {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(LossyCubic {
            cubic: self.cubic.clone().build(now, current_mtu),
            judge: LossJudge::default(),
            begun: now,
        })
    }
}

/// See the module's documentation.
struct LossyCubic {
    cubic: Box<dyn Controller>,
    judge: LossJudge,
    begun: Instant,
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
        let since = now.saturating_duration_since(self.begun);
        self.judge.acknowledged(bytes, rtt.get(), since);
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
            begun: self.begun,
        })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_window_keeps_its_size_where_there_is_no_queue_and_shrinks_where_a_router_says_so() {
        let now = Instant::now();
        let mut controller = Arc::new(Lossy::default()).build(now, 1200);
        let window = controller.window();
        controller.on_congestion_event(now, now, false, 3600);
        assert_eq!(controller.window(), window);
        assert_eq!(controller.clone_box().window(), window);
        let later = now + Duration::from_millis(1);
        controller.on_congestion_event(later, later, false, 0);
        assert!(controller.window() < window);
    }
}
