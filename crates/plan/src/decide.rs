// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0
//! The selector: from predictions to a decision that explains itself.

use crate::{Choice, Path, Prediction, Profile, predict};
use std::time::Duration;

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

/// How far a choice is from what is asked for. The order is the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    MeetsBudget,
    TooLate,
    /// Frames would pile up.
    Overloaded,
}

/// What choices are compared by, best first; ties go to the faster, then to the one that sends less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    standing: Standing,
    /// What the objective saves; among those that are too late their latency, among those that overload a
    /// station the time that it needs for a frame.
    cost: u128,
    latency: Duration,
    bytes: u64,
}

/// Chooses, among what meets the budget at the given frame rate, what the objective asks for. When nothing
/// does, the fastest; when nothing keeps up with the frame rate, what comes closest to it, or, where the objective is
/// latency, what gives the least with the frames that wait. The current choice stays unless another is better by the
/// margin. Without a connection everything is done here.
pub fn decide(situation: &Situation<'_>) -> Decision {
    let table = predict(situation.profile, situation.path);
    let current = table
        .iter()
        .find(|p| Some(p.choice) == situation.current)
        .map(|p| (p, rank(situation, p, situation.budget)));
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
        _ => rank(situation, p, budget),
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

fn rank(situation: &Situation<'_>, p: &Prediction, budget: Option<Duration>) -> Rank {
    let by_latency = situation.objective == Objective::Latency;
    let overloaded = situation.interval.is_some_and(|i| p.bottleneck() > i);
    let pile = if by_latency {
        pile(situation, p)
    } else {
        Duration::ZERO
    };
    // An answer that comes after the budget is no longer taken: the frame is completed here then.
    let answered = match situation.budget {
        Some(whole) if p.choice != Choice::Here && p.latency > whole => {
            p.latency.max(whole.saturating_add(p.rest))
        }
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

/// What a choice costs the frames behind this one: the next one waits until this machine is free again; where more time
/// passes than `in_flight` frames have, each waits for about half of what is too much.
fn pile(situation: &Situation<'_>, p: &Prediction) -> Duration {
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
    next.max(flight)
}

/// Whether the current choice stays although another may be better.
fn stays(current: Rank, best: Rank, margin: f64) -> bool {
    current.standing == best.standing
        && best.cost as f64 >= current.cost as f64 * (1.0 - margin.clamp(0.0, 1.0))
}

fn explain(
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
        Choice::Candidate(i) => {
            let name = profile.candidates.get(i).map_or("", |c| &c.name);
            format!("split at {i} {name} ({latency:.1} ms, {} bytes)", p.bytes)
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Offload, Server};
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn offload(head: u32, bytes: u64, tail: u32) -> Offload {
        Offload {
            name: "relu".into(),
            head: head * MS,
            encode: MS,
            bytes,
            fresh_bytes: bytes,
            decode: MS,
            tail: tail * MS,
        }
    }

    /// A slow edge; an early cut that is large, a late one that is small.
    fn profile() -> Profile {
        Profile {
            whole: 100 * MS,
            picture: Some(offload(0, 40_000, 100)),
            candidates: vec![offload(20, 20_000, 80), offload(60, 2_000, 40)],
        }
    }

    fn path(bandwidth: f64) -> Path {
        Path {
            rtt: 10 * MS,
            bandwidth: Some(bandwidth),
            backlog: Duration::ZERO,
            server: Server {
                speed: 10.0,
                ..Server::default()
            },
        }
    }

    #[test]
    fn less_bandwidth_moves_the_split_from_the_server_to_the_edge() {
        let profile = profile();
        let choose = |bandwidth| decide(&Situation::new(&profile, Some(&path(bandwidth)))).choice;
        assert_eq!(choose(1e7), Choice::Picture);
        assert_eq!(choose(6e5), Choice::Candidate(0));
        assert_eq!(choose(2e5), Choice::Candidate(1));
        assert_eq!(choose(1e4), Choice::Here);
        assert_eq!(choose(0.0), Choice::Here);
    }

    #[test]
    fn each_objective_saves_what_it_names_within_the_budget() {
        let profile = profile();
        let path = path(6e5);
        let choose = |objective, budget: u32| {
            let decision = decide(&Situation {
                objective,
                budget: Some(budget * MS),
                ..Situation::new(&profile, Some(&path))
            });
            decision.choice
        };
        assert_eq!(choose(Objective::Latency, 200), Choice::Candidate(0));
        assert_eq!(choose(Objective::EdgeLoad, 200), Choice::Picture);
        assert_eq!(choose(Objective::EdgeLoad, 80), Choice::Candidate(0));
        assert_eq!(choose(Objective::Bandwidth, 200), Choice::Here);
        assert_eq!(choose(Objective::Bandwidth, 90), Choice::Candidate(1));
        assert_eq!(choose(Objective::ServerLoad, 90), Choice::Candidate(1));
        assert_eq!(
            choose(Objective::Bandwidth, 10),
            Choice::Candidate(1),
            "none meets it: the one that is done soonest, by whomever"
        );
    }

    #[test]
    fn a_choice_at_which_frames_pile_up_is_not_taken_for_its_latency() {
        let profile = profile();
        let path = path(6e5);
        let mut situation = Situation::new(&profile, Some(&path));
        situation.objective = Objective::EdgeLoad;
        situation.interval = Some(30 * MS);
        let decision = decide(&situation);
        // Candidate 0 keeps the link busy for 33 ms a frame: nothing keeps up, and it is closest.
        assert_eq!(decision.choice, Choice::Candidate(0));
        assert!(
            decision.reason.contains("nothing keeps up"),
            "{}",
            decision.reason
        );
        situation.interval = Some(70 * MS);
        assert_eq!(decide(&situation).choice, Choice::Picture);
        let slower = self::path(2.5e5);
        situation.path = Some(&slower);
        assert_eq!(
            decide(&situation).choice,
            Choice::Candidate(1),
            "the link would be full"
        );
    }

    #[test]
    fn a_frame_that_has_waited_is_not_given_to_a_machine_that_is_behind() {
        let profile = Profile {
            whole: 40 * MS,
            picture: Some(offload(0, 20_000, 100)),
            candidates: Vec::new(),
        };
        let path = path(1e6);
        let mut situation = Situation::new(&profile, Some(&path));
        situation.interval = Some(33 * MS);
        // Here 40 ms, and the next frame waits for 7; there 41 ms.
        assert_eq!(decide(&situation).choice, Choice::Picture);
        situation.interval = Some(60 * MS);
        assert_eq!(decide(&situation).choice, Choice::Here);
        situation.waited = 30 * MS;
        assert_eq!(decide(&situation).choice, Choice::Picture);
    }

    #[test]
    fn the_current_choice_stays_until_another_is_clearly_better() {
        let profile = profile();
        let near = path(4e5);
        let table = predict(&profile, Some(&near));
        let ratio = table[3].latency.as_secs_f64() / table[2].latency.as_secs_f64();
        assert!((0.8..0.95).contains(&ratio), "{ratio}");
        let mut situation = Situation::new(&profile, Some(&near));
        assert_eq!(decide(&situation).choice, Choice::Candidate(1));
        situation.current = Some(Choice::Candidate(0));
        situation.margin = 0.2;
        let decision = decide(&situation);
        assert_eq!(decision.choice, Choice::Candidate(0));
        assert!(decision.reason.contains("stays"), "{}", decision.reason);
        situation.margin = 0.05;
        assert_eq!(decide(&situation).choice, Choice::Candidate(1));
        // Over the budget it does not stay, whatever the margin.
        situation.margin = 0.2;
        situation.budget = Some(table[3].latency + (table[2].latency - table[3].latency) / 2);
        assert_eq!(decide(&situation).choice, Choice::Candidate(1));
    }

    #[test]
    fn the_reason_says_what_was_decided_and_why() {
        let profile = profile();
        let offline = decide(&Situation::new(&profile, None));
        assert_eq!(
            offline.reason,
            "all here (100.0 ms): no server is connected"
        );
        let unknown = Path {
            bandwidth: None,
            ..path(0.0)
        };
        let reason = decide(&Situation::new(&profile, Some(&unknown))).reason;
        assert!(
            reason.starts_with("picture to the server (") || reason.starts_with("split at"),
            "{reason}"
        );
        assert!(
            reason.ends_with("(bandwidth not measured yet, 10 Mbit/s assumed)"),
            "{reason}"
        );
    }

    fn any_offload() -> impl Strategy<Value = Offload> {
        (0u32..200, 0u64..200_000, 0u32..200).prop_map(|(h, b, t)| offload(h, b, t))
    }

    fn any_profile() -> impl Strategy<Value = Profile> {
        let picture = proptest::option::of(any_offload());
        let candidates = proptest::collection::vec(any_offload(), 0..8);
        (1u32..300, picture, candidates).prop_map(|(whole, picture, candidates)| Profile {
            whole: whole * MS,
            picture,
            candidates,
        })
    }

    fn any_path() -> impl Strategy<Value = Path> {
        (0u32..200, 1e3f64..1e7, 0.1f64..50.0, 0u32..50).prop_map(
            |(rtt, bandwidth, speed, queue)| Path {
                rtt: rtt * MS,
                bandwidth: Some(bandwidth),
                backlog: Duration::ZERO,
                server: Server {
                    speed,
                    queue: queue * MS,
                    ..Server::default()
                },
            },
        )
    }

    fn any_objective() -> impl Strategy<Value = Objective> {
        use Objective::*;
        prop_oneof![
            Just(Latency),
            Just(EdgeLoad),
            Just(Bandwidth),
            Just(ServerLoad)
        ]
    }

    fn any_time() -> impl Strategy<Value = Option<Duration>> {
        proptest::option::of((1u32..300).prop_map(|n| n * MS))
    }

    proptest! {
        #[test]
        fn never_slower_than_any_fixed_choice(profile in any_profile(), path in any_path(), budget in any_time()) {
            let decision = decide(&Situation { budget, ..Situation::new(&profile, Some(&path)) });
            let fastest = decision.table.iter().map(|p| p.latency).min();
            if budget.is_none() || fastest <= budget {
                prop_assert_eq!(Some(decision.predicted), fastest);
            }
        }

        #[test]
        fn the_budget_is_met_whenever_any_choice_meets_it(
            profile in any_profile(),
            path in any_path(),
            budget in 1u32..300,
            objective in any_objective(),
            current in proptest::option::of(0usize..4),
        ) {
            let budget = budget * MS;
            let situation = Situation {
                budget: Some(budget),
                objective,
                current: current.map(Choice::Candidate),
                ..Situation::new(&profile, Some(&path))
            };
            let decision = decide(&situation);
            if decision.table.iter().any(|p| p.latency <= budget) {
                prop_assert!(decision.predicted <= budget);
            }
        }

        #[test]
        fn less_bandwidth_never_moves_more_bytes(
            profile in any_profile(),
            path in any_path(),
            share in 0.01f64..1.0,
            interval in any_time(),
        ) {
            let worse = Path { bandwidth: path.bandwidth.map(|b| b * share), ..path.clone() };
            let bytes = |path| {
                let decision = decide(&Situation { interval, ..Situation::new(&profile, Some(path)) });
                decision.table.iter().find(|p| p.choice == decision.choice).map(|p| p.bytes)
            };
            prop_assert!(bytes(&worse) <= bytes(&path));
        }

        #[test]
        fn without_a_connection_everything_is_here(
            profile in any_profile(),
            budget in any_time(),
            interval in any_time(),
            objective in any_objective(),
        ) {
            let current = Some(Choice::Picture);
            let situation = Situation { budget, interval, objective, current, ..Situation::new(&profile, None) };
            prop_assert_eq!(decide(&situation).choice, Choice::Here);
        }

        #[test]
        fn a_decision_taken_is_kept_as_long_as_nothing_changes(
            profile in any_profile(),
            path in any_path(),
            budget in any_time(),
            interval in any_time(),
            objective in any_objective(),
        ) {
            let mut situation = Situation { budget, interval, objective, ..Situation::new(&profile, Some(&path)) };
            let choice = decide(&situation).choice;
            situation.current = Some(choice);
            prop_assert_eq!(decide(&situation).choice, choice);
        }
    }
}
