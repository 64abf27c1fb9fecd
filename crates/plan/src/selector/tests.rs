// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use super::*;

const MS: Duration = Duration::from_millis(1);

/// All that differs is the size.
fn offload(bytes: u64, fresh_bytes: u64) -> Offload {
    Offload {
        encode: MS,
        bytes,
        fresh_bytes,
        decode: MS,
        tail: 100 * MS,
        ..Offload::default()
    }
}

fn selector() -> Selector {
    let mut selector = Selector::default();
    selector.set_profile(Profile {
        whole: 100 * MS,
        picture: Some(offload(15_000, 15_000)),
        video: Some(offload(1_000, 10_000)),
        candidates: Vec::new(),
    });
    selector
}

fn wish() -> Wish {
    Wish {
        connected: true,
        video: true,
        objective: Objective::Latency,
        budget: 200 * MS,
        interval: Some(33 * MS),
        in_flight: 4,
    }
}

fn answered(selector: &mut Selector, number: u64, choice: Choice, bytes: u64, alone: bool) {
    selector.answered(&Round {
        number,
        choice,
        bytes,
        alone,
        taken: 20 * MS,
        queue: Duration::ZERO,
        work: 10 * MS,
    });
}

/// A frame is coded, sent and answered.
fn passes(selector: &mut Selector, number: u64, choice: Choice, bytes: u64, alone: bool) {
    selector.worked(choice, MS);
    selector.sent(number, choice, bytes, Instant::now());
    answered(selector, number, choice, bytes, alone);
}

/// What a frame of the video is thought to take now.
fn video_bytes(selector: &Selector, now: Instant) -> u64 {
    selector.profile_now(&wish(), now).video.unwrap().bytes
}

#[test]
fn a_video_costs_its_key_frame_until_the_server_has_one_and_after_it_was_lost() {
    let (mut selector, now) = (selector(), Instant::now());
    let begins = video_bytes(&selector, now);
    assert!(begins > 1_000 && begins < 10_000, "{begins}");
    answered(&mut selector, 0, Choice::Video, 10_000, true);
    assert_eq!(video_bytes(&selector, now), 1_000);
    // Another choice meanwhile changes nothing: the server keeps what it has.
    answered(&mut selector, 1, Choice::Picture, 15_000, true);
    assert_eq!(video_bytes(&selector, now), 1_000);
    selector.video_broken();
    assert_eq!(video_bytes(&selector, now), begins);
    answered(&mut selector, 2, Choice::Video, 10_000, true);
    selector.disconnected();
    assert_eq!(video_bytes(&selector, now), begins);
}

#[test]
fn a_cut_costs_a_frame_that_stands_alone_where_the_server_has_none_of_it() {
    for last_only in [false, true] {
        let (mut selector, now) = (selector(), Instant::now());
        selector.set_profile(Profile {
            candidates: vec![offload(1_000, 10_000); 2],
            ..selector.profile().unwrap().clone()
        });
        selector.set_keeps_last_only(last_only);
        let bytes = |selector: &Selector, cut: usize| {
            let profile = selector.profile_now(&wish(), now);
            profile.candidates[cut].bytes
        };
        let known = |selector: &Selector| [0, 1].map(|cut| bytes(selector, cut) == 1_000);
        assert_eq!(known(&selector), [false, false]);
        passes(&mut selector, 0, Choice::Candidate(0), 10_000, true);
        passes(&mut selector, 1, Choice::Picture, 15_000, true);
        assert_eq!(known(&selector), [true, false]);
        selector.sent(2, Choice::Candidate(0), 1_000, now);
        selector.sent(3, Choice::Candidate(1), 10_000, now);
        answered(&mut selector, 2, Choice::Candidate(0), 1_000, false);
        assert_eq!(known(&selector), [!last_only, false]);
        answered(&mut selector, 3, Choice::Candidate(1), 10_000, true);
        assert_eq!(known(&selector), [!last_only, true]);
        selector.tensors_lost();
        assert_eq!(known(&selector), [false, false]);
    }
}

#[test]
fn a_server_that_takes_no_video_is_sent_none() {
    let (mut selector, now) = (selector(), Instant::now());
    selector.monitored(Some(10 * MS), Some((125e3, now)), now);
    let wish = Wish {
        video: false,
        ..wish()
    };
    let table = selector.decide(&wish, now).decision.table;
    assert!(table.iter().all(|p| p.choice != Choice::Video));
}

