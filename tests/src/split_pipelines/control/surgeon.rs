// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Neurosurgeon as it sees a pipeline.

use std::time::Duration;

use splitinfer_plan::Choice;

use super::watch::{Seen, Served};
use super::{Left, Method};
use crate::baselines::neurosurgeon::{Neurosurgeon, STALE};
use crate::split_pipelines::profile::Profile;

/// See the module's documentation.
pub struct Surgeon {
    inner: Neurosurgeon,
    profile: Profile,
    /// Of the last two frames.
    last: [Option<Choice>; 2],
    /// Since a frame told of the bandwidth.
    silent: Duration,
}

impl Surgeon {
    pub fn new(profile: &Profile, coding: bool) -> Self {
        Self {
            inner: profile.neurosurgeon(coding),
            profile: profile.clone(),
            last: [None; 2],
            silent: Duration::ZERO,
        }
    }

    /// Until such a frame was sent. `stats` tells of frames that were begun since the last look, which is taken only while the
    /// choice stays the same.
    fn work(&self, choice: Choice, seen: &Seen) -> Duration {
        let steady = self.last == [Some(choice); 2];
        let predicted = self.inner.work_here(choice) + self.profile.encoding(choice);
        seen.work.filter(|_| steady).unwrap_or(predicted)
    }

    fn answered(&mut self, choice: Choice, bytes: u64, waited: Duration, server: &Served) {
        let there = server.queue + server.decode + server.compute;
        self.inner.transferred(bytes, waited.saturating_sub(there));
        self.inner.served(choice, server.compute);
        self.silent = Duration::ZERO;
    }
}

impl Method for Surgeon {
    fn left(&mut self, choice: Choice, left: &Left, seen: &Seen) {
        self.inner.round_trip(seen.rtt);
        self.silent += seen.since;
        if choice != Choice::Here {
            let bytes = seen.bytes.unwrap_or_else(|| self.profile.bytes(choice));
            let waited = left
                .inside
                .saturating_sub(self.work(choice, seen) + seen.rtt);
            match (left.by_server, seen.server) {
                (true, Some(server)) => self.answered(choice, bytes, waited, &server),
                (true, None) => {}
                (false, _) => {
                    self.inner.missed(bytes, waited);
                    self.silent = Duration::ZERO;
                }
            }
        }
        if self.silent > STALE {
            self.inner.silent(seen.monitor);
        }
        self.last = [self.last[1], Some(choice)];
    }

    fn choose(&self) -> Choice {
        self.inner.choose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split_pipelines::profile::tests::example;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn left(inside: Duration, by_server: bool) -> Left {
        Left {
            split: String::new(),
            by_server,
            latency: inside,
            inside,
        }
    }

    fn seen(bytes: u64) -> Seen {
        Seen {
            since: ms(100),
            work: Some(ms(5)),
            bytes: Some(bytes),
            server: Some(Served {
                compute: ms(20),
                ..Served::default()
            }),
            rtt: ms(10),
            monitor: None,
        }
    }

    #[test]
    fn an_answer_tells_the_bandwidth() {
        let mut it = Surgeon::new(&example(), false);
        assert_eq!(it.choose(), Choice::Video);
        // 4 kB in 400 ms but for the video's own 2 ms, the round trip and the server's time.
        it.left(Choice::Video, &left(ms(432), true), &seen(4_000));
        assert_eq!(it.choose(), Choice::Here);
        it.left(Choice::Video, &left(ms(36), true), &seen(4_000));
        assert_eq!(it.choose(), Choice::Video);
    }

    #[test]
    fn a_frame_that_was_given_up_bounds_it() {
        let mut it = Surgeon::new(&example(), false);
        let lost = Seen {
            server: None,
            ..seen(4_000)
        };
        it.left(Choice::Video, &left(ms(200), false), &lost);
        assert_eq!(it.choose(), Choice::Here, "4 kB take 188 ms at least");
        // A probe is completed here at once, and says nothing.
        let mut it = Surgeon::new(&example(), false);
        it.left(Choice::Video, &left(ms(14), false), &lost);
        assert_eq!(it.choose(), Choice::Video);
    }

    #[test]
    fn the_monitor_is_asked_after_a_while_without_frames() {
        let mut it = Surgeon::new(&example(), false);
        let mut loaded = seen(4_000);
        loaded.server = Some(Served {
            compute: ms(200),
            ..Served::default()
        });
        it.left(Choice::Video, &left(ms(612), true), &loaded);
        let quiet = Seen {
            work: None,
            bytes: None,
            server: None,
            monitor: Some(1e6),
            ..seen(0)
        };
        let here = left(ms(80), false);
        for _ in 0..10 {
            it.left(Choice::Here, &here, &quiet);
            assert_eq!(it.choose(), Choice::Here);
        }
        it.left(Choice::Here, &here, &quiet);
        assert_eq!(it.choose(), Choice::Video);
    }

    #[test]
    fn a_slow_server_is_seen_in_its_answers() {
        let mut it = Surgeon::new(&example(), false);
        let slow = Seen {
            server: Some(Served {
                compute: ms(200),
                ..Served::default()
            }),
            ..seen(4_000)
        };
        it.left(Choice::Video, &left(ms(216), true), &slow);
        assert_eq!(it.choose(), Choice::Here, "ten times what it was");
    }
}
