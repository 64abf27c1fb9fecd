// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that are sent to see whether the way to the server has become better.

use std::time::{Duration, Instant};

use super::{Selector, Wish};
use crate::decide::lasting;
use crate::{ASSUMED_BANDWIDTH, Choice, Decision, Doubt, Objective, Prediction, Situation, decide};

/// After so long without news of the link it is asked whether it has become better, more and more seldom while it has not.
const FIRST_PROBE: Duration = Duration::from_millis(150);
const SLOWEST_PROBE: Duration = Duration::from_secs(2);
/// The same where a monitor says that it has, and frames have not shown it.
const SLOWEST_CHECK: Duration = Duration::from_secs(1);
/// A frame that was answered shows for so long what the next ones may take.
const SHOWS: Duration = Duration::from_secs(1);
/// More often than that where it costs next to nothing: this share of the machine's time, and so many bytes a second.
const MOST_WORK: f64 = 0.02;
const MOST_BYTES: f64 = 5_000.0;
/// Where a monitor has told the rate within this time nobody else needs to ask.
const WATCHED: Duration = Duration::from_millis(600);

/// So often it is looked whether a cut would be the best, had the server what its tensors are predicted from, and it is given that
/// more and more seldom while nothing comes of it.
const FIRST_START: Duration = Duration::from_millis(250);
const SLOWEST_START: Duration = Duration::from_secs(4);

/// What is tried more and more seldom while nothing comes of it.
#[derive(Clone, Copy, Debug)]
struct Tries {
    wait: Duration,
    last: Option<Instant>,
}

impl Tries {
    fn first_after(wait: Duration) -> Self {
        Self { wait, last: None }
    }

    /// Whether it is too soon for the next one.
    fn too_soon(&self, now: Instant) -> bool {
        self.last
            .is_some_and(|at| now.saturating_duration_since(at) < self.wait)
    }

    /// Nothing was to be tried.
    fn looked(&mut self, now: Instant) {
        self.last = Some(now);
    }

    fn tried(&mut self, slowest: Duration, now: Instant) {
        self.last = Some(now);
        self.wait = (self.wait * 2).min(slowest);
    }
}

/// Frames that were sent to see how the link is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes(Tries);

impl Default for Probes {
    fn default() -> Self {
        Self(Tries::first_after(FIRST_PROBE))
    }
}

/// Cuts that were begun by the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts(Tries);

impl Default for Starts {
    fn default() -> Self {
        Self(Tries::first_after(FIRST_START))
    }
}

/// What the last frame that was answered has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    at: Instant,
    /// From sending to the answer.
    taken: Duration,
}

impl Shown {
    pub(super) fn new(taken: Duration, at: Instant) -> Self {
        Self { at, taken }
    }
}

impl Selector {
    /// A monitor's word alone does not take frames away from here: its packets are small, and what frames meet beside the way
    /// (jitter that holds up one packet of several, a server that stalls) it does not see. So after some time here one goes there
    /// as a probe first, and has to be answered in less than it takes here, or, where something else than time is to be saved, within
    /// the budget, unless here the budget is missed or frames pile up. The choice to probe, if it is time for that.
    pub(super) fn check(
        &mut self,
        decision: &mut Decision,
        situation: &Situation<'_>,
        now: Instant,
    ) -> Option<Choice> {
        let leaves = self.current == Some(Choice::Here) && decision.choice != Choice::Here;
        let long_here = self
            .here_since
            .is_none_or(|since| now.saturating_duration_since(since) >= SHOWS);
        if !leaves || !long_here || self.monitored.is_none() || self.crowd.stays_away(now).is_some()
        {
            return None;
        }
        let find = |choice| decision.table.iter().find(|p| p.choice == choice);
        let (here, there) = (find(Choice::Here)?, find(decision.choice)?);
        let late = situation.budget.is_some_and(|budget| here.latency > budget);
        let piles = situation
            .interval
            .is_some_and(|interval| here.edge > interval);
        let enough = |taken| match situation.objective {
            Objective::Latency => taken < here.latency,
            _ => situation.budget.is_none_or(|budget| taken <= budget),
        };
        let shown = self.shown.is_some_and(|shown| {
            now.saturating_duration_since(shown.at) < SHOWS && enough(shown.taken + there.edge)
        });
        if late || piles || shown {
            return None;
        }
        let choice = decision.choice;
        *decision = Decision {
            choice: Choice::Here,
            predicted: here.latency,
            reason: format!(
                "all here ({:.1} ms) until a frame has shown that it is soon enough there ({:.1} ms are predicted)",
                here.latency.as_secs_f64() * 1e3,
                decision.predicted.as_secs_f64() * 1e3
            ),
            table: std::mem::take(&mut decision.table),
        };
        if self.probes.0.too_soon(now) {
            return None;
        }
        self.probes.0.tried(SLOWEST_CHECK, now);
        Some(choice)
    }

