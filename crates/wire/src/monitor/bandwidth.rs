// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Bandwidth from packet trains: what one train shows, and what the last ones show together.

use std::time::{Duration, Instant};

/// Below this, instants of arrival say nothing: what a waiting program is late by.
const CLOCK_NOISE: f64 = 30e-6;
/// Trains that are averaged at most.
const MOST_POOLED: usize = 8;
/// As many are averaged as bring the uncertainty down to this.
const WANTED: f64 = 0.05;
/// A train that differs by less is no sign of a change.
const TOLERANCE: f64 = 0.10;

/// One train: wire bytes of the packets that followed another one of the train, and the time between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Train {
    pub(super) bytes: f64,
    pub(super) seconds: f64,
}

impl Train {
    /// `packets`: number, wire bytes, instant of arrival in µs; in the order of their numbers. Only neighbours count, so
    /// that a packet that was lost leaves no gap that looks like a slow link.
    pub(super) fn new(packets: &[(u32, u32, i64)]) -> Option<Self> {
        let (mut bytes, mut micros) = (0.0, 0);
        for pair in packets.windows(2) {
            if pair[0].0.checked_add(1) == Some(pair[1].0) {
                bytes += f64::from(pair[1].1);
                micros += pair[1].2 - pair[0].2;
            }
        }
        (bytes > 0.0 && micros >= 0).then_some(Self {
            bytes,
            seconds: micros as f64 * 1e-6,
        })
    }

    fn rate(self) -> f64 {
        self.bytes / self.seconds.max(1e-6)
    }

    /// Relative uncertainty by the clock alone.
    fn noise(self) -> f64 {
        CLOCK_NOISE / self.seconds.max(1e-6)
    }
}

/// What the trains show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Bytes a second from edge to server, IP and UDP headers included: the bottleneck's capacity as trains find it.
    pub rate: f64,
    /// Relative standard error; large when trains were too short for the clock, and the rate then a guess.
    pub uncertainty: f64,
    /// When the last train came back.
    pub at: Instant,
}

/// The last trains since the rate has changed.
#[derive(Debug, Default)]
pub(super) struct Trains {
    pooled: Vec<Train>,
    /// A train that does not fit; the next one decides.
    odd: Option<Train>,
    /// Relative differences between trains that followed each other.
    differences: Vec<f64>,
    last: Option<(Train, Instant)>,
}

impl Trains {
    /// True when another train is wanted at once: this one was too short, or shows a change that is to be confirmed.
    pub(super) fn add(&mut self, now: Instant, train: Train) -> bool {
        let before = self.estimate();
        if let Some((last, _)) = self.last.replace((train, now)) {
            if self.differences.len() == 5 {
                self.differences.remove(0);
            }
            let difference = (train.rate() / last.rate()).ln().abs();
            self.differences.push(difference);
        }
        let Some(before) = before else {
            self.pooled = vec![train];
            return train.noise() > TOLERANCE;
        };
        let tolerance = TOLERANCE.max(2.5 * self.scatter().max(before.uncertainty));
        let off = (train.rate() / before.rate).ln();
        if off.abs() <= tolerance && train.noise() <= 2.0 * before.uncertainty.max(TOLERANCE) {
            self.odd = None;
            self.pool(train);
        } else if before.uncertainty > TOLERANCE && train.noise() < before.uncertainty {
            // A better look replaces a guess.
            self.odd = None;
            self.pooled = vec![train];
        } else if let Some(odd) = self.odd.take()
            && ((odd.rate() / before.rate).ln() > 0.0) == (off > 0.0)
        {
            // The more certain of the two, and both where they are alike.
            self.pooled = vec![odd, train];
            if odd.noise() > 2.0 * train.noise() || (train.rate() / odd.rate()).ln().abs() > 0.5 {
                self.pooled = vec![train];
            }
        } else {
            self.odd = Some(train);
            return true;
        }
        train.noise() > TOLERANCE
    }

    fn pool(&mut self, train: Train) {
        self.pooled.push(train);
        let scatter = self.scatter();
        let enough = (scatter / WANTED).powi(2).ceil().max(1.0) as usize;
        let keep = enough.min(MOST_POOLED);
        let drop = self.pooled.len().saturating_sub(keep);
        self.pooled.drain(..drop);
    }

    /// Of one train, by how much those that followed each other differ; the median, which one step does not move.
    fn scatter(&self) -> f64 {
        let mut sorted = self.differences.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    pub(super) fn estimate(&self) -> Option<Estimate> {
        let (_, at) = self.last?;
        let bytes: f64 = self.pooled.iter().map(|t| t.bytes).sum();
        let seconds: f64 = self.pooled.iter().map(|t| t.seconds).sum();
        let n = self.pooled.len() as f64;
        let clock = CLOCK_NOISE * n.sqrt() / seconds.max(1e-6);
        Some(Estimate {
            rate: bytes / seconds.max(1e-6),
            uncertainty: clock.max(self.scatter() / n.sqrt()),
            at,
        })
    }

    /// A train of this size may be sent: what is surely not more than `time` of the link.
    pub(super) fn bytes_in(&self, time: Duration) -> f64 {
        let guess = match (self.odd, self.estimate()) {
            (Some(odd), _) => odd.rate() / (1.0 + 3.0 * odd.noise()),
            (None, Some(e)) => e.rate / (1.0 + 3.0 * e.uncertainty.min(1e3)),
            (None, None) => 0.0,
        };
        guess * time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_packet_is_no_gap() {
        let packets = [
            (1, 100, 0),
            (2, 1000, 1000),
            (4, 1000, 3000),
            (5, 1000, 4000),
        ];
        let train = Train::new(&packets).unwrap();
        assert_eq!((train.bytes, train.seconds), (2000.0, 0.002));
        assert_eq!(Train::new(&packets[..1]), None);
    }

    #[test]
    fn one_odd_train_changes_nothing_and_two_alike_change_all() {
        let train = |rate: f64| Train {
            bytes: rate * 0.01,
            seconds: 0.01,
        };
        let mut trains = Trains::default();
        let now = Instant::now();
        (0..6).for_each(|_| assert!(!trains.add(now, train(1e5))));
        assert!(trains.add(now, train(5e4)), "to be confirmed");
        assert!((trains.estimate().unwrap().rate / 1e5 - 1.0).abs() < 1e-6);
        trains.add(now, train(5e4));
        assert!((trains.estimate().unwrap().rate / 5e4 - 1.0).abs() < 0.05);
    }
}