#[test]
fn key_frames_are_no_measure_of_the_others_and_pictures_always_stand_alone() {
    let mut selector = selector();
    for n in 0..40 {
        passes(&mut selector, 3 * n, Choice::Video, 20_000, true);
        passes(&mut selector, 3 * n + 1, Choice::Video, 2_000, false);
        passes(&mut selector, 3 * n + 2, Choice::Picture, 9_000, true);
    }
    let profile = selector.profile().unwrap();
    let near = |bytes: u64, expected: u64| bytes.abs_diff(expected) < expected / 20;
    let video = profile.video.as_ref().unwrap();
    assert!(
        near(video.bytes, 2_000) && near(video.fresh_bytes, 20_000),
        "{video:?}"
    );
    let picture = profile.picture.as_ref().unwrap();
    assert!(near(picture.bytes, 9_000), "{picture:?}");
}

#[test]
fn what_a_frame_takes_that_is_predicted_across_others_says_nothing_of_frames_in_a_row() {
    let mut selector = selector();
    for n in 0..20 {
        passes(&mut selector, n, Choice::Video, 1_500, n == 0);
    }
    let bytes = |selector: &Selector| selector.profile().unwrap().video.as_ref().unwrap().bytes;
    let in_row = bytes(&selector);
    assert!(in_row.abs_diff(1_500) < 75, "{in_row}");
    for n in (20..60).step_by(2) {
        selector.worked(Choice::Here, 100 * MS);
        passes(&mut selector, n, Choice::Video, 4_000, false);
    }
    assert_eq!(bytes(&selector), in_row);
    passes(&mut selector, 60, Choice::Video, 1_000, false);
    assert!(bytes(&selector) < in_row);
}

#[test]
fn a_slow_link_takes_the_video_where_the_picture_is_too_large() {
    let (mut selector, now) = (selector(), Instant::now());
    answered(&mut selector, 0, Choice::Video, 10_000, true);
    // 1 Mbit/s: 120 ms for the picture, 8 ms for the video.
    selector.monitored(Some(10 * MS), Some((125e3, now)), now);
    let plan = selector.decide(&wish(), now);
    assert_eq!(plan.decision.choice, Choice::Video);
    assert!(
        plan.decision.reason.starts_with("video to the server ("),
        "{}",
        plan.decision.reason
    );
}

#[test]
fn the_link_is_asked_with_the_smallest_of_what_would_be_faster() {
    for objective in [Objective::Latency, Objective::EdgeLoad] {
        let (mut selector, start) = (selector(), Instant::now());
        selector.set_profile(Profile {
            candidates: vec![Offload {
                head: 40 * MS,
                ..offload(900, 9_000)
            }],
            ..selector.profile().unwrap().clone()
        });
        let wish = Wish {
            objective,
            ..wish()
        };
        // Nothing comes back for so long that all is done here.
        for number in 0..4 {
            selector.sent(number, Choice::Video, 10_000, start);
            selector.given_up(number, start + 800 * MS);
        }
        let plan = selector.decide(&wish, start + 2_000 * MS);
        let reason = &plan.decision.reason;
        assert!(plan.probe, "{objective:?}: {reason}");
        let smallest = plan.decision.choice == Choice::Candidate(0);
        assert_eq!(smallest, objective == Objective::Latency);
    }
}

#[test]
fn the_link_is_not_asked_while_an_answer_is_under_way() {
    for under_way in [false, true] {
        let (mut selector, start) = (selector(), Instant::now());
        selector.set_profile(Profile {
            whole: 200 * MS,
            picture: Some(offload(50_000, 50_000)),
            video: None,
            candidates: vec![Offload {
                head: 30 * MS,
                ..offload(500, 500)
            }],
        });
        let wish = Wish {
            budget: 300 * MS,
            interval: Some(100 * MS),
            ..wish()
        };
        let cut = Choice::Candidate(0);
        let mut now = start;
        // A slow link lets small frames through.
        for number in 0..10 {
            selector.worked(cut, 31 * MS);
            selector.sent(number, cut, 500, now);
            selector.answered(&Round {
                number,
                choice: cut,
                bytes: 500,
                alone: number == 0,
                taken: 60 * MS,
                queue: Duration::ZERO,
                work: 10 * MS,
            });
            now += 100 * MS;
        }
        now += 300 * MS;
        if under_way {
            selector.sent(10, cut, 500, now - 10 * MS);
        }
        let plan = selector.decide(&wish, now);
        assert_eq!(selector.current(), Some(cut), "{}", plan.decision.reason);
        assert_eq!(plan.decision.choice != cut, !under_way);
    }
}

