// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What comes after the first, short packet of a train: how much, in how many packets, and whether one of them goes ahead.

use std::time::Duration;

use super::bandwidth::Trains;
use super::{MAX_DATAGRAM_BYTES, MIN_PROBE_BYTES};
use crate::rtt::RttEstimator;

/// Packets after the first of a train.
const MOST_PACKETS: usize = 8;
/// Wire bytes after the first packet, at least: a quarter of what half a second of 250 kbit/s allows.
pub(super) const LEAST_BYTES: f64 = 200.0;
/// Wire bytes of a packet that a train's bytes are split into, about.
const USUAL_PACKET: f64 = 600.0;
/// Where a shaper lets a bucket of bytes pass at once, so much more than that bucket as trains have shown it, and then this.
const BUCKET_MARGIN: f64 = 1.2;
const LEAST_BEHIND_BUCKET: f64 = 800.0;
/// Wire bytes from which a train is held back until a single packet of it has shown that the link is still what it was: on one
/// that has fallen to a hundredth it would keep frames waiting for as long as thirty of them take.
const SCOUTED_BYTES: f64 = 3_000.0;
/// That packet may take as long as on a link so many times slower, and this, beside what usual scatter explains.
const SCOUT_SLOWER: f64 = 4.0;
const SCOUT_SLACK: Duration = Duration::from_millis(5);

/// Equal packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    pub(super) packets: usize,
    /// Bytes of each datagram.
    pub(super) each: usize,
    /// Bytes around each of them on the wire.
    overhead: u32,
}

impl Behind {
    /// As many bytes as the link passes in `time`, or as a shaper on the way asks for.
    pub(super) fn of(trains: &Trains, time: Duration, overhead: u32) -> Self {
        let first = MIN_PROBE_BYTES as f64 + f64::from(overhead);
        let bytes = (trains.bytes_in(time) - first).max(LEAST_BYTES);
        let bucket = trains.bucket();
        if bucket > 0.0 {
            // As many packets as may be, so that enough of them come after the bucket's.
            let bytes = bucket * BUCKET_MARGIN + bytes.max(LEAST_BEHIND_BUCKET);
            return Self::split(bytes, MOST_PACKETS, overhead);
        }
        let packets = ((bytes / USUAL_PACKET) as usize).clamp(1, MOST_PACKETS);
        Self::split(bytes, packets, overhead)
    }

    fn split(bytes: f64, packets: usize, overhead: u32) -> Self {
        let each = (bytes / packets as f64) as usize;
        let each = each.saturating_sub(overhead as usize);
        Self {
            packets,
            each: each.clamp(MIN_PROBE_BYTES, MAX_DATAGRAM_BYTES),
            overhead,
        }
    }

    pub(super) fn wire_bytes(self) -> f64 {
        self.packets as f64 * self.packet_bytes()
    }

    fn packet_bytes(self) -> f64 {
        self.each as f64 + f64::from(self.overhead)
    }

    /// Whether one of the packets goes ahead. A shaper's bucket would let it pass whatever the rate behind it.
    pub(super) fn is_scouted(self, trains: &Trains) -> bool {
        trains.bucket() == 0.0 && self.wire_bytes() > SCOUTED_BYTES
    }

    /// What follows the packet that went ahead and was answered after `rtt`, on a link of `rate` bytes a second so far.
    pub(super) fn after_scout(
        self,
        rtt: Duration,
        usual: Option<&RttEstimator>,
        rate: f64,
    ) -> Self {
        let above = usual.map_or(Duration::ZERO, |usual| {
            rtt.saturating_sub(usual.least() + usual.variation() * 4)
        });
        let slower = SCOUT_SLOWER * self.packet_bytes() / rate;
        match above <= Duration::from_secs_f64(slower) + SCOUT_SLACK {
            true => self,
            false => Self::split(LEAST_BYTES, 1, self.overhead),
        }
    }
}
