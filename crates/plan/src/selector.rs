// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The selector as an edge uses it: it learns from the frames that pass, and says where the next one goes.

use std::time::{Duration, Instant};

use crate::{
    Bandwidth, Choice, Decision, Objective, Path, Profile, Server, Situation, Smoothed, decide,
};

/// How often the plan is made anew while nothing happens.
const REPLAN: Duration = Duration::from_millis(250);
/// Of so many frames about, the mean of the bytes sent is taken for the next.
const SIZE_MEMORY: u64 = 8;

/// What one answered frame told about path and server.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub choice: Choice,
    pub bytes: u64,
    /// From sending to the last byte of the answer.
    pub taken: Duration,
    /// How long it waited on the server.
    pub queue: Duration,
    /// Decoding and inference there.
    pub work: Duration,
}

/// What is wanted of the next plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    pub connected: bool,
    pub objective: Objective,
    /// From the prepared picture to the result.
    pub budget: Duration,
    /// Time between two inferred frames; `None`: not known.
    pub interval: Option<Duration>,
}

/// Estimators and the current choice.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    current: Option<Choice>,
    profile: Option<Profile>,
    bandwidth: Bandwidth,
    picture_there: Smoothed,
    tails_there: Vec<Smoothed>,
    queue_there: Smoothed,
    planned: Option<(Instant, Wish)>,
}

impl Selector {
    /// `candidates`: how many there are.
    pub fn new(candidates: usize) -> Self {
        Self {
            tails_there: vec![Smoothed::default(); candidates],
            ..Self::default()
        }
    }

    /// What each choice costs on this machine; until it is set, everything is done here.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = Some(profile);
    }

    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    pub fn current(&self) -> Option<Choice> {
        self.current
    }

    /// The choice was made by somebody else.
    pub fn set_current(&mut self, choice: Choice) {
        self.current = Some(choice);
        self.planned = None;
    }

    /// A frame was answered. `rtt`: round trip of a small packet.
    pub fn learn(&mut self, round: &Round, rtt: Duration, now: Instant) {
        let there = round.queue + round.work;
        let transfer = round.taken.saturating_sub(rtt + there);
        self.bandwidth.add(now, round.bytes, transfer);
        self.queue_there.add(round.queue);
        let profile = self.profile.as_mut();
        let sent = match round.choice {
            Choice::Picture => {
                self.picture_there.add(round.work);
                profile.and_then(|p| p.picture.as_mut())
            }
            Choice::Candidate(i) => {
                if let Some(tail) = self.tails_there.get_mut(i) {
                    tail.add(round.work);
                }
                profile.and_then(|p| p.candidates.get_mut(i))
            }
            Choice::Here => None,
        };
        if let Some(offload) = sent {
            offload.bytes = (offload.bytes * (SIZE_MEMORY - 1) + round.bytes) / SIZE_MEMORY;
        }
    }

    /// Whether it is time for a new plan.
    pub fn is_due(&self, wish: &Wish, now: Instant) -> bool {
        self.planned.is_none_or(|(at, planned)| {
            planned.connected != wish.connected
                || planned.objective != wish.objective
                || planned.budget != wish.budget
                || now.saturating_duration_since(at) >= REPLAN
        })
    }

    /// Where the next frame goes.
    pub fn decide(&mut self, wish: &Wish, rtt: Duration, now: Instant) -> Decision {
        let path = wish.connected.then(|| self.path(rtt));
        let alone = Profile::default();
        let decision = decide(&Situation {
            budget: Some(wish.budget),
            interval: wish.interval,
            objective: wish.objective,
            current: self.current,
            ..Situation::new(self.profile.as_ref().unwrap_or(&alone), path.as_ref())
        });
        self.planned = Some((now, *wish));
        self.current = Some(decision.choice);
        decision
    }

    /// The way to the server as the last frames found it.
    fn path(&self, rtt: Duration) -> Path {
        Path {
            rtt,
            bandwidth: self.bandwidth.estimate(),
            server: Server {
                queue: self.queue_there.get().unwrap_or_default(),
                picture: self.picture_there.get(),
                tails: self.tails_there.iter().map(Smoothed::get).collect(),
                ..Server::default()
            },
        }
    }
}
