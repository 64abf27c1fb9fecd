// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The project's own selector, fed as the element feeds it.

use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Objective, Profile, Selector, Wish};

use super::run::{Policy, View};
use super::setting::Setting;
use super::world::Seen;

pub struct Planner {
    selector: Selector,
    profile: Profile,
    budget: Duration,
    interval: Duration,
    rtt: Duration,
}

impl Planner {
    pub fn new(setting: &Setting) -> Self {
        let profile = setting.profile();
        let mut selector = Selector::new(profile.candidates.len());
        selector.set_profile(profile.clone());
        Self {
            selector,
            profile,
            budget: setting.budget,
            interval: setting.interval,
            rtt: Duration::ZERO,
        }
    }
}

impl Policy for Planner {
    fn see(&mut self, seen: &Seen, now: Instant) {
        if let Seen::Answered { round, .. } = seen {
            self.selector.learn(round, self.rtt, now);
        }
    }

    fn choose(&mut self, view: &View) -> Choice {
        self.rtt = view.rtt;
        let wish = Wish {
            connected: view.connected,
            objective: Objective::Latency,
            budget: self.budget,
            interval: Some(self.interval),
        };
        if self.selector.is_due(&wish, view.now) {
            return self.selector.decide(&wish, view.rtt, view.now).choice;
        }
        self.selector.current().unwrap_or(Choice::Here)
    }

    fn rest(&self, choice: Choice) -> Duration {
        rest(&self.profile, choice)
    }
}

/// As it was measured before the first frame.
pub fn rest(profile: &Profile, choice: Choice) -> Duration {
    match choice {
        Choice::Candidate(i) => profile.candidates[i].tail,
        Choice::Here | Choice::Picture => profile.whole,
    }
}
