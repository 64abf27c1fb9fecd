// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What becomes of a decision where others use the server, too.

use std::time::{Duration, Instant};

use super::{Selector, Wish};
use crate::{Choice, Decision, Doubt, Path, Profile};

/// What the decision was taken from.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) wish: &'a Wish,
    pub(super) profile: &'a Profile,
    pub(super) path: Option<&'a Path>,
    pub(super) waited: Duration,
    pub(super) doubt: Doubt,
}

impl Selector {
    /// The decision, or to stay here while the server is left to others.
    pub(super) fn among_others(
        &mut self,
        decision: Decision,
        ground: Ground<'_>,
        now: Instant,
    ) -> Decision {
        let here = decision.choice == Choice::Here;
        if !here && let Some(left) = self.crowd.stays_away(now) {
            return self.away(ground, left);
        }
        let before = self.current.unwrap_or(Choice::Here);
        match (before == Choice::Here, here) {
            (true, false) => self.crowd.came_back(now),
            (false, false) => self.crowd.has_room(),
            (false, true) if self.crowd.is_there(now) && self.would_stay_alone(ground) => {
                if self.crowd.lingers(now) {
                    return lingering(decision, before);
                }
                self.crowd.left(now);
            }
            _ => {}
        }
        decision
    }

    /// Whether frames would go on to the server if none waited there.
    fn would_stay_alone(&self, ground: Ground<'_>) -> bool {
        let Some(mut path) = ground.path.cloned() else {
            return false;
        };
        path.server.queue = Duration::ZERO;
        let alone = self.decide_on(
            ground.wish,
            ground.profile,
            Some(&path),
            ground.waited,
            ground.doubt,
        );
        alone.choice != Choice::Here
    }

    fn away(&self, ground: Ground<'_>, left: Duration) -> Decision {
        let mut decision = self.decide_on(
            ground.wish,
            ground.profile,
            None,
            ground.waited,
            ground.doubt,
        );
        decision.reason = format!(
            "all here ({:.1} ms): others keep the server busy, it is tried again in {:.1} s",
            decision.predicted.as_secs_f64() * 1e3,
            left.as_secs_f64()
        );
        decision
    }
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
