// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The project's own selector, fed as the element feeds it.

use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Objective, Selector, Wish};

use super::load;
use super::run::{Policy, View, Wanted};
use super::setting::Setting;
use super::world::{MAX_IN_FLIGHT, Seen};

pub struct Planner {
    selector: Selector,
    start: Instant,
    budget: Duration,
    interval: Duration,
}

impl Planner {
    pub fn new(setting: &Setting) -> Self {
        let mut selector = Selector::default();
        selector.set_profile(setting.profile());
        Self {
            selector,
            start: Instant::now(),
            budget: setting.budget,
            interval: setting.interval,
        }
    }
}

impl Policy for Planner {
    fn start(&mut self, start: Instant) {
        self.start = start;
    }

    fn see(&mut self, seen: &Seen) {
        match *seen {
            Seen::Worked {
                choice,
                infer,
                encode,
            } => self.selector.worked(choice, infer + encode),
            Seen::Sent {
                number,
                choice,
                bytes,
                at,
            } => self
                .selector
                .sent(number.into(), choice, bytes, self.start + at),
            Seen::Answered { round, .. } => self.selector.answered(&round),
            Seen::Missed { number, at } => self.selector.given_up(number.into(), self.start + at),
            Seen::Completed { choice, took } => self.selector.completed(choice, took),
            Seen::Decoded(choice) => self.selector.decoded(choice),
            Seen::VideoBroken => self.selector.video_broken(),
            Seen::Disconnected => self.selector.disconnected(),
            Seen::Connected => {}
        }
    }

    fn choose(&mut self, view: &View) -> Wanted {
        if let Some(rtt) = view.rtt {
            self.selector.trip(rtt, view.now);
        }
        if let Some(report) = &view.report {
            let rtt = report.rtt.map(|r| r.latest());
            let rate = report.bandwidth.filter(|b| b.uncertainty < 0.3);
            let rate = rate.map(|b| (b.rate, b.at));
            self.selector.monitored(rtt, rate, view.now);
            if let Some(told) = &report.load {
                load::tell(&mut self.selector, told, view.now);
            }
        }
        let wish = Wish {
            connected: view.connected,
            video: true,
            objective: Objective::Latency,
            budget: self.budget,
            interval: Some(self.interval),
            in_flight: MAX_IN_FLIGHT as u32,
        };
        let plan = self.selector.decide(&wish, view.now);
        Wanted {
            choice: plan.decision.choice,
            probe: plan.probe,
            patience: plan.patience,
        }
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.selector.time_to_complete(choice).unwrap_or_default()
    }
}
