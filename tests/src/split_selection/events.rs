// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What happens next in a simulated run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The camera gives a frame.
    Captured(u32),
    /// The streaming thread is done with the frame that it had.
    Begun,
    /// A packet of this number is at the server.
    AtServer(u32),
    /// The edge hears of the first so many packets that came to the server.
    Acknowledged(u32),
    /// So long without a word from the server that something is sent again.
    Probe,
    /// This picture of the video is of no use any more to those behind it.
    Outlived(u32),
    /// The server's worker is done with the frame that it had.
    Served,
    /// The server sends the result of this frame (again).
    Reply(u32),
    /// The result of this frame is at the edge.
    Answered(u32),
    /// The frame at the front may have waited long enough.
    GiveUp,
    /// The source pad's task has completed this frame, unless an answer came before.
    Completed(u32),
    /// Nothing was sent for a while.
    KeepAlive,
    /// Another attempt to connect.
    Dial,
    Connected,
    /// The monitor's turn: a timer, or a datagram of this number at the server or the edge.
    Monitor,
    ProbeAtServer(u32),
    ReplyAtEdge(u32),
}

/// Events in order of time; of those at one time the first that was added comes first.
#[derive(Clone, Debug, Default)]
pub struct Events {
    heap: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    added: u64,
}

impl Events {
    pub fn add(&mut self, at: Duration, event: Event) {
        self.added += 1;
        self.heap.push(Reverse((at, self.added, event)));
    }

    pub fn pop(&mut self) -> Option<(Duration, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
