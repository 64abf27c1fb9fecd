// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How evenly the pieces of a frame come, and until when the rest of one is waited for.

use std::time::{Duration, Instant};

/// Gains and deviations as of the retransmission timer of TCP (RFC 6298).
const GAIN: f64 = 1.0 / 8.0;
const DEVIATION_GAIN: f64 = 1.0 / 4.0;
const DEVIATIONS: f64 = 4.0;
/// Packets overtake each other by less than this share of a round trip: later, QUIC takes them for lost (RFC 9002, 6.1.2).
const OVERTAKING: f64 = 1.0 / 8.0;

/// The longest silences within frames of one client, of those that came whole without anything being sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Mean and mean deviation, seconds.
    longest: Option<(f64, f64)>,
}

impl Pace {
    /// The longest time between two pieces of one more frame.
    pub fn came(&mut self, longest: Duration) {
        let longest = longest.as_secs_f64();
        self.longest = Some(match self.longest {
            None => (longest, longest / 2.0),
            Some((mean, deviation)) => {
                let off = (longest - mean).abs();
                (
                    mean + (longest - mean) * GAIN,
                    deviation + (off - deviation) * DEVIATION_GAIN,
                )
            }
        });
    }

    /// A silence within a frame that is longer than this is its end, or something is lost; `None` before the first frame.
    fn silence(&self, rtt: Duration) -> Option<Duration> {
        let (mean, deviation) = self.longest?;
        let usual = mean + DEVIATIONS * deviation;
        Some(Duration::from_secs_f64(usual).max(rtt.mul_f64(OVERTAKING)))
    }

    /// Of a frame that is to be complete at `until`, and its client so far away.
    pub fn wait(&self, until: Instant, least: u64, rtt: Duration) -> Wait {
        Wait {
            until,
            least,
            rtt,
            silence: self.silence(rtt),
        }
    }
}

/// How long a frame is waited for that may be completed from a part.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    until: Instant,
    /// So many bytes must be there all the same.
    pub least: u64,
    rtt: Duration,
    silence: Option<Duration>,
}

impl Wait {
    /// Until when, after the first piece came `since` and the last one so far at `last`. What is lost is sent again when the edge
    /// hears of a later piece, and so comes a round trip after the first one at the earliest. Where that is too late, all that can
    /// still come in time is on its way, and silence says that nothing is.
    pub fn end(&self, since: Instant, last: Instant) -> Instant {
        match self.silence {
            Some(silence) if since + self.rtt >= self.until => self.until.min(last + silence),
            _ => self.until,
        }
    }

    /// Whether nothing of a frame that took so long can have been sent again.
    pub fn at_once(&self, since: Instant, last: Instant) -> bool {
        last.saturating_duration_since(since) < self.rtt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace() -> Pace {
        let mut pace = Pace::default();
        (0..50).for_each(|_| pace.came(MS));
        pace
    }

    #[test]
    fn what_cannot_be_sent_again_in_time_is_waited_for_only_while_pieces_come() {
        let since = Instant::now();
        let wait = pace().wait(since + 30 * MS, 1, 40 * MS);
        // An eighth of a round trip; no longer than was asked for.
        assert_eq!(wait.end(since, since + 2 * MS), since + 7 * MS);
        assert_eq!(wait.end(since, since + 9 * MS), since + 14 * MS);
        assert_eq!(wait.end(since, since + 28 * MS), since + 30 * MS);
    }

    #[test]
    fn what_can_be_sent_again_in_time_is_waited_for() {
        let since = Instant::now();
        let wait = pace().wait(since + 41 * MS, 1, 40 * MS);
        assert_eq!(wait.end(since, since + MS), since + 41 * MS);
    }

    #[test]
    fn nothing_is_concluded_from_the_first_frame() {
        let since = Instant::now();
        let wait = Pace::default().wait(since + 30 * MS, 1, 40 * MS);
        assert_eq!(wait.end(since, since + MS), since + 30 * MS);
    }

    #[test]
    fn an_uneven_way_takes_longer_silences() {
        let mut pace = Pace::default();
        (0..200).for_each(|i| pace.came(if i % 2 == 0 { 2 * MS } else { 12 * MS }));
        let silence = pace.silence(40 * MS).unwrap();
        assert!((20 * MS..35 * MS).contains(&silence), "{silence:?}");
        assert!(pace.silence(400 * MS).unwrap() == 50 * MS);
    }
}
