// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What choices are compared by.

use std::time::Duration;

use super::{Objective, Situation};
use crate::{Choice, Prediction};

/// How far a choice is from what is asked for. The order is the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    MeetsBudget,
    TooLate,
    /// Frames would pile up.
    Overloaded,
}

/// What choices are compared by, best first; ties go to the faster, then to the one that sends less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) standing: Standing,
    /// What the objective saves; among those that are too late their latency, among those that overload a
    /// station the time that it needs for a frame.
    pub(super) cost: u128,
    pub(super) latency: Duration,
    pub(super) bytes: u64,
}

pub(super) fn rank(
    situation: &Situation<'_>,
    p: &Prediction,
    budget: Option<Duration>,
    lasts: Duration,
) -> Rank {
    let by_latency = situation.objective == Objective::Latency;
    let overloaded = situation.interval.is_some_and(|i| p.bottleneck() > i);
    let pile = if by_latency {
        pile(situation, p, lasts)
    } else {
        Duration::ZERO
    };
    let answered = match situation.budget {
        Some(whole) if p.choice != Choice::Here => answered(situation, p, whole),
        _ => p.latency,
    };
    let latency = answered.saturating_add(pile);
    let standing = if overloaded && !by_latency {
        Standing::Overloaded
    } else if budget.is_some_and(|b| latency > b) {
        Standing::TooLate
    } else {
        Standing::MeetsBudget
    };
    let cost = match (standing, situation.objective) {
        (Standing::Overloaded, _) => p.bottleneck().as_nanos(),
        (Standing::TooLate, _) | (_, Objective::Latency) => latency.as_nanos(),
        (_, Objective::EdgeLoad) => p.edge.as_nanos(),
        (_, Objective::Bandwidth) => u128::from(p.bytes),
        (_, Objective::ServerLoad) => p.server.as_nanos(),
    };
    Rank {
        standing,
        cost,
        latency: p.latency,
        bytes: p.bytes,
    }
}

/// When the result is there on average. A frame whose answer does not come is completed here: in time for the budget, or, where
/// the answer is expected only after that would have to begin, from then on. An answer that comes first is taken even so. A link
/// that has let nothing through for a while goes on so for as long again with a chance of one half, for twice as long with one of
/// a third, and so on (as stretches do whose lengths span orders of magnitude).
fn answered(situation: &Situation<'_>, p: &Prediction, budget: Duration) -> Duration {
    let doubt = situation.doubt;
    let begins = budget.saturating_sub(p.rest).max(p.latency).min(budget);
    let missed = begins.max(p.edge).saturating_add(p.rest);
    let Some(spare) = missed.checked_sub(p.latency) else {
        return missed;
    };
    let seconds = |d: Duration| d.as_secs_f64().max(1e-6);
    let (stall, spare) = (seconds(doubt.stall), seconds(spare));
    let miss = stall / (stall + spare);
    // All that wait are completed here one after the other then.
    let each = p
        .rest
        .saturating_sub(situation.interval.unwrap_or_default());
    let missed = seconds(missed) + f64::from(doubt.unanswered) * each.as_secs_f64();
    let wait = stall * ((spare / stall).ln_1p() - spare / (stall + spare));
    let mean = (1.0 - miss) * seconds(p.latency) + wait + miss * missed;
    Duration::try_from_secs_f64(mean).unwrap_or(Duration::MAX)
}

/// Latency on average where every frame is dealt with in this way. Where that keeps a station busy for longer than a frame lasts, the
/// newest frame is begun whenever it is free; those before it are dropped, and take until its result. So each waits for half of
/// the station's time.
pub(crate) fn lasting(p: &Prediction, interval: Option<Duration>) -> Duration {
    match interval.is_some_and(|i| p.bottleneck() > i) {
        true => p.latency.saturating_add(p.bottleneck() / 2),
        false => p.latency,
    }
}

/// What a choice costs the frames behind this one: the next one waits until this machine is free again; where more time
/// passes than `in_flight` frames have, each waits for about half of what is too much. And as results leave in the order of their
/// frames, the next one is held up that would be there sooner: by the choice that is best for many, which takes `lasts`.
fn pile(situation: &Situation<'_>, p: &Prediction, lasts: Duration) -> Duration {
    let Some(interval) = situation.interval else {
        return Duration::ZERO;
    };
    let next = (situation.waited + p.edge).saturating_sub(interval);
    let each = match situation.in_flight {
        Some(frames) if p.choice != Choice::Here => p.latency / frames.max(1),
        _ => Duration::ZERO,
    };
    let flight = if each > interval {
        each / 2
    } else {
        Duration::ZERO
    };
    let begins = interval.saturating_sub(situation.waited).max(p.edge);
    let held = p.latency.saturating_sub(begins.saturating_add(lasts));
    next.max(flight).saturating_add(held)
}

/// Whether the current choice stays although another may be better.
pub(super) fn stays(current: Rank, best: Rank, margin: f64) -> bool {
    current.standing == best.standing
        && best.cost as f64 >= current.cost as f64 * (1.0 - margin.clamp(0.0, 1.0))
}
