// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One sentence for people about a decision.

use std::time::Duration;

use super::rank::{Rank, Standing};
use super::{Objective, Situation};
use crate::{Choice, Prediction, Profile};

pub(super) fn explain(
    situation: &Situation<'_>,
    table: &[Prediction],
    chosen: &Prediction,
    rank: Rank,
    best: &Prediction,
) -> String {
    let profile = situation.profile;
    let what = describe(profile, chosen);
    let Some(path) = situation.path else {
        return format!("{what}: no server is connected");
    };
    let budget = situation.budget.map_or_else(String::new, |b| {
        format!(" within the budget of {:.1} ms", ms(b))
    });
    let why = match rank.standing {
        _ if chosen.choice != best.choice => format!(
            "stays, because {} is not better by {:.0} %",
            describe(profile, best),
            situation.margin * 100.0
        ),
        Standing::Overloaded => format!(
            "nothing keeps up with a frame every {:.1} ms; this comes closest with {:.1} ms a frame",
            situation.interval.map_or(0.0, ms),
            ms(chosen.bottleneck())
        ),
        Standing::TooLate => format!("nothing can be done{budget}; this is the fastest"),
        Standing::MeetsBudget => {
            let least = match situation.objective {
                Objective::Latency => "least latency",
                Objective::EdgeLoad => "least work here",
                Objective::Bandwidth => "fewest bytes",
                Objective::ServerLoad => "least work on the server",
            };
            format!("{least} of {} choices{budget}", table.len())
        }
    };
    let assumed = if path.bandwidth.is_none() && table.len() > 1 {
        " (bandwidth not measured yet, 10 Mbit/s assumed)"
    } else {
        ""
    };
    format!("{what}: {why}{assumed}")
}

fn describe(profile: &Profile, p: &Prediction) -> String {
    let latency = ms(p.latency);
    match p.choice {
        Choice::Here => format!("all here ({latency:.1} ms)"),
        Choice::Picture => format!("picture to the server ({latency:.1} ms, {} bytes)", p.bytes),
        Choice::Video => format!("video to the server ({latency:.1} ms, {} bytes)", p.bytes),
        Choice::Candidate(i) => {
            let name = profile.candidates.get(i).map_or("", |c| &c.name);
            format!("split at {i} {name} ({latency:.1} ms, {} bytes)", p.bytes)
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
