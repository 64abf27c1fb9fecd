// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The selector: from predictions to a decision that explains itself.

mod explain;
mod rank;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{Choice, Path, Prediction, Profile, predict};
use explain::explain;
pub(crate) use rank::lasting;
use rank::{Standing, rank, stays};

/// What to save among the choices that meet the budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// Time from picture to result.
    #[default]
    Latency,
    /// Work on this machine.
    EdgeLoad,
    /// Bytes to the server.
    Bandwidth,
    /// Work on the server.
    ServerLoad,
}

/// How far answers can be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// For how long, by now, the link has let nothing through.
    pub stall: Duration,
    /// Frames on the way to the server.
    pub unanswered: u32,
}

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    pub profile: &'a Profile,
    /// `None` without a connection: everything is done here.
    pub path: Option<&'a Path>,
    /// From the prepared picture to the result; `None`: any latency will do.
    pub budget: Option<Duration>,
    /// Time between two inferred frames; `None`: as fast as it goes. Where a choice needs longer at one of its
    /// stations, frames wait or are lost.
    pub interval: Option<Duration>,
    /// How long this frame has waited for its turn.
    pub waited: Duration,
    /// Frames that may be under way at a time; `None`: any number.
    pub in_flight: Option<u32>,
    pub doubt: Doubt,
    pub objective: Objective,
    /// What runs now.
    pub current: Option<Choice>,
    /// By what share another choice must be better than the current one to replace it (0.1: by a tenth).
    pub margin: f64,
}

impl<'a> Situation<'a> {
    /// No budget, no frame rate, least latency, nothing runs yet; a tenth to replace what runs.
    pub fn new(profile: &'a Profile, path: Option<&'a Path>) -> Self {
        Self {
            profile,
            path,
            budget: None,
            interval: None,
            waited: Duration::ZERO,
            in_flight: None,
            doubt: Doubt::default(),
            objective: Objective::Latency,
            current: None,
            margin: 0.1,
        }
    }
}

/// Where to run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub choice: Choice,
    /// Predicted latency of the choice.
    pub predicted: Duration,
    /// One sentence for people.
    pub reason: String,
    /// Every choice that there was.
    pub table: Vec<Prediction>,
}

/// Chooses, among what meets the budget at the given frame rate, what the objective asks for. When nothing
/// does, the fastest; when nothing keeps up with the frame rate, what comes closest to it, or, where the objective is
/// latency, what gives the least with the frames that wait. The current choice stays unless another is better by the
/// margin. Without a connection everything is done here.
pub fn decide(situation: &Situation<'_>) -> Decision {
    let table = predict(situation.profile, situation.path);
    let best_for_many = table.iter().min_by_key(|p| lasting(p, situation.interval));
    let lasts = best_for_many.map_or(Duration::ZERO, |p| p.latency);
    let current = table
        .iter()
        .find(|p| Some(p.choice) == situation.current)
        .map(|p| (p, rank(situation, p, situation.budget, lasts)));
    // While the current choice meets the budget, another one has to meet it with room to spare: else two
    // choices about as slow as the budget would take turns.
    let budget = match current {
        Some((_, r)) if r.standing == Standing::MeetsBudget => situation
            .budget
            .map(|b| b.mul_f64(1.0 - situation.margin.clamp(0.0, 1.0))),
        _ => situation.budget,
    };
    let rank_of = |p: &Prediction| match current {
        Some((c, r)) if c.choice == p.choice => r,
        _ => rank(situation, p, budget, lasts),
    };
    // `Here` is always there, and first.
    let first = (&table[0], rank_of(&table[0]));
    let (best, best_rank) = table[1..].iter().fold(first, |best, p| {
        let rank = rank_of(p);
        if rank < best.1 { (p, rank) } else { best }
    });
    let kept = current.filter(|(_, r)| stays(*r, best_rank, situation.margin));
    let (chosen, chosen_rank) = kept.unwrap_or((best, best_rank));
    Decision {
        choice: chosen.choice,
        predicted: chosen.latency,
        reason: explain(situation, &table, chosen, chosen_rank, best),
        table,
    }
}