/// Frames of others keep the server busy, and this edge has left it.
fn sent_home() -> (Selector, Instant) {
    let (mut selector, mut now) = (selector(), Instant::now());
    selector.monitored(Some(10 * MS), Some((12.5e6, now)), now);
    for number in 0..40 {
        answered(&mut selector, number, Choice::Picture, 15_000, true);
    }
    assert_ne!(selector.decide(&wish(), now).decision.choice, Choice::Here);
    for _ in 0..200 {
        now += 10 * MS;
        selector.waiting(50, now);
        selector.queue = 0.5;
        if selector.decide(&wish(), now).decision.choice == Choice::Here {
            return (selector, now);
        }
    }
    panic!("it stays");
}

#[test]
fn an_edge_that_others_sent_home_stays_there_for_a_while_though_the_queue_is_gone() {
    let (mut selector, mut now) = sent_home();
    selector.queue = 0.0;
    let plan = selector.decide(&wish(), now);
    assert_eq!(plan.decision.choice, Choice::Here);
    let reason = plan.decision.reason;
    assert!(reason.contains("others keep the server busy"), "{reason}");
    now += 1500 * MS;
    let plan = selector.decide(&wish(), now);
    assert!(plan.decision.choice != Choice::Here, "it is tried again");
}

#[test]
fn it_does_not_where_all_here_has_become_too_slow_or_the_session_is_another() {
    let (mut selector, now) = sent_home();
    selector.queue = 0.0;
    for _ in 0..10 {
        selector.worked(Choice::Here, 600 * MS);
    }
    let plan = selector.decide(&wish(), now);
    assert_ne!(
        plan.decision.choice,
        Choice::Here,
        "{}",
        plan.decision.reason
    );
    let (mut selector, now) = sent_home();
    selector.disconnected();
    selector.queue = 0.0;
    let reason = selector.decide(&wish(), now).decision.reason;
    assert!(!reason.contains("others"), "{reason}");
}

/// There is time for all of the model here between two frames.
fn leisurely() -> Wish {
    Wish {
        interval: Some(150 * MS),
        ..wish()
    }
}

/// All here, and a monitor that has found a fast link; the plan of now.
fn monitored_from_here() -> (Selector, Instant, Plan) {
    let (mut selector, now) = (selector(), Instant::now());
    selector.set_current(Choice::Here);
    selector.server(
        Duration::ZERO,
        [(Choice::Picture, 10 * MS)].into_iter(),
        now,
    );
    selector.monitored(Some(10 * MS), Some((12.5e6, now)), now);
    let plan = selector.decide(&leisurely(), now);
    (selector, now, plan)
}

#[test]
fn an_edge_that_met_the_server_in_a_bad_moment_believes_later_what_it_says_of_itself() {
    let (mut selector, now) = (selector(), Instant::now());
    for number in 0..4 {
        selector.sent(number, Choice::Picture, 15_000, now);
        selector.answered(&Round {
            number,
            choice: Choice::Picture,
            bytes: 15_000,
            alone: true,
            taken: 310 * MS,
            queue: Duration::ZERO,
            work: 300 * MS,
        });
    }
    let there = |selector: &mut Selector, at: Instant| {
        for _ in 0..20 {
            let times = [(Choice::Picture, 20 * MS)].into_iter();
            selector.server(Duration::ZERO, times, at);
        }
        selector.path(at, false).server.picture.unwrap()
    };
    assert!(there(&mut selector, now + FORGOTTEN - MS) > 290 * MS);
    assert!(there(&mut selector, now + FORGOTTEN) < 25 * MS);
}

/// The probe of number 7 comes back after so long.
fn probed(selector: &mut Selector, choice: Choice, sent: Instant, taken: Duration) {
    selector.sent(7, choice, 1_000, sent);
    selector.answered(&Round {
        number: 7,
        choice,
        bytes: 1_000,
        alone: false,
        taken,
        queue: Duration::ZERO,
        work: 10 * MS,
    });
}

