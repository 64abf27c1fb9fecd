// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Smoothed round-trip time, as RFC 6298 section 2 defines it.

use std::time::Duration;

/// Mean and variation of the round trips between a ping and its pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttEstimator {
    smoothed: Duration,
    variation: Duration,
    latest: Duration,
    least: Duration,
}

impl RttEstimator {
    /// From the first sample (RFC 6298, 2.2).
    pub fn new(first: Duration) -> Self {
        Self {
            smoothed: first,
            variation: first / 2,
            latest: first,
            least: first,
        }
    }

    /// Takes in a further sample (RFC 6298, 2.3, with α = 1/8 and β = 1/4).
    pub fn update(&mut self, sample: Duration) {
        self.latest = sample;
        self.least = self.least.min(sample);
        let error = self.smoothed.abs_diff(sample);
        self.variation = (self.variation * 3 + error) / 4;
        self.smoothed = (self.smoothed * 7 + sample) / 8;
    }

    pub fn smoothed(&self) -> Duration {
        self.smoothed
    }

    pub fn variation(&self) -> Duration {
        self.variation
    }

    pub fn latest(&self) -> Duration {
        self.latest
    }

    /// Smallest sample of the session: the path without queues.
    pub fn least(&self) -> Duration {
        self.least
    }

    /// A round trip that is seldom exceeded: smoothed + 4 · variation.
    pub fn upper(&self) -> Duration {
        self.smoothed + self.variation * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn follows_the_worked_steps_of_rfc_6298() {
        let mut rtt = RttEstimator::new(MS(100));
        assert_eq!((rtt.smoothed(), rtt.variation()), (MS(100), MS(50)));
        assert_eq!(rtt.upper(), MS(300));
        rtt.update(MS(180));
        // rttvar = 3/4·50 + 1/4·80, srtt = 7/8·100 + 1/8·180
        assert_eq!(rtt.variation(), Duration::from_micros(57_500));
        assert_eq!(rtt.smoothed(), MS(110));
        assert_eq!((rtt.latest(), rtt.least()), (MS(180), MS(100)));
    }

    #[test]
    fn converges_on_a_steady_path() {
        let mut rtt = RttEstimator::new(MS(500));
        for _ in 0..100 {
            rtt.update(MS(20));
        }
        assert!(rtt.smoothed() < MS(21));
        assert!(rtt.variation() < MS(2));
    }
}
