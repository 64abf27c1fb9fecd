// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whether the server can be relied on just now.
//!
//! A server can be connected and still be of no use: frozen, overloaded, behind a link that has become too slow.
//! After a few deadlines missed in a row the element stops waiting for it and completes frames here, and only sends
//! a probe now and then: a frame that is completed here all the same. The first answer in time ends that.
//! Knows no clock: time is passed in.

use std::time::{Duration, Instant};

/// Deadlines missed in a row after which frames no longer wait for the server.
const MISSES_TO_SUSPEND: u32 = 3;
const FIRST_PROBE_AFTER: Duration = Duration::from_millis(200);
const SLOWEST_PROBE: Duration = Duration::from_secs(2);

/// What to do with the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Send it and wait for the answer.
    Send,
    /// Complete it here, and send it too, to see whether the server answers in time again.
    Probe,
    /// Complete it here.
    Keep,
}

/// A change worth telling the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Lost,
    Back,
}

/// The state of it; not connected at first.
#[derive(Clone, Debug, Default)]
pub struct Health {
    connected: bool,
    misses: u32,
    probe: Option<Probe>,
    /// The user has been told that the server is lost.
    announced: bool,
}

#[derive(Clone, Debug)]
struct Probe {
    next: Instant,
    interval: Duration,
}

impl Health {
    /// What to do with a frame that is begun now. `asked`: it is to be completed here anyway, and to be sent to see how the
    /// link is.
    pub fn advice(&mut self, asked: bool, now: Instant) -> Advice {
        match &mut self.probe {
            _ if !self.connected => Advice::Keep,
            None if asked => Advice::Probe,
            None => Advice::Send,
            Some(probe) if asked || now >= probe.next => {
                probe.interval = (probe.interval * 2).min(SLOWEST_PROBE);
                probe.next = now + probe.interval;
                Advice::Probe
            }
            Some(_) => Advice::Keep,
        }
    }

    /// A session is open.
    pub fn connected(&mut self) -> Option<Change> {
        self.connected = true;
        self.recover()
    }

    /// The session is gone.
    pub fn disconnected(&mut self) -> Option<Change> {
        self.connected = false;
        self.lose()
    }

    /// A frame was answered before its deadline.
    pub fn answered(&mut self) -> Option<Change> {
        if self.connected { self.recover() } else { None }
    }

    /// A frame was not answered in time, or refused.
    pub fn missed(&mut self, now: Instant) -> Option<Change> {
        self.misses = self.misses.saturating_add(1);
        if self.misses < MISSES_TO_SUSPEND || self.probe.is_some() {
            return None;
        }
        self.probe = Some(Probe {
            next: now + FIRST_PROBE_AFTER,
            interval: FIRST_PROBE_AFTER,
        });
        self.lose()
    }

    fn lose(&mut self) -> Option<Change> {
        let first = !self.announced;
        self.announced = true;
        first.then_some(Change::Lost)
    }

    fn recover(&mut self) -> Option<Change> {
        self.misses = 0;
        self.probe = None;
        let was_lost = self.announced;
        self.announced = false;
        was_lost.then_some(Change::Back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_announced_once() {
        let mut health = Health::default();
        let now = Instant::now();
        assert_eq!(health.advice(false, now), Advice::Keep);
        assert_eq!(health.disconnected(), Some(Change::Lost));
        assert_eq!(health.disconnected(), None);
        assert_eq!(health.connected(), Some(Change::Back));
        assert_eq!(health.advice(false, now), Advice::Send);
    }

    #[test]
    fn a_probe_that_is_asked_for_is_sent_whatever_was_missed() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.advice(true, now), Advice::Keep);
        health.connected();
        assert_eq!(health.advice(true, now), Advice::Probe);
        for _ in 0..MISSES_TO_SUSPEND {
            health.missed(now);
        }
        assert_eq!(health.advice(true, now), Advice::Probe);
        assert_eq!(health.advice(false, now), Advice::Keep);
        health.answered();
        assert_eq!(health.advice(false, now), Advice::Send);
    }

    #[test]
    fn a_first_connection_is_nothing_to_announce() {
        assert_eq!(Health::default().connected(), None);
    }

    #[test]
    fn a_frozen_server_is_probed_less_and_less_often_until_it_answers() {
        let mut health = Health::default();
        let t0 = Instant::now();
        health.connected();
        assert_eq!(health.missed(t0), None);
        assert_eq!(health.missed(t0), None);
        assert_eq!(health.missed(t0), Some(Change::Lost));
        assert_eq!(health.advice(false, t0), Advice::Keep);

        let mut probes = Vec::new();
        for ms in 0..10_000 {
            if health.advice(false, t0 + Duration::from_millis(ms)) == Advice::Probe {
                probes.push(ms);
                assert_eq!(health.missed(t0 + Duration::from_millis(ms)), None);
            }
        }
        assert_eq!(probes[..4], [200, 600, 1400, 3000]);
        assert!(probes.windows(2).all(|w| w[1] - w[0] <= 2000));
        assert_eq!(health.answered(), Some(Change::Back));
        assert_eq!(health.advice(false, t0), Advice::Send);
    }

    #[test]
    fn a_single_late_answer_changes_nothing() {
        let mut health = Health::default();
        let t0 = Instant::now();
        health.connected();
        for _ in 0..10 {
            assert_eq!(health.missed(t0), None);
            assert_eq!(health.answered(), None);
            assert_eq!(health.advice(false, t0), Advice::Send);
        }
    }
}
