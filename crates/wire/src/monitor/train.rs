// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What one packet train shows: how fast its packets came, and whether a shaper let the first of them pass at once.

/// Below this, instants of arrival say nothing: what a waiting program is late by.
pub(super) const CLOCK_NOISE: f64 = 30e-6;
/// Packets that are needed after the first to tell a shaper's bucket from the rate that it lets through.
const TELLING: usize = 4;
/// A packet that came in less than this share of the time that the last ones needed has not waited for tokens.
const AT_ONCE: f64 = 0.3;
/// Waits that are all within this factor of the usual one are even.
const EVEN: f64 = 1.7;

/// One train: wire bytes of the packets that followed another one of the train, and the time between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Train {
    pub(super) bytes: f64,
    pub(super) seconds: f64,
    /// Bytes that came at once before the others, which alone count above: a shaper let them pass. `None` where the train
    /// is too short to tell.
    pub(super) bucket: Option<f64>,
}

impl Train {
    /// `packets`: number, wire bytes, instant of arrival in µs; in the order of their numbers. Only neighbours count, so
    /// that a packet that was lost leaves no gap that looks like a slow link.
    pub(super) fn new(packets: &[(u32, u32, i64)]) -> Option<Self> {
        let neighbours = packets
            .windows(2)
            .filter(|pair| pair[0].0.checked_add(1) == Some(pair[1].0));
        let gaps: Vec<_> = neighbours
            .map(|pair| (f64::from(pair[1].1), (pair[1].2 - pair[0].2) as f64 * 1e-6))
            .collect();
        let first = packets.first().map_or(0.0, |p| f64::from(p.1));
        let pattern = Pattern::of(&gaps);
        let (bucket, skipped) = match pattern {
            Pattern::Unknown => (None, 0),
            Pattern::Steady => (Some(0.0), 0),
            // The first one that waited did not wait for all of its tokens.
            Pattern::AfterBucket { passed, tokens } => (Some(first + tokens), passed + 1),
            Pattern::WithinBucket { tokens } => (Some(first + tokens), 0),
        };
        let bytes: f64 = gaps[skipped..].iter().map(|g| g.0).sum();
        let mut seconds: f64 = gaps[skipped..].iter().map(|g| g.1).sum();
        if matches!(pattern, Pattern::WithinBucket { .. }) {
            // Says nothing of the rate.
            seconds = 0.0;
        }
        (bytes > 0.0 && seconds >= 0.0).then_some(Self {
            bytes,
            seconds,
            bucket,
        })
    }

    pub(super) fn rate(self) -> f64 {
        self.bytes / self.seconds.max(1e-6)
    }

    /// Nearly all of it passed a shaper at once.
    pub(super) fn is_within_bucket(self) -> bool {
        self.seconds == 0.0 && self.bucket.is_some()
    }

    /// Relative uncertainty by the clock alone.
    pub(super) fn noise(self) -> f64 {
        CLOCK_NOISE / self.seconds.max(1e-6)
    }
}

/// How a train's packets came.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pattern {
    /// They are few, came too fast for the clock, or unevenly: not by a shaper then.
    Unknown,
    /// Each waited as long as the others.
    Steady,
    /// So many after the first one passed a shaper at once, and the next one found some tokens; those were worth so many bytes.
    AfterBucket { passed: usize, tokens: f64 },
    /// The same, but too few waited to tell the rate.
    WithinBucket { tokens: f64 },
}

impl Pattern {
    /// `gaps`: of each packet but the first its bytes, and the seconds since the one before.
    fn of(gaps: &[(f64, f64)]) -> Self {
        if gaps.len() < TELLING {
            return Self::Unknown;
        }
        let slowness = |g: &(f64, f64)| g.1 / g.0;
        let longest = gaps.iter().map(slowness).fold(0.0, f64::max);
        if longest * gaps[0].0 < CLOCK_NOISE * 5.0 {
            return Self::Unknown;
        }
        let fast = |g: &&(f64, f64)| slowness(g) < AT_ONCE * longest;
        let passed = gaps.iter().take_while(fast).count();
        // After those, and one that found some tokens, a shaper lets packets go as evenly as tokens come.
        let even = |g: &(f64, f64)| slowness(g) > longest / EVEN;
        let full = &gaps[passed + 1..];
        if !full.iter().all(even) {
            return Self::Unknown;
        }
        if passed == 0 && even(&gaps[0]) {
            return Self::Steady;
        }
        let at_once: f64 = gaps[..passed].iter().map(|g| g.0).sum();
        let next = gaps[passed];
        let tokens = at_once + next.0 * (1.0 - slowness(&next) / longest);
        match full.len() {
            0 | 1 => Self::WithinBucket { tokens },
            _ => Self::AfterBucket { passed, tokens },
        }
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
        assert_eq!((train.bytes, train.bucket), (2000.0, None));
        assert!((train.seconds - 0.002).abs() < 1e-9);
        assert_eq!(Train::new(&packets[..1]), None);
    }

    /// 1 Mbit/s, and 1500 bytes at once.
    #[test]
    fn what_a_shaper_lets_pass_at_once_is_not_its_rate() {
        let mut packets = vec![(0, 100, 0)];
        packets.extend((1..=4).map(|n| (n, 350, i64::from(n) * 10)));
        packets.extend((5..=8).map(|n| (n, 350, 2000 + i64::from(n - 5) * 2800)));
        let train = Train::new(&packets).unwrap();
        assert!((train.rate() / 125e3 - 1.0).abs() < 1e-6, "{train:?}");
        assert!((train.bucket.unwrap() - 1605.0).abs() < 1.0, "{train:?}");
        let steady: Vec<_> = (0..9).map(|n| (n, 350, i64::from(n) * 2800)).collect();
        let train = Train::new(&steady).unwrap();
        assert_eq!((train.bucket, train.bytes), (Some(0.0), 2800.0));
        let fast: Vec<_> = (0..9).map(|n| (n, 350, i64::from(n) * 10)).collect();
        assert_eq!(Train::new(&fast).unwrap().bucket, None);
    }
}
