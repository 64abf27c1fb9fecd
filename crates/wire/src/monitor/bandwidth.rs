// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Bandwidth from packet trains: what the last ones show together.

use std::time::{Duration, Instant};

use super::train::{CLOCK_NOISE, Train};

/// Trains that are averaged at most.
const MOST_POOLED: usize = 8;
/// As many are averaged as bring the uncertainty down to this.
const WANTED: f64 = 0.05;
/// A train that differs by less is no sign of a change.
const TOLERANCE: f64 = 0.10;

/// Relative uncertainty up to which an estimate is more than a guess.
const CERTAIN: f64 = 0.3;
/// A train that cannot be made much larger.
const LARGEST: f64 = 6000.0;
/// Of a bucket that is remembered, at least.
const LEAST_BUCKET: f64 = 200.0;

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

impl Estimate {
    /// Whether it is more than a guess.
    pub fn is_certain(&self) -> bool {
        self.uncertainty <= CERTAIN
    }

    /// What it is almost surely not below.
    pub(super) fn least(&self) -> f64 {
        self.rate / (1.0 + 3.0 * self.uncertainty.min(1e3))
    }
}

/// Too fast for the clock, or passed a shaper at once; and a longer one would tell.
fn is_too_short(train: Train) -> bool {
    train.noise() > TOLERANCE && train.bytes < LARGEST
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
    /// Bytes that a shaper on the way lets pass at once, as far as trains have shown.
    bucket: f64,
    /// What the last train that could tell showed of it.
    seen: f64,
    /// Trains in a row that were as large as may be and told nothing.
    futile: u32,
}

impl Trains {
    /// True when another train is wanted at once: this one was too short, or shows a change that is to be confirmed.
    pub(super) fn add(&mut self, now: Instant, train: Train) -> bool {
        let before = self.estimate();
        if let Some(bucket) = train.bucket {
            self.saw_bucket(bucket);
        }
        if train.noise() <= CERTAIN {
            self.futile = 0;
        } else if train.bytes >= LARGEST {
            self.futile = self.futile.saturating_add(1);
        }
        if train.is_within_bucket() {
            return true;
        }
        if is_too_short(train) && self.last.is_some() {
            // Neither agrees nor differs.
        } else if let Some((last, _)) = self.last.replace((train, now))
            && !is_too_short(last)
        {
            if self.differences.len() == 5 {
                self.differences.remove(0);
            }
            let difference = (train.rate() / last.rate()).ln().abs();
            self.differences.push(difference);
        }
        let Some(before) = before.filter(|_| !self.pooled.is_empty()) else {
            self.pooled = vec![train];
            return train.noise() > TOLERANCE;
        };
        if !before.is_certain() && train.noise() < before.uncertainty / 4.0 {
            // A better look replaces a guess.
            self.odd = None;
            self.pooled = vec![train];
            return train.noise() > TOLERANCE;
        }
        let tolerance = TOLERANCE.max(2.5 * self.scatter().max(before.uncertainty));
        let off = (train.rate() / before.rate).ln();
        if off.abs() <= tolerance && train.noise() <= 2.0 * before.uncertainty.max(TOLERANCE) {
            self.odd = None;
            self.pool(train);
        } else if is_too_short(train) {
            // A longer one decides.
            self.odd = Some(train);
            return true;
        } else if let Some(odd) = self.odd.take()
            && ((odd.rate() / before.rate).ln() > 0.0) == (off > 0.0)
        {
            // The more certain of the two, and both where they are alike.
            self.pooled = vec![odd, train];
            if odd.noise() > 2.0 * train.noise() || (train.rate() / odd.rate()).ln().abs() > 0.5 {
                self.pooled = vec![train];
            }
            // The step is no scatter.
            let largest = self.differences.iter().copied().fold(0.0, f64::max);
            self.differences.retain(|d| *d < largest);
        } else {
            self.odd = Some(train);
            return true;
        }
        train.noise() > TOLERANCE
    }

    /// One train alone may have come at once because somebody on the way was late.
    fn saw_bucket(&mut self, bucket: f64) {
        // While frames pass it is empty; that is no reason to forget it at once.
        let kept = self.bucket * 0.8;
        let confirmed = if self.seen > 0.0 { bucket } else { 0.0 };
        if self.bucket == 0.0 && confirmed > 0.0 {
            // Trains before this one may have passed at once without telling it.
            self.differences.clear();
            self.pooled.clear();
            self.odd = None;
        }
        self.seen = bucket;
        self.bucket = confirmed.max(if kept < LEAST_BUCKET { 0.0 } else { kept });
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

    /// The link is too fast for any train, or lets so much pass at once that it may as well be slow.
    pub(super) fn are_futile(&self) -> bool {
        self.futile >= 2
    }

    /// The rate that one train has shown and the next is to confirm.
    pub(super) fn suspected(&self) -> Option<f64> {
        let odd = self.odd.filter(|odd| odd.noise() <= TOLERANCE);
        odd.map(Train::rate)
    }

    /// Bytes that a train must have before those that count.
    pub(super) fn bucket(&self) -> f64 {
        self.bucket
    }

    /// A train of this size may be sent: what is surely not more than `time` of the link.
    pub(super) fn bytes_in(&self, time: Duration) -> f64 {
        let guess = match (self.odd, self.estimate()) {
            (Some(odd), _) => odd.rate() / (1.0 + 3.0 * odd.noise()),
            (None, Some(e)) => e.least(),
            (None, None) => 0.0,
        };
        guess * time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_train_changes_nothing_and_two_alike_change_all() {
        let train = |rate: f64| Train {
            bytes: rate * 0.01,
            seconds: 0.01,
            bucket: None,
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
