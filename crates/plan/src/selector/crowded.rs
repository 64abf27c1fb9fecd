// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What becomes of a decision where others use the server, too.

use std::time::{Duration, Instant};

use super::Selector;
use crate::{Choice, Decision, Doubt, Path, Situation, decide};

impl Selector {
    /// The decision, or to stay here while the server is left to others.
    pub(super) fn among_others(
        &mut self,
        decision: Decision,
        situation: &Situation<'_>,
        now: Instant,
    ) -> Decision {
        let here = decision.choice == Choice::Here;
        if !here
            && let Some(left) = self.crowd.stays_away(now)
            && let Some(decision) = away(&decision, situation, left)
        {
            return decision;
        }
        let before = self.current.unwrap_or(Choice::Here);
        match (before == Choice::Here, here) {
            (true, false) => self.crowd.came_back(now),
            (false, false) => self.crowd.has_room(),
            (false, true) if self.crowd.is_there(now) && would_stay_alone(situation) => {
                if self.crowd.lingers(now) {
                    return lingering(decision, before);
                }
                self.crowd.left(now);
            }
            _ => {}
        }
        decision
    }
}

/// Whether frames would go on to the server if none waited there. That answers are late or do not come at all shows the queue then,
/// and no link that stalls.
fn would_stay_alone(situation: &Situation<'_>) -> bool {
    let Some(mut path) = situation.path.cloned() else {
        return false;
    };
    path.server.queue = Duration::ZERO;
    let alone = decide(&Situation {
        path: Some(&path),
        doubt: Doubt::default(),
        ..situation.clone()
    });
    alone.choice != Choice::Here
}

/// All here for so long yet; `None` where that has become too slow for the budget and the server has not.
fn away(decision: &Decision, situation: &Situation<'_>, left: Duration) -> Option<Decision> {
    let mut here = decide(&Situation {
        path: None::<&Path>,
        ..situation.clone()
    });
    let late = |d: &Decision| situation.budget.is_some_and(|b| d.predicted > b);
    if late(&here) && !late(decision) {
        return None;
    }
    here.reason = format!(
        "all here ({:.1} ms): others keep the server busy, it is tried again in {:.1} s",
        here.predicted.as_secs_f64() * 1e3,
        left.as_secs_f64()
    );
    Some(here)
}

/// As before, though it is not the best.
fn lingering(decision: Decision, before: Choice) -> Decision {
    let Some(as_before) = decision.table.iter().find(|p| p.choice == before) else {
        return decision;
    };
    Decision {
        choice: before,
        predicted: as_before.latency,
        reason: format!(
            "stays ({:.1} ms): others keep the server busy, and may leave first",
            as_before.latency.as_secs_f64() * 1e3
        ),
        ..decision
    }
}
