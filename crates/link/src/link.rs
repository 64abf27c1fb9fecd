// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Both directions of a link, with the packets that are under way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use crate::{Direction, Fate, Trace};

/// A direction: from the edge to the server, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    Up,
    Down,
}

/// A link that holds packets of any kind until they arrive.
#[derive(Clone, Debug)]
pub struct Link<P> {
    trace: Arc<Trace>,
    start: Instant,
    lines: [Line<P>; 2],
}

#[derive(Clone, Debug)]
struct Line<P> {
    direction: Direction,
    flying: BinaryHeap<Flying<P>>,
    sent: u64,
}

/// Ordered by arrival, then as they were sent.
#[derive(Clone, Debug)]
struct Flying<P> {
    key: Reverse<(Instant, u64)>,
    packet: P,
}

impl<P> Link<P> {
    /// An idle link whose trace begins at `start`.
    pub fn new(trace: Arc<Trace>, start: Instant, seed: u64) -> Self {
        let line = |way| Line {
            direction: Direction::new(way, seed),
            flying: BinaryHeap::new(),
            sent: 0,
        };
        Self {
            trace,
            start,
            lines: [line(Way::Up), line(Way::Down)],
        }
    }

    /// Sends a packet that takes `bytes` on the wire. What it becomes is known at once, and told; a packet that
    /// arrives is handed out by [`receive`](Self::receive). Times must not go back.
    pub fn send(&mut self, now: Instant, way: Way, bytes: u64, packet: P) -> Fate {
        let line = &mut self.lines[way as usize];
        let since = now.saturating_duration_since(self.start);
        let fate = line.direction.send(&self.trace, since, bytes);
        if let Fate::Arrives(at) = fate {
            line.sent += 1;
            line.flying.push(Flying {
                key: Reverse((self.start + at, line.sent)),
                packet,
            });
        }
        fate
    }

    /// The next packet that has arrived by `now`.
    pub fn receive(&mut self, now: Instant, way: Way) -> Option<P> {
        let flying = &mut self.lines[way as usize].flying;
        flying.peek().filter(|f| f.key.0.0 <= now)?;
        flying.pop().map(|f| f.packet)
    }

    /// When the next packet arrives, either way.
    pub fn next_arrival(&self) -> Option<Instant> {
        let next = |line: &Line<P>| line.flying.peek().map(|f| f.key.0.0);
        self.lines.iter().filter_map(next).min()
    }

    /// Bytes that wait to be sent that way.
    pub fn queued(&mut self, now: Instant, way: Way) -> u64 {
        let since = now.saturating_duration_since(self.start);
        self.lines[way as usize].direction.queued(since)
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

impl<P> PartialEq for Flying<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<P> Eq for Flying<P> {}

impl<P> PartialOrd for Flying<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Flying<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_two_directions_know_nothing_of_each_other() {
        let trace: Trace = "0s up.rate=1Mbit/s down.rate=8Mbit/s up.delay=1ms down.delay=2ms"
            .parse()
            .unwrap();
        let start = Instant::now();
        let mut link = Link::new(trace.into(), start, 3);
        link.send(start, Way::Up, 1000, 'u');
        link.send(start, Way::Down, 1000, 'd');
        assert_eq!(link.next_arrival(), Some(start + 3 * MS));
        assert_eq!(link.receive(start + 2 * MS, Way::Down), None);
        assert_eq!(link.receive(start + 3 * MS, Way::Up), None);
        assert_eq!(link.receive(start + 3 * MS, Way::Down), Some('d'));
        assert_eq!(link.next_arrival(), Some(start + 9 * MS));
        assert_eq!(link.receive(start + 9 * MS, Way::Up), Some('u'));
        assert_eq!(link.next_arrival(), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_packets() {
        let trace: Arc<Trace> = Arc::new(
            "0s rate=2Mbit/s delay=10ms jitter=5ms loss=10% burst=2 reorder=3%"
                .parse()
                .unwrap(),
        );
        let start = Instant::now();
        let fates = |seed| {
            let mut link = Link::new(Arc::clone(&trace), start, seed);
            let send = |i: u32| link.send(start + i * MS, Way::Up, 200, i);
            (0..300).map(send).collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }
}
