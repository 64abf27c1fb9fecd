// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

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
        video: None,
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
        Choice::Candidate(0),
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
        ..Profile::default()
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
    let maybe = || proptest::option::of(any_offload());
    let candidates = proptest::collection::vec(any_offload(), 0..8);
    (1u32..300, maybe(), maybe(), candidates).prop_map(|(whole, picture, video, candidates)| {
        Profile {
            whole: whole * MS,
            picture,
            video,
            candidates,
        }
    })
}

fn any_path() -> impl Strategy<Value = Path> {
    (0u32..200, 1e3f64..1e7, 0.1f64..50.0, 0u32..50).prop_map(|(rtt, bandwidth, speed, queue)| {
        Path {
            rtt: rtt * MS,
            bandwidth: Some(bandwidth),
            backlog: Duration::ZERO,
            server: Server {
                speed,
                queue: queue * MS,
                ..Server::default()
            },
        }
    })
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
        let chosen = decision.table.iter().find(|p| p.choice == decision.choice).unwrap();
        // By the answer, or by completion here without it.
        let met = decision.predicted.min(chosen.edge + chosen.rest) <= budget;
        prop_assert!(met || decision.table.iter().all(|p| p.latency > budget));
    }

    #[test]
    fn less_bandwidth_never_moves_more_bytes(
        profile in any_profile(),
        path in any_path(),
        share in 0.01f64..1.0,
        interval in any_time(),
    ) {
        let worse = Path { bandwidth: path.bandwidth.map(|b| b * share), ..path.clone() };
        // Where frames pile up, what each costs those behind it counts, too.
        let slowest = predict(&profile, Some(&worse)).iter().map(Prediction::bottleneck).max();
        let interval = interval.map(|i| i + slowest.unwrap_or_default());
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

#[test]
fn the_longer_a_stall_and_the_more_frames_wait_the_sooner_all_is_done_here() {
    let (profile, path) = (profile(), path(1e7));
    let choose = |stall: u32, unanswered| {
        let doubt = Doubt {
            stall: stall * MS,
            unanswered,
        };
        decide(&Situation {
            budget: Some(200 * MS),
            interval: Some(100 * MS),
            doubt,
            ..Situation::new(&profile, Some(&path))
        })
        .choice
    };
    assert_eq!(choose(0, 4), Choice::Picture);
    assert_eq!(choose(5, 0), Choice::Picture);
    assert_eq!(choose(400, 0), Choice::Here);
    let first = |unanswered| (0..400).find(|s| choose(*s, unanswered) == Choice::Here);
    assert!(first(0).is_some());
    let quick = |unanswered| {
        let shorter = Situation {
            budget: Some(200 * MS),
            interval: Some(50 * MS),
            doubt: Doubt {
                stall: first(0).unwrap() * MS / 2,
                unanswered,
            },
            ..Situation::new(&profile, Some(&path))
        };
        let picture = &predict(&profile, Some(&path))[1];
        rank(&shorter, picture, Some(200 * MS), picture.latency).cost
    };
    assert!(quick(3) > quick(0), "each that waits is completed here too");
}

#[test]
fn a_choice_that_keeps_a_station_busy_too_long_lasts_as_long_as_its_frames_wait_and_are_dropped() {
    let mut p = predict(&profile(), None).remove(0);
    (p.latency, p.edge) = (45 * MS, 45 * MS);
    assert_eq!(lasting(&p, None), 45 * MS);
    assert_eq!(lasting(&p, Some(50 * MS)), 45 * MS);
    // Frame by frame: the newest that waits is begun, others are dropped, and all take until the next result.
    let interval = 33 * MS + MS / 3;
    let (mut begins, mut next, mut sum) = (Duration::ZERO, 0u32, Duration::ZERO);
    for _ in 0..3_000 {
        let newest = (begins.as_nanos() / interval.as_nanos()) as u32;
        begins = begins.max(next * interval);
        let newest = newest.max(next);
        sum += (next..=newest)
            .map(|n| begins + p.edge - n * interval)
            .sum();
        next = newest + 1;
        begins += p.edge;
    }
    let expected = (sum / next).as_secs_f64();
    let found = lasting(&p, Some(interval)).as_secs_f64();
    assert!((found / expected - 1.0).abs() < 0.02, "{found} {expected}");
}

#[test]
fn a_frame_does_not_go_where_those_behind_it_would_wait_for_its_answer() {
    // All here in 45 ms, the server in about 74: frames every 33 ms are done here, whichever of them waits.
    let profile = Profile {
        whole: 45 * MS,
        video: Some(Offload {
            encode: 11 * MS,
            tail: MS,
            ..Offload::default()
        }),
        ..Profile::default()
    };
    let path = Path {
        rtt: 62 * MS,
        bandwidth: Some(1e9),
        ..Path::default()
    };
    for waited in 0..33 {
        let decision = decide(&Situation {
            budget: Some(150 * MS),
            interval: Some(33 * MS),
            waited: waited * MS,
            current: Some(Choice::Here),
            ..Situation::new(&profile, Some(&path))
        });
        assert_eq!(decision.choice, Choice::Here, "{waited}: {decision:?}");
    }
}