#[test]
fn what_a_monitor_promises_is_tried_with_one_frame_first() {
    let (mut selector, now, plan) = monitored_from_here();
    assert!(plan.probe && plan.decision.choice != Choice::Here);
    assert_eq!(selector.current(), Some(Choice::Here));
    let soon = selector.decide(&leisurely(), now + 33 * MS);
    assert!(!soon.probe && soon.decision.choice == Choice::Here);
    probed(&mut selector, plan.decision.choice, now, 25 * MS);
    let then = selector.decide(&leisurely(), now + 66 * MS);
    assert!(!then.probe && then.decision.choice != Choice::Here);
}

#[test]
fn where_something_else_than_time_is_to_be_saved_an_answer_within_the_budget_is_enough() {
    for objective in [Objective::Latency, Objective::EdgeLoad] {
        let (mut selector, now, plan) = monitored_from_here();
        probed(&mut selector, plan.decision.choice, now, 120 * MS);
        let wish = Wish {
            objective,
            ..leisurely()
        };
        let then = selector.decide(&wish, now + 130 * MS).decision;
        let here = then.choice == Choice::Here;
        assert_eq!(here, objective == Objective::Latency, "{}", then.reason);
    }
}

#[test]
fn a_promise_that_the_frame_does_not_find_is_not_believed() {
    let (mut selector, now, plan) = monitored_from_here();
    // More than twice as late as all here would be.
    for _ in 0..3 {
        probed(&mut selector, plan.decision.choice, now, 250 * MS);
    }
    let then = selector.decide(&leisurely(), now + 300 * MS);
    let reason = &then.decision.reason;
    assert_eq!(selector.current(), Some(Choice::Here), "{reason}");
    assert!(then.probe, "it is asked again");
}

#[test]
fn nothing_is_tried_first_where_the_budget_is_missed_here_or_frames_pile_up() {
    let (mut selector, now, _) = monitored_from_here();
    let tight = Wish {
        budget: 80 * MS,
        ..leisurely()
    };
    for wish in [tight, wish()] {
        selector.set_current(Choice::Here);
        let plan = selector.decide(&wish, now);
        assert!(!plan.probe && plan.decision.choice != Choice::Here);
    }
}

/// What comes of one frame after the other on a link of 250 kbit/s, with a cut that takes 10 ms there when it is predicted and
/// 100 ms when it stands alone. How many went there by the way, and the last choice.
fn with_a_cut(late: bool) -> (u32, Option<Choice>) {
    let cut = Offload {
        name: "cut".into(),
        head: 40 * MS,
        encode: 5 * MS,
        tail: 60 * MS,
        ..offload(300, 3_000)
    };
    let mut selector = Selector::default();
    selector.set_profile(Profile {
        whole: 85 * MS,
        candidates: vec![cut],
        ..Profile::default()
    });
    let (start, mut probes, mut known) = (Instant::now(), 0, false);
    for frame in 0..60 {
        let now = start + 100 * MS * frame;
        selector.monitored(Some(15 * MS), Some((31e3, now)), now);
        let wish = Wish {
            video: false,
            interval: Some(100 * MS),
            ..wish()
        };
        let plan = selector.decide(&wish, now);
        let choice = plan.decision.choice;
        probes += u32::from(plan.probe);
        if choice == Choice::Here {
            selector.worked(choice, 85 * MS);
            continue;
        }
        selector.worked(choice, 45 * MS);
        let (number, bytes) = (frame.into(), if known { 300 } else { 3_000 });
        selector.sent(number, choice, bytes, now + 45 * MS);
        if late && !known {
            selector.given_up(number, now + 200 * MS);
            selector.decoded(choice);
        } else {
            selector.answered(&Round {
                number,
                choice,
                bytes,
                alone: !known,
                taken: (if known { 35 } else { 125 }) * MS,
                queue: Duration::ZERO,
                work: 8 * MS,
            });
        }
        known = true;
    }
    (probes, selector.current())
}

#[test]
fn a_cut_that_is_the_best_once_it_is_predicted_is_begun_with_a_frame_by_the_way() {
    for late in [false, true] {
        let (probes, last) = with_a_cut(late);
        assert!((1..=4).contains(&probes), "{probes}, late: {late}");
        assert_eq!(last, Some(Choice::Candidate(0)), "late: {late}");
    }
}