    /// Whether to ask how the link is, and with which choice: the one that would be best were it better.
    pub(super) fn probe(
        &mut self,
        situation: &Situation<'_>,
        decision: &Decision,
        now: Instant,
    ) -> Option<Choice> {
        let speeds = self.speeds.as_ref().filter(|_| situation.path.is_some())?;
        let watched = self
            .monitored
            .is_some_and(|at| now.saturating_duration_since(at) < WATCHED);
        let age = self.link.silent(now);
        if age.is_some_and(|age| age < self.probes.0.wait)
            || decision.choice != Choice::Here && self.link.unanswered() > 0
            || self.probes.0.too_soon(now)
            || watched && speeds.server_known()
            || self.crowd.stays_away(now).is_some()
        {
            return None;
        }
        let path = self.path(now, true);
        let hopeful = decide(&Situation {
            path: Some(&path),
            doubt: Doubt::default(),
            current: Some(decision.choice),
            ..situation.clone()
        });
        let better = hopeful.choice != decision.choice && hopeful.choice != Choice::Here;
        if !better {
            return None;
        }
        let probe = cheapest_to_ask(&hopeful, decision.choice, situation)?;
        let bytes = Duration::from_secs_f64(probe.bytes as f64 / MOST_BYTES);
        let worth = bytes.max(probe.edge.div_f64(MOST_WORK));
        let slowest = worth.clamp(FIRST_PROBE, SLOWEST_PROBE);
        self.probes.0.tried(slowest, now);
        Some(probe.choice)
    }

    /// The first tensors of a cut stand alone and are several times as large as those after them, so a cut may seem too slow where
    /// it would be the best for hundreds of frames. Then one frame of it goes there, so that the next ones can be predicted, if
    /// it can be there in time. Not from cut to cut, where there is little to gain.
    pub(super) fn start_cut(
        &mut self,
        wish: &Wish,
        situation: &Situation<'_>,
        decision: &Decision,
        now: Instant,
    ) -> Option<Choice> {
        let path = situation.path?;
        if matches!(decision.choice, Choice::Candidate(_))
            || self.starts.0.too_soon(now)
            || self.link.rate(now).is_none()
            || self.crowd.stays_away(now).is_some()
        {
            return None;
        }
        self.starts.0.looked(now);
        let started = self.profile_after(wish, 0.0);
        let later = decide(&Situation {
            profile: &started,
            current: Some(decision.choice),
            ..situation.clone()
        });
        let offload = match later.choice {
            Choice::Candidate(i) => started.candidates.get(i)?,
            _ => return None,
        };
        let more = offload.fresh_bytes.saturating_sub(offload.bytes) as f64;
        let more = more / path.bandwidth.unwrap_or(ASSUMED_BANDWIDTH).max(1.0);
        // A probe has all of the budget from when it is sent.
        let sent = later
            .predicted
            .saturating_sub(offload.head + offload.encode);
        if sent + Duration::from_secs_f64(more.min(1e3)) > wish.budget {
            return None;
        }
        self.starts.0.tried(SLOWEST_START, now);
        Some(later.choice)
    }
}

/// With which choice to ask how the link is: of those that would be faster than what is done `now`, the smallest. Whether there is a
/// faster link, it shows as well as the best would, and on one that is not its answer is there sooner. Where something else than time
/// is to be saved, the best.
fn cheapest_to_ask<'a>(
    hopeful: &'a Decision,
    now: Choice,
    situation: &Situation<'_>,
) -> Option<&'a Prediction> {
    let find = |choice| hopeful.table.iter().find(|p| p.choice == choice);
    let lasts = |p| lasting(p, situation.interval);
    let slow = lasts(find(now)?);
    let others = hopeful.table.iter();
    let faster = others.filter(|p| ![Choice::Here, now].contains(&p.choice) && lasts(p) < slow);
    let smallest = match situation.objective {
        Objective::Latency => faster.min_by_key(|p| p.bytes),
        _ => None,
    };
    smallest.or_else(|| find(hopeful.choice))
}
