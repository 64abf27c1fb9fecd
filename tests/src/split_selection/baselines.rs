// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the planner is compared with, as it sees the simulated world.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Profile};

use super::run::{Policy, View, Wanted};
use super::setting::Setting;
use super::world::{Left, Seen};
use crate::baselines::bandit;
use crate::baselines::line::Line;
use crate::baselines::neurosurgeon::{self, Candidate};

/// Always the same.
pub struct Fixed {
    choice: Choice,
    profile: Profile,
    waiting: splitinfer_plan::Fixed,
    start: Instant,
    budget: Duration,
}

impl Fixed {
    pub fn new(setting: &Setting, choice: Choice) -> Self {
        Self {
            choice,
            profile: setting.profile(),
            waiting: splitinfer_plan::Fixed::default(),
            start: Instant::now(),
            budget: setting.budget,
        }
    }
}

impl Policy for Fixed {
    fn start(&mut self, start: Instant) {
        self.start = start;
    }

    fn see(&mut self, seen: &Seen) {
        match *seen {
            Seen::Worked { infer, encode, .. } => self.waiting.worked(infer + encode),
            Seen::Sent { number, .. } => self.waiting.sent(number.into()),
            Seen::Answered { number, round, .. } => {
                self.waiting.answered(number.into(), round.taken);
            }
            Seen::Missed { number, at } => {
                self.waiting.given_up(number.into(), self.start + at);
            }
            _ => {}
        }
    }

    fn choose(&mut self, view: &View) -> Wanted {
        let rest = self.rest(self.choice);
        let patience = self
            .waiting
            .patience(self.choice, self.budget, rest, view.now);
        Wanted {
            patience,
            ..self.choice.into()
        }
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.profile.rest(choice)
    }
}

/// Its [times](neurosurgeon) and sizes are those of the simulated model.
pub struct Neurosurgeon {
    profile: Profile,
    inner: neurosurgeon::Neurosurgeon,
    rtt: Duration,
    /// Of the server's work on each choice, the share that is inference.
    inference: HashMap<Choice, f64>,
    /// Frames under way: bytes, and since when.
    under_way: HashMap<u32, (u64, Duration)>,
    start: Instant,
    /// When a frame last told of the bandwidth, since the start.
    told: Duration,
}

impl Neurosurgeon {
    /// It knows the coding times before the first frame, as it knows those of inference.
    pub fn with_coding(setting: &Setting) -> Self {
        let profile = setting.profile();
        Self::new(setting, |choice| {
            let last = setting.code(choice, 1, Some(0), Duration::ZERO);
            profile
                .offload(choice)
                .map_or(Duration::ZERO, |o| o.encode + last.decode)
        })
    }

    pub fn as_published(setting: &Setting) -> Self {
        Self::new(setting, |_| Duration::ZERO)
    }

    fn new(setting: &Setting, coding: impl Fn(Choice) -> Duration) -> Self {
        let profile = setting.profile();
        let cuts = &setting.model.cuts;
        let heads = cuts.iter().zip(&profile.candidates);
        let mut points: Vec<(f64, f64)> = heads
            .map(|(cut, candidate)| (cut.head_share, candidate.head.as_secs_f64()))
            .collect();
        points.push((0.0, 0.0));
        points.push((1.0, profile.whole.as_secs_f64()));
        let edge = Line::through(&points);
        let candidate = |choice| {
            let here = match choice {
                Choice::Here => 1.0,
                Choice::Picture | Choice::Video => 0.0,
                Choice::Candidate(i) => cuts[i].head_share,
            };
            Candidate {
                choice,
                here,
                there: 1.0 - here,
                bytes: profile.offload(choice).map_or(0, |o| o.bytes),
                coding: coding(choice),
            }
        };
        let candidates = setting.choices().into_iter().map(candidate).collect();
        let server = edge.faster(setting.edge_slower * setting.server_faster);
        let sent = setting.choices().into_iter().filter(|c| *c != Choice::Here);
        let inference = sent.map(|choice| {
            let decode = setting.code(choice, 1, Some(0), Duration::ZERO).decode;
            let work = setting.there(choice, decode, 1, Duration::ZERO);
            let decode = setting.decoding(decode, Duration::ZERO);
            (choice, 1.0 - decode.div_duration_f64(work))
        });
        Self {
            inference: inference.collect(),
            inner: neurosurgeon::Neurosurgeon::new(candidates, edge, server),
            profile,
            rtt: Duration::ZERO,
            under_way: HashMap::new(),
            start: Instant::now(),
            told: Duration::ZERO,
        }
    }
}

impl Policy for Neurosurgeon {
    fn start(&mut self, start: Instant) {
        self.start = start;
    }

    fn see(&mut self, seen: &Seen) {
        match *seen {
            Seen::Sent {
                number, bytes, at, ..
            } => drop(self.under_way.insert(number, (bytes, at))),
            Seen::Answered { number, round, at } => {
                let others = self.rtt + round.queue + round.work;
                let transfer = round.taken.saturating_sub(others);
                self.inner.transferred(round.bytes, transfer);
                let inference = self.inference.get(&round.choice).copied();
                let inference = round.work.mul_f64(inference.unwrap_or_default());
                self.inner.served(round.choice, inference);
                self.told = at;
                self.under_way.remove(&number);
            }
            Seen::Missed { number, at } => {
                if let Some((bytes, since)) = self.under_way.remove(&number) {
                    let waited = (at - since).saturating_sub(self.rtt);
                    self.inner.missed(bytes, waited);
                    self.told = at;
                }
            }
            _ => {}
        }
    }

    fn choose(&mut self, view: &View) -> Wanted {
        self.rtt = view.rtt.unwrap_or_default();
        self.inner.round_trip(self.rtt);
        let silent = (view.now - self.start).saturating_sub(self.told);
        if silent > neurosurgeon::STALE {
            let told = view.report.as_ref().and_then(|r| r.bandwidth);
            let told = told.filter(|b| b.uncertainty < neurosurgeon::SURE);
            self.inner.silent(told.map(|b| b.rate));
        }
        self.inner.choose().into()
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.profile.rest(choice)
    }
}

/// It [learns](bandit) from the frames that leave the simulated world.
pub struct Bandit {
    profile: Profile,
    inner: bandit::Bandit,
}

impl Bandit {
    pub fn new(setting: &Setting) -> Self {
        Self {
            profile: setting.profile(),
            inner: bandit::Bandit::new(setting.choices(), setting.budget),
        }
    }
}

impl Policy for Bandit {
    fn see(&mut self, _: &Seen) {}

    fn left(&mut self, left: &Left, latency: Duration) {
        self.inner.left(left.choice, latency);
    }

    fn choose(&mut self, _: &View) -> Wanted {
        self.inner.choose().into()
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.profile.rest(choice)
    }
}
