// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Why frames take longer than they did: for a slower link or for a longer way. One small frame cannot tell; several of
//! different sizes can, as on a slower link the larger ones take longer, and those that come close together wait for each other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames that are looked at.
const MOST: usize = 8;
const FEWEST: usize = 4;
/// They take longer if it is by so many seconds and by this part of the round trip.
const LONGER_BY: f64 = 0.02;
const LONGER_BY_SHARE: f64 = 0.5;
/// The part that a slower link may leave of the squared error that a longer way leaves.
const LEFT: f64 = 0.25;
/// Factor between two rates that are tried, and by how much the rate may have fallen.
const STEP: f64 = 1.1;
const FURTHEST: f64 = 1000.0;
/// Bytes a second below which no rate is tried.
const SLOWEST: f64 = 15_625.0;
/// Round trips that scatter by no more than this, seconds, need no explanation.
const LEAST_SCATTER: f64 = 0.003;
/// What leaves them scattering by more than this part of the trip that it finds is none: some of them passed before a change.
const MOST_SCATTER: f64 = 0.5;

#[derive(Clone, Copy, Debug)]
struct Round {
    sent: Instant,
    /// On the wire.
    bytes: f64,
    /// Seconds from sending to the answer, without the server's work.
    trip: f64,
}

/// The last frames that were answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(VecDeque<Round>);

impl Rounds {
    pub(super) fn add(&mut self, sent: Instant, bytes: f64, trip: f64) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Round { sent, bytes, trip });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The rate, bytes a second, at which the last frames took as long as they did, if that explains them far better than a longer
    /// way with the link's `rate` of before. `trip`: seconds of the round trip before.
    pub(super) fn slower(&self, rate: f64, trip: f64) -> Option<f64> {
        let by = LONGER_BY.max(trip * LONGER_BY_SHARE);
        let longer = |r: &&Round| r.trip >= trip + r.bytes / rate + by;
        let since = self.0.iter().rev().take_while(longer).count();
        if since < FEWEST {
            return None;
        }
        let last = || self.0.iter().skip(self.0.len() - since);
        let ways = last().map(|r| r.trip - r.bytes / rate);
        let mean = ways.clone().sum::<f64>() / since as f64;
        let by_way: f64 = ways.map(|way| (way - mean).powi(2)).sum();
        let rates = std::iter::successors(Some(rate / STEP), |r| Some(r / STEP));
        let (by_rate, slower) = rates
            .take_while(|slower| *slower > rate / FURTHEST)
            .map(|slower| (error_at(last(), slower, trip), slower))
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        (by_rate < by_way * LEFT).then_some(slower)
    }

    /// The rate and the seconds of the round trip that explain together, far better than the link's `rate` of now, why larger
    /// frames took longer than smaller ones. Where frames are about as large, a part of their time is easily taken for the way's.
    pub(super) fn explained(&self, rate: f64) -> Option<(f64, f64)> {
        if self.0.len() < MOST {
            return None;
        }
        let now = self.scatter_at(rate).0;
        let rates = std::iter::successors(Some(rate * FURTHEST), |r| Some(r / STEP));
        let (by_rate, trip, rate) = rates
            .take_while(|r| *r > (rate / FURTHEST).max(SLOWEST))
            .map(|r| {
                let (scatter, trip) = self.scatter_at(r);
                (scatter, trip, r)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        let telling = now > LEAST_SCATTER.powi(2) * MOST as f64
            && by_rate < (MOST_SCATTER * trip).powi(2) * MOST as f64;
        (telling && trip > 0.0 && by_rate < now * LEFT).then_some((rate, trip))
    }

    /// Squared seconds by which round trips would scatter at this rate, and their mean.
    fn scatter_at(&self, rate: f64) -> (f64, f64) {
        let trips = || on_way(self.0.iter(), rate).map(|(way, round)| round.trip - way);
        let mean = trips().sum::<f64>() / self.0.len() as f64;
        (trips().map(|t| (t - mean).powi(2)).sum(), mean)
    }
}

/// Squared seconds by which frames took something else than they would one after the other at this rate.
fn error_at<'a>(rounds: impl Iterator<Item = &'a Round>, rate: f64, trip: f64) -> f64 {
    on_way(rounds, rate)
        .map(|(way, round)| (way + trip - round.trip).powi(2))
        .sum()
}

/// Seconds that each frame keeps the link busy or waits for it, one after the other at this rate.
fn on_way<'a>(
    rounds: impl Iterator<Item = &'a Round>,
    rate: f64,
) -> impl Iterator<Item = (f64, &'a Round)> {
    rounds.scan(None::<Instant>, move |free, round| {
        let begin = free.map_or(round.sent, |free| free.max(round.sent));
        let end = begin + Duration::from_secs_f64(round.bytes / rate);
        *free = Some(end);
        Some(((end - round.sent).as_secs_f64(), round))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 6] = [1_800.0, 2_600.0, 1_500.0, 4_800.0, 2_000.0, 1_700.0];
    const EVERY: Duration = Duration::from_millis(66);

    /// What is found of frames that took so long, of a link that had 2 MB/s and 20 ms.
    fn found(trips: impl Iterator<Item = f64>) -> Option<f64> {
        let (mut rounds, mut now) = (Rounds::default(), Instant::now());
        for (bytes, trip) in SIZES.iter().zip(trips) {
            rounds.add(now, *bytes, trip);
            now += EVERY;
        }
        rounds.slower(2e6, 0.02)
    }

    #[test]
    fn larger_frames_that_take_longer_and_wait_for_each_other_show_a_slower_link() {
        let mut free = 0.0f64;
        let queueing = SIZES.iter().enumerate().map(|(i, bytes)| {
            let sent = i as f64 * EVERY.as_secs_f64();
            free = free.max(sent) + bytes / 31_250.0;
            free - sent + 0.02
        });
        let rate = found(queueing).unwrap();
        assert!((rate / 31_250.0 - 1.0).abs() < 0.06, "{rate}");
    }

    #[test]
    fn frames_that_take_longer_whatever_their_size_show_none() {
        let longer = SIZES.iter().map(|bytes| 0.09 + bytes / 2e6);
        assert_eq!(found(longer), None);
        let scattered = [0.09, 0.06, 0.12, 0.05, 0.1, 0.07];
        assert_eq!(found(scattered.into_iter()), None);
    }

    #[test]
    fn frames_from_before_and_after_a_change_explain_nothing() {
        // At 2 MB/s and then at 30 kB/s, about as large all of them.
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        let trips = [10, 10, 10, 10, 118, 123, 146, 153].map(|ms| f64::from(ms) / 1e3);
        let sent = [0, 66, 133, 199, 266, 788, 1166, 1307].map(Duration::from_millis);
        for (trip, sent) in trips.into_iter().zip(sent) {
            rounds.add(now + sent, 3_000.0, trip);
        }
        assert_eq!(rounds.explained(22_000.0), None);
    }

    #[test]
    fn a_few_or_usual_frames_show_none() {
        assert_eq!(found([0.08, 0.1, 0.07].into_iter()), None);
        assert_eq!(found(SIZES.iter().map(|bytes| 0.02 + bytes / 2e6)), None);
    }
}
