// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0
//! Bandwidth from the frames that pass.

use std::time::{Duration, Instant};

/// Transfers below this say more about latency than about bandwidth: about two full packets.
const MIN_TRANSFER: u64 = 3_000;
/// Bytes that must have passed before an estimate is given.
const MIN_TOTAL: f64 = 20_000.0;
/// After this time a transfer counts 1/e.
const MEMORY: Duration = Duration::from_secs(1);
/// What no link of an edge device exceeds (10 Gbit/s): bounds the estimate when clocks give no duration.
const MAX_RATE: f64 = 1.25e9;

/// Bytes over seconds of the last transfers, older ones fading. Long transfers count by their length, so the
/// estimate predicts the time of the next transfer rather than the mean of past rates.
///
/// A sender that waits between frames fills the link only while it sends: the duration to be given is that of
/// the transfer alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bandwidth {
    bytes: f64,
    seconds: f64,
    /// Bytes ever counted; unlike the others they do not fade.
    total: f64,
    last: Option<Instant>,
}

impl Bandwidth {
    /// A frame of `bytes` has arrived. `took`: from the beginning of sending to its result, less the round trip
    /// and what the server spent on it (queue, decoding, inference).
    pub fn add(&mut self, now: Instant, bytes: u64, took: Duration) {
        if bytes < MIN_TRANSFER {
            return;
        }
        if let Some(last) = self.last {
            let age = now.saturating_duration_since(last);
            let fade = (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp();
            // Both alike, so that the estimate itself does not fade; what is kept is how much it weighs.
            self.bytes *= fade;
            self.seconds *= fade;
        }
        self.last = Some(now);
        let bytes = bytes as f64;
        self.bytes += bytes;
        self.total += bytes;
        self.seconds += took.as_secs_f64().max(bytes / MAX_RATE);
    }

    /// Bytes a second; `None` until enough has passed.
    pub fn estimate(&self) -> Option<f64> {
        (self.total >= MIN_TOTAL).then(|| self.bytes / self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 20 kB frames at 20 a second over a link of this rate.
    fn send(bandwidth: &mut Bandwidth, from: Instant, frames: u32, rate: f64) -> Instant {
        for i in 0..frames {
            let took = Duration::from_secs_f64(20_000.0 / rate);
            bandwidth.add(from + i * Duration::from_millis(50), 20_000, took);
        }
        from + frames * Duration::from_millis(50)
    }

    #[test]
    fn a_steady_rate_is_found_and_a_step_is_followed() {
        let mut bandwidth = Bandwidth::default();
        assert_eq!(bandwidth.estimate(), None);
        let now = send(&mut bandwidth, Instant::now(), 40, 1e6);
        assert!((bandwidth.estimate().unwrap() / 1e6 - 1.0).abs() < 1e-6);
        let now = send(&mut bandwidth, now, 40, 4e5);
        assert!((bandwidth.estimate().unwrap() / 4e5 - 1.0).abs() < 0.1);
        send(&mut bandwidth, now, 80, 2e6);
        assert!((bandwidth.estimate().unwrap() / 2e6 - 1.0).abs() < 0.1);
    }

    #[test]
    fn an_estimate_outlives_a_pause() {
        let mut bandwidth = Bandwidth::default();
        let now = send(&mut bandwidth, Instant::now(), 10, 1e6);
        bandwidth.add(
            now + Duration::from_secs(3600),
            5_000,
            Duration::from_millis(10),
        );
        assert!(
            (bandwidth.estimate().unwrap() / 5e5 - 1.0).abs() < 1e-6,
            "the old ones have faded"
        );
    }

    #[test]
    fn small_transfers_and_missing_durations_do_no_harm() {
        let mut bandwidth = Bandwidth::default();
        let now = Instant::now();
        (0..100).for_each(|_| bandwidth.add(now, 500, Duration::from_millis(10)));
        assert_eq!(bandwidth.estimate(), None);
        (0..10).for_each(|_| bandwidth.add(now, 10_000, Duration::ZERO));
        assert!(bandwidth.estimate().unwrap() <= MAX_RATE * 1.001);
    }
}
