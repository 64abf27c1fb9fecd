// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the next frame would meet: the machines, the way and the server as they are now, or may have become.

use std::time::{Duration, Instant};

use super::{Selector, Wish};
use crate::transit::on_wire;
use crate::{ASSUMED_BANDWIDTH, Choice, Doubt, Path, Profile, Server};

/// By how much it may have become better in a second, at most in all, and, where nothing is known, what it may be.
const HOPE: f64 = 4.0;
const MOST_HOPE: f64 = 64.0;
const HOPED_BANDWIDTH: f64 = 12.5e6;
/// Frames over which the larger frames after a switch are spread.
const PAYS_BACK: f64 = 12.0;

impl Selector {
    /// The way to the server as the last frames found it, or as it may have become meanwhile.
    pub(super) fn path(&self, now: Instant, hopeful: bool) -> Path {
        let there = |choice| {
            let seconds = self.speeds.as_ref().map(|s| match hopeful {
                true => s.there_at_best(choice),
                false => s.there(choice),
            });
            seconds.map(Duration::from_secs_f64)
        };
        let count = self.profile().map_or(0, |p| p.candidates.len());
        let full = 1_160.0 / on_wire(1_160);
        let rate = match (self.link.rate(now), hopeful) {
            (Some(rate), false) => rate * full,
            (Some(rate), true) => {
                let age = self.link.age(now).unwrap_or_default().as_secs_f64();
                let hope = HOPE.powf(1.0 + age).min(MOST_HOPE);
                (rate * hope).max(self.link.peak(now)) * full
            }
            (None, false) => ASSUMED_BANDWIDTH,
            (None, true) => HOPED_BANDWIDTH,
        };
        let rtt = match hopeful {
            true => self.link.rtt_at_best(now),
            false => self.link.rtt() + self.link.lateness(now),
        };
        Path {
            rtt: Duration::from_secs_f64(rtt),
            bandwidth: Some(rate),
            backlog: Duration::from_secs_f64(self.link.backlog(now).min(1e3)),
            server: Server {
                queue: Duration::from_secs_f64(self.queue),
                picture: there(Choice::Picture),
                video: there(Choice::Video),
                tails: (0..count).map(|i| there(Choice::Candidate(i))).collect(),
                ..Server::default()
            },
        }
    }

    pub(super) fn doubt(&self, now: Instant) -> Doubt {
        Doubt {
            stall: Duration::from_secs_f64(self.link.stall(now).clamp(0.0, 1e3)),
            unanswered: self.link.unanswered(),
        }
    }

    /// The profile at the speed of this machine now, sizes with what a switch costs.
    pub(super) fn profile_now(&self, wish: &Wish, now: Instant) -> Profile {
        self.profile_after(wish, self.frames_alone(wish, now))
    }

    /// The same where after a switch to a cut so many frames of it stand alone.
    pub(super) fn profile_after(&self, wish: &Wish, alone: f64) -> Profile {
        let Some(speeds) = &self.speeds else {
            return Profile::default();
        };
        let mut profile = speeds.measured().clone();
        profile.whole = profile.whole.mul_f64(speeds.whole());
        profile.video = profile.video.filter(|_| wish.video);
        for (choice, offload) in profile.offloads_mut() {
            let alone = match choice {
                Choice::Here | Choice::Picture => 0.0,
                Choice::Video => f64::from(u8::from(!self.video)),
                Choice::Candidate(cut) if self.known.contains(&cut) => 0.0,
                Choice::Candidate(_) => alone,
            };
            let share = (alone / PAYS_BACK).min(1.0);
            let more = offload.fresh_bytes.saturating_sub(offload.bytes) as f64 * share;
            offload.bytes += more as u64;
            let (front, rest) = (speeds.front(choice), speeds.rest(choice));
            offload.head = offload.head.mul_f64(front);
            offload.encode = offload.encode.mul_f64(front);
            offload.tail = offload.tail.mul_f64(rest);
        }
        profile
    }

    /// Frames until the first answer after a switch, about.
    pub(super) fn frames_alone(&self, wish: &Wish, now: Instant) -> f64 {
        let interval = wish.interval.unwrap_or(Duration::from_millis(33));
        let round = self.link.rtt() + self.queue + self.link.backlog(now) + 0.01;
        (round / interval.as_secs_f64()).ceil().max(1.0)
    }
}
