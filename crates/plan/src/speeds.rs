// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How fast the two machines are now, against what was measured of this one before the first frame.

use std::time::Duration;

use crate::pace::{Pace, Work};
use crate::{Choice, Profile, Tracked};

/// The server is this many times faster than the edge until it has answered. Who expects too much finds out with the
/// first answer; who expects too little never asks.
const ASSUMED: f64 = 8.0;
/// So many times faster it may be.
const HOPED: f64 = 50.0;

/// Where they begin among the choices that are given to the server.
const CANDIDATES: usize = 2;

/// Slowness of both machines, and the profile as it is now.
#[derive(Clone, Debug, Default)]
pub struct Speeds {
    measured: Profile,
    here: Pace,
    /// Time on the server over time here as measured before; and for each choice what it takes more or less than that,
    /// picture and video first.
    there: Tracked,
    each: Vec<Option<f64>>,
    /// Least slowness that the server has shown.
    best: Option<f64>,
}

impl Speeds {
    pub fn new(measured: Profile) -> Self {
        Self {
            each: vec![None; CANDIDATES + measured.candidates.len()],
            measured,
            ..Self::default()
        }
    }

    pub fn measured(&self) -> &Profile {
        &self.measured
    }

    pub fn measured_mut(&mut self) -> &mut Profile {
        &mut self.measured
    }

    /// The streaming thread has worked so long on a frame of this choice.
    pub fn worked(&mut self, choice: Choice, took: Duration) {
        let (work, expected) = match choice {
            Choice::Here => (Work::Whole, self.measured.whole),
            _ => {
                let offload = self.measured.offload(choice);
                let expected = offload.map_or(Duration::ZERO, |o| o.head + o.encode);
                (Work::Front(choice), expected)
            }
        };
        let length = ratio(took.min(expected), self.measured.whole);
        self.here.took(work, ratio(took, expected), length);
    }

    /// A frame of this choice was completed here after all.
    pub fn completed(&mut self, choice: Choice, took: Duration) {
        let offload = self.measured.offload(choice);
        let expected = offload.map_or(Duration::ZERO, |o| o.tail);
        let length = ratio(took.min(expected), self.measured.whole);
        self.here.took(rest(choice), ratio(took, expected), length);
    }

    /// The server has worked so long on a frame of this choice.
    pub fn served(&mut self, choice: Choice, took: Duration) {
        let Some(offload) = self.measured.offload(choice) else {
            return;
        };
        let slowness = ratio(took, offload.decode + offload.tail);
        let Some(each) = place(choice).and_then(|i| self.each.get_mut(i)) else {
            return;
        };
        let known = self.there.get();
        let share = each.unwrap_or(1.0);
        self.there.add(slowness / share);
        // What does not come and go with the load belongs to the choice.
        let level = self.there.get().unwrap_or(slowness);
        *each = Some(match known {
            Some(_) => share * (slowness / share / level).clamp(0.5, 2.0).powf(0.125),
            None => 1.0,
        });
        let level = level.max(1e-6);
        self.best = Some(self.best.map_or(level, |best| best.min(level)));
    }

    /// Time now over time measured before: of the whole model here.
    pub fn whole(&self) -> f64 {
        self.here.of(Work::Whole)
    }

    /// Likewise of what is done here before a frame of this choice leaves.
    pub fn front(&self, choice: Choice) -> f64 {
        self.here.of(Work::Front(choice))
    }

    /// Likewise of the rest, should the server not answer.
    pub fn rest(&self, choice: Choice) -> f64 {
        self.here.of(rest(choice))
    }

    /// Seconds on the server for a frame of this choice.
    pub fn there(&self, choice: Choice) -> f64 {
        self.there_at(choice, self.there.get())
    }

    /// The same as if the server were as fast as it was at its best.
    pub fn there_at_best(&self, choice: Choice) -> f64 {
        self.there_at(choice, Some(self.best.unwrap_or(1.0 / HOPED)))
    }

    fn there_at(&self, choice: Choice, level: Option<f64>) -> f64 {
        let level = level.unwrap_or(1.0 / ASSUMED);
        let share = place(choice)
            .and_then(|i| *self.each.get(i)?)
            .unwrap_or(1.0);
        let work = self
            .measured
            .offload(choice)
            .map_or(Duration::ZERO, |o| o.decode + o.tail);
        work.as_secs_f64() * level * share
    }

    /// Whether the server has shown how fast it is.
    pub fn server_known(&self) -> bool {
        self.there.get().is_some()
    }
}

/// The rest of a picture is the whole model, however it is coded.
fn rest(choice: Choice) -> Work {
    match choice {
        Choice::Candidate(_) => Work::Rest(choice),
        Choice::Here | Choice::Picture | Choice::Video => Work::Whole,
    }
}

fn place(choice: Choice) -> Option<usize> {
    match choice {
        Choice::Here => None,
        Choice::Picture => Some(0),
        Choice::Video => Some(1),
        Choice::Candidate(i) => Some(CANDIDATES + i),
    }
}

fn ratio(took: Duration, expected: Duration) -> f64 {
    took.as_secs_f64() / expected.as_secs_f64().max(1e-6)
}
