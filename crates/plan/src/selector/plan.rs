// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where the next frame goes, and how long its answer is waited for.

use std::time::{Duration, Instant};

use super::probes::{Probes, Starts};
use super::{Plan, Selector, Wish};
use crate::{Choice, Decision, Situation, decide};

/// By what share another choice must be better than the current one to replace it.
const MARGIN: f64 = 0.04;
/// An answer may come so many mean deviations later than expected, and this share.
const DEVIATIONS: f64 = 3.0;
const SPARE: f64 = 0.3;

impl Selector {
    /// Where the next frame goes.
    pub fn decide(&mut self, wish: &Wish, now: Instant) -> Plan {
        self.link.clean(now);
        let waited = self.waited(wish.interval, now);
        let profile = self.profile_now(wish, now);
        let path = wish.connected.then(|| self.path(now, false));
        let situation = Situation {
            budget: Some(wish.budget),
            interval: wish.interval,
            waited,
            in_flight: Some(wish.in_flight),
            doubt: self.doubt(now),
            objective: wish.objective,
            current: self.current,
            margin: MARGIN,
            ..Situation::new(&profile, path.as_ref())
        };
        let mut decision = decide(&situation);
        let checked = self.check(&mut decision, &situation, now);
        let mut decision = self.among_others(decision, &situation, now);
        if decision.choice != Choice::Here && self.current == Some(Choice::Here) {
            self.probes = Probes::default();
        }
        if decision.choice == Choice::Here && self.current != Some(Choice::Here) {
            self.here_since = self.current.map(|_| now);
        }
        self.current = Some(decision.choice);
        if matches!(decision.choice, Choice::Candidate(_)) {
            self.starts = Starts::default();
        }
        let mut probe = false;
        let elsewhere = checked
            .or_else(|| self.probe(&situation, &decision, now))
            .or_else(|| self.start_cut(wish, &situation, &decision, now));
        if let Some(choice) = elsewhere {
            probe = decision.choice == Choice::Here;
            decision.choice = choice;
        }
        Plan {
            patience: self.patience(wish, &decision),
            decision,
            probe,
        }
    }

    /// None where completion here, begun in time for the deadline, comes after the answer most likely has; else until the answer
    /// is late. It is taken even then, if it comes before completion is done, which has cost work and nothing else.
    pub(super) fn patience(&self, wish: &Wish, decision: &Decision) -> Duration {
        let late = DEVIATIONS * self.link.deviation() + decision.predicted.as_secs_f64() * SPARE;
        let answer = decision.predicted + Duration::from_secs_f64(late);
        let rest = self.time_to_complete(decision.choice);
        match answer + rest.unwrap_or_default() > wish.budget {
            true => wish.budget.min(answer),
            false => Duration::ZERO,
        }
    }

    /// How long a frame that is begun now has waited, were they to come at equal intervals.
    pub(super) fn waited(&mut self, interval: Option<Duration>, now: Instant) -> Duration {
        let (Some(interval), Some(came)) = (interval.filter(|i| !i.is_zero()), self.came) else {
            self.came = Some(now);
            return Duration::ZERO;
        };
        let since = now.saturating_duration_since(came).as_nanos();
        let waited = match since < interval.as_nanos() {
            true => Duration::ZERO,
            false => Duration::from_nanos((since % interval.as_nanos()) as u64),
        };
        self.came = now.checked_sub(waited);
        waited
    }
}
