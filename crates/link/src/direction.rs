// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One direction of a link: what becomes of a packet.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::jitter::Jitter;
use crate::{GilbertElliott, Trace, Way};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, so long after the beginning of the trace.
    Arrives(Duration),
    Lost(Loss),
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue was full.
    Overflow,
    /// On the way, as the loss of the direction has it.
    Noise,
    /// The link was cut.
    Cut,
    /// The link has no rate, and gets none any more.
    Stalled,
}

/// One direction. As the trace is known, so is the fate of a packet when it is sent; a copy of the direction
/// tells what would become of other packets.
#[derive(Clone, Debug)]
pub struct Direction {
    way: Way,
    /// When each packet leaves the queue, and its bytes; in order.
    waiting: VecDeque<(Duration, u64)>,
    /// Sum of the bytes in `waiting`.
    waiting_bytes: u64,
    busy_until: Duration,
    last_arrival: Duration,
    loss: GilbertElliott,
    jitter: Jitter,
    dice: ChaCha8Rng,
}

impl Direction {
    /// An idle direction.
    pub fn new(way: Way, seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(way as u64);
        Self {
            way,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            busy_until: Duration::ZERO,
            last_arrival: Duration::ZERO,
            loss: GilbertElliott::default(),
            jitter: Jitter::default(),
            dice,
        }
    }

    /// A packet of `bytes` is sent `now`, counted from the beginning of the trace. Times must not go back.
    pub fn send(&mut self, trace: &Trace, now: Duration, bytes: u64) -> Fate {
        self.leave(now);
        let here = trace.at(now).conditions(self.way);
        if here.cut {
            return Fate::Lost(Loss::Cut);
        }
        if self.waiting_bytes + bytes > here.queue {
            return Fate::Lost(Loss::Overflow);
        }
        let begin = self.busy_until.max(now);
        let Some(left) = trace.served(self.way, begin, bytes) else {
            return Fate::Lost(Loss::Stalled);
        };
        self.busy_until = left;
        self.waiting.push_back((left, bytes));
        self.waiting_bytes += bytes;
        self.fly(trace, left)
    }

    /// When the last packet that was accepted leaves the queue.
    pub fn busy_until(&self) -> Duration {
        self.busy_until
    }

    /// Bytes that wait, with what is just being sent.
    pub fn queued(&mut self, now: Duration) -> u64 {
        self.leave(now);
        self.waiting_bytes
    }

    fn leave(&mut self, now: Duration) {
        while let Some((left, bytes)) = self.waiting.front()
            && *left <= now
        {
            self.waiting_bytes -= bytes;
            self.waiting.pop_front();
        }
    }

    /// From the end of the queue to the other side.
    fn fly(&mut self, trace: &Trace, left: Duration) -> Fate {
        let there = trace.at(left).conditions(self.way);
        if there.cut {
            return Fate::Lost(Loss::Cut);
        }
        let (loss, burst) = (there.loss, there.burst);
        if self.loss.loses(left, loss, burst, &mut self.dice) {
            return Fate::Lost(Loss::Noise);
        }
        let jitter = self.jitter.next(left, there.jitter, &mut self.dice);
        let arrival = (left + there.delay + jitter).max(self.last_arrival);
        if there.reorder > 0.0 && self.dice.random_bool(there.reorder.clamp(0.0, 1.0)) {
            let held = there.delay.mul_f64(self.dice.random());
            return Fate::Arrives(arrival + held);
        }
        self.last_arrival = arrival;
        Fate::Arrives(arrival)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn arrivals(trace: &str, packets: &[(u64, u64)]) -> Vec<Fate> {
        let trace: Trace = trace.parse().unwrap();
        let mut up = Direction::new(Way::Up, 7);
        let send = |(at, bytes): &(u64, u64)| up.send(&trace, *at as u32 * MS, *bytes);
        packets.iter().map(send).collect()
    }

    #[test]
    fn packets_queue_at_the_rate() {
        let fates = arrivals(
            "0s rate=8Mbit/s delay=5ms",
            &[(0, 1000), (0, 1000), (100, 1000)],
        );
        let expected = [6, 7, 106].map(|ms| Fate::Arrives(ms * MS));
        assert_eq!(fates, expected);
    }

    #[test]
    fn a_packet_is_served_across_a_change_of_rate() {
        // 1000 bytes at 4 Mbit/s take 2 ms; after 1 ms the rate is a quarter.
        let trace = "0s rate=4Mbit/s\n1ms rate=1Mbit/s";
        assert_eq!(arrivals(trace, &[(0, 1000)]), [Fate::Arrives(5 * MS)]);
    }

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        let fates = arrivals(
            "0s rate=8Mbit/s queue=2000B",
            &[(0, 1000), (0, 1000), (0, 1000), (1, 1000)],
        );
        assert_eq!(fates[2], Fate::Lost(Loss::Overflow));
        assert_eq!(fates[3], Fate::Arrives(3 * MS));
    }

    #[test]
    fn a_cut_loses_what_is_sent_and_what_waits() {
        let trace = "0s rate=8Mbit/s\n5ms cut=yes\n10ms cut=no";
        let fates = arrivals(trace, &[(0, 3000), (0, 3000), (6, 1000), (10, 1000)]);
        assert_eq!(fates[0], Fate::Arrives(3 * MS));
        assert_eq!(fates[1], Fate::Lost(Loss::Cut));
        assert_eq!(fates[2], Fate::Lost(Loss::Cut));
        assert_eq!(fates[3], Fate::Arrives(11 * MS));
    }

    #[test]
    fn without_a_rate_packets_wait_or_are_stuck_for_ever() {
        let pause = "0s rate=8Mbit/s\n1ms rate=0\n20ms rate=8Mbit/s";
        assert_eq!(arrivals(pause, &[(0, 2000)]), [Fate::Arrives(21 * MS)]);
        let end = "0s rate=8Mbit/s\n1ms rate=0";
        assert_eq!(arrivals(end, &[(0, 2000)]), [Fate::Lost(Loss::Stalled)]);
    }

    #[test]
    fn held_back_packets_are_overtaken() {
        let packets: Vec<(u64, u64)> = (0..500).map(|i| (i, 100)).collect();
        let fates = arrivals("0s rate=8Mbit/s delay=20ms reorder=5%", &packets);
        let overtaken =
            |w: &&[Fate]| matches!((w[0], w[1]), (Fate::Arrives(a), Fate::Arrives(b)) if a > b);
        let count = fates.windows(2).filter(overtaken).count();
        assert!((10..=40).contains(&count), "{count}");
    }

    proptest! {
        #[test]
        fn without_reordering_order_is_kept_and_nothing_is_faster_than_the_link(
            sizes in prop::collection::vec(1u64..2000, 1..50),
            rate in 1u64..100,
            jitter in 0u64..20,
            seed: u64,
        ) {
            let trace: Trace = format!("0s rate={rate}00kbit/s delay=10ms jitter={jitter}ms queue=1MB").parse().unwrap();
            let mut up = Direction::new(Way::Up, seed);
            let mut last = Duration::ZERO;
            let mut bytes = 0;
            for size in sizes {
                bytes += size;
                let Fate::Arrives(at) = up.send(&trace, Duration::ZERO, size) else { panic!("lost") };
                prop_assert!(at >= last);
                let least = bytes as f64 * 8.0 / (rate as f64 * 1e5) + 0.01;
                prop_assert!(at.as_secs_f64() >= least - 1e-6);
                last = at;
            }
        }
    }
}
