// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What one direction of a link is like for a while.

use std::time::Duration;

use crate::Burst;

/// One direction of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Bits a second; 0: packets wait in the queue.
    pub rate: u64,
    /// From the end of the queue to the other side.
    pub delay: Duration,
    /// Standard deviation of the process whose absolute value is added to the delay; packets keep their order.
    pub jitter: Duration,
    /// Share of packets that are lost after the queue, in the long run, 0 to 1.
    pub loss: f64,
    /// How many packets are lost in a row, or for how long.
    pub burst: Burst,
    /// Share of packets that are held back by up to one `delay` while the ones behind overtake.
    pub reorder: f64,
    /// Bytes that wait at most; a packet that does not fit any more is dropped.
    pub queue: u64,
    /// Nothing passes, nothing waits: what is sent or leaves the queue meanwhile is lost.
    pub cut: bool,
}

impl Default for Conditions {
    /// 100 Mbit/s, no delay, nothing lost; a queue of 256 kB.
    fn default() -> Self {
        Self {
            rate: 100_000_000,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: Burst::Packets(1.0),
            reorder: 0.0,
            queue: 256_000,
            cut: false,
        }
    }
}
