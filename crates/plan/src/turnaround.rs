// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long before an answer is due a server must no longer wait for the rest of a frame.

use std::time::Duration;

use crate::Choice;

/// So many mean deviations more than the mean.
const DEVIATIONS: f64 = 2.0;
/// Weights of a new sample, as for round trips (RFC 6298).
const MEAN_GAIN: f64 = 1.0 / 8.0;
const DEVIATION_GAIN: f64 = 1.0 / 4.0;
/// What an answer took longer than expected counts up to here: the server may have waited for more than the time it was given.
const MOST_OFF: f64 = 0.02;

/// Of the split in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turnaround {
    choice: Option<Choice>,
    /// Seconds on the server: waiting for compute, decoding, computing.
    there: Spread,
    /// Seconds that answers to a part took longer than the round trip and that.
    off: Spread,
}

impl Turnaround {
    /// The server spent so long on a frame.
    pub fn answered(&mut self, choice: Choice, there: Duration) {
        if self.choice != Some(choice) {
            *self = Self {
                choice: Some(choice),
                ..Self::default()
            };
        }
        self.there.add(there.as_secs_f64());
    }

    /// As [`answered`](Self::answered), for a frame of which the server had a part, and whose answer came `after` the time that
    /// it was given to wait.
    pub fn answered_in_part(
        &mut self,
        choice: Choice,
        there: Duration,
        after: Duration,
        rtt: Duration,
    ) {
        let off = after.as_secs_f64() - (there + rtt).as_secs_f64();
        self.answered(choice, there);
        self.off.add(off.clamp(-MOST_OFF, MOST_OFF));
    }

    /// From the end of the server's wait until its answer is here, by all likelihood. `None` before the first answer to a
    /// frame of this choice.
    pub fn needed(&self, choice: Choice, rtt: Duration) -> Option<Duration> {
        if self.choice != Some(choice) {
            return None;
        }
        let beside = self.there.most()? + self.off.most().unwrap_or_default().max(0.0);
        Some(rtt + Duration::from_secs_f64(beside.max(0.0)))
    }
}

/// A mean, and how far samples are from it.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(Option<(f64, f64)>);

impl Spread {
    fn add(&mut self, sample: f64) {
        let (mean, deviation) = self.0.get_or_insert((sample, 0.0));
        *deviation += ((sample - *mean).abs() - *deviation) * DEVIATION_GAIN;
        *mean += (sample - *mean) * MEAN_GAIN;
    }

    fn most(&self) -> Option<f64> {
        self.0
            .map(|(mean, deviation)| mean + DEVIATIONS * deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const CUT: Choice = Choice::Candidate(3);

    #[test]
    fn it_is_the_round_trip_and_the_servers_work() {
        let mut turnaround = Turnaround::default();
        assert_eq!(turnaround.needed(CUT, 40 * MS), None);
        for _ in 0..30 {
            turnaround.answered(CUT, 10 * MS);
        }
        assert_eq!(turnaround.needed(CUT, 40 * MS), Some(50 * MS));
        for i in 0..30 {
            turnaround.answered(CUT, (8 + 4 * (i % 2)) * MS);
        }
        let needed = turnaround.needed(CUT, 40 * MS).unwrap();
        assert!(
            needed > 53 * MS && needed < 56 * MS,
            "they scatter: {needed:?}"
        );
        assert_eq!(turnaround.needed(Choice::Candidate(2), 40 * MS), None);
    }

    #[test]
    fn answers_that_come_later_than_expected_give_the_server_less_time() {
        let mut turnaround = Turnaround::default();
        for _ in 0..30 {
            turnaround.answered_in_part(CUT, 10 * MS, 58 * MS, 40 * MS);
        }
        let needed = turnaround.needed(CUT, 40 * MS).unwrap();
        assert!(needed > 57 * MS && needed < 59 * MS, "{needed:?}");
        // Sooner than expected is no reason to make it wait longer.
        for _ in 0..60 {
            turnaround.answered_in_part(CUT, 10 * MS, 35 * MS, 40 * MS);
        }
        let needed = turnaround.needed(CUT, 40 * MS).unwrap();
        assert!(needed >= 50 * MS && needed < 53 * MS, "{needed:?}");
    }
}
