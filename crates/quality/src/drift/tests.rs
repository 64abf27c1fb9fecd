// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A student, a teacher that answers at once, and a training, all made up.

use super::gathering::APART;
use super::*;
use proptest::prelude::*;

const SETTINGS: DriftSettings = DriftSettings {
    rate: 0.02,
    window: 20,
    cooldown: 100,
    signs: true,
    batch: 0,
};

/// Uniform in [0, 1), by the number of a frame.
fn random(frame: u64) -> f64 {
    let mixed = (frame + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// What is played.
struct Scene {
    watch: DriftWatch,
    frame: u64,
    version: u64,
    looks: u64,
    learnt: u64,
    /// Frames with a picture.
    pictures: u64,
    rounds: Vec<(u64, Round)>,
    /// What training makes of an error.
    train: fn(f64) -> f64,
    /// By what the error is smaller after the trainings so far.
    gained: f64,
    /// Somebody trains.
    answers: bool,
    /// Of so many frames there is a picture; 0: as many as are wanted.
    pictured_every: u64,
}

impl Scene {
    fn new(settings: DriftSettings, train: fn(f64) -> f64) -> Self {
        Self {
            watch: DriftWatch::new(settings),
            frame: 0,
            version: 0,
            looks: 0,
            learnt: 0,
            pictures: 0,
            rounds: Vec::new(),
            train,
            gained: 1.0,
            answers: true,
            pictured_every: 1,
        }
    }

    fn is_pictured(&self, frame: u64) -> bool {
        let every = match self.pictured_every {
            0 => self.watch.pictures_every(),
            every => every,
        };
        frame.is_multiple_of(every)
    }

    /// So many frames whose error would be this without any training, and on which the student says this.
    fn play(&mut self, frames: u64, error: f64, objects: usize, confidence: f64) {
        for _ in 0..frames {
            let frame = self.frame;
            self.frame += 1;
            let noise = 0.9 + 0.2 * random(frame * 3 + 1);
            let error = error * self.gained * noise;
            let signs = Signs {
                confidences: vec![confidence * noise.min(1.0); objects],
                places: vec![],
                mirror: (objects > 0 && frame.is_multiple_of(5)).then_some(confidence),
                jitters: vec![0.02 * noise; objects],
                windows: vec![],
            };
            let pictured = self.is_pictured(frame);
            let orders = self
                .watch
                .frame(frame, self.version, signs, pictured, random(frame));
            let looks = orders.look;
            assert!(pictured || !looks, "nobody can look at frame {frame}");
            self.pictures += u64::from(pictured);
            self.follow(&orders, error);
            if looks {
                self.looks += 1;
                let orders = self.watch.error(frame, Some(error));
                self.follow(&orders, error);
            }
        }
    }

    fn follow(&mut self, orders: &Orders, error: f64) {
        self.learnt += orders.learn.len() as u64;
        if self.pictured_every > 0 {
            let shown = |f: &u64| f.is_multiple_of(self.pictured_every);
            assert!(orders.learn.iter().all(shown), "{:?}", orders.learn);
        }
        if let Some(round) = orders.began {
            self.rounds.push((self.frame, round));
        }
        if orders.complete && self.answers {
            let after = (self.train)(error);
            if after < error {
                self.gained *= after / error;
                self.version += 1;
                self.watch.trained(Training::Changed);
            } else {
                self.watch.trained(Training::Unchanged);
            }
        }
    }
}

#[test]
fn a_good_student_in_a_steady_scene_is_left_alone() {
    let mut scene = Scene::new(SETTINGS, |e| 0.5 * e);
    scene.play(5000, 0.08, 3, 0.8);
    assert_eq!(scene.rounds, []);
    assert!(scene.looks < 130, "{}", scene.looks);
}

#[test]
fn what_has_no_picture_is_neither_looked_at_nor_learnt_from() {
    for every in [3, 7] {
        let mut scene = Scene::new(SETTINGS, |e| 0.3 * e);
        scene.pictured_every = every;
        scene.play(600, 0.08, 3, 0.8);
        scene.play(1000, 0.9, 3, 0.4);
        assert!(!scene.rounds.is_empty() && scene.learnt > 0);
        assert!(scene.rounds[0].0 < 600 + 60 * every, "{:?}", scene.rounds);
    }
}

#[test]
fn pictures_are_wanted_of_few_frames_until_there_is_something_to_learn() {
    let mut scene = Scene::new(SETTINGS, |e| 0.3 * e);
    scene.pictured_every = 0;
    scene.play(1000, 0.08, 3, 0.8);
    assert_eq!(scene.rounds, []);
    let calm = scene.pictures;
    assert!(calm < 150, "{calm}");
    scene.play(200, 0.9, 3, 0.4);
    let (at, _) = scene.rounds[0];
    assert!(at < 1060, "{at}");
    assert!(
        scene.pictures > calm + 20,
        "{} of 200",
        scene.pictures - calm
    );
    scene.play(1000, 0.9, 3, 0.4);
    let all = scene.frame;
    assert!(scene.pictures < all / 4, "{} of {all}", scene.pictures);
}

#[test]
fn a_student_that_answers_less_surely_is_doubted_and_learns_within_two_seconds() {
    let mut scene = Scene::new(SETTINGS, |e| 0.3 * e);
    scene.play(300, 0.08, 3, 0.8);
    scene.play(1000, 0.9, 3, 0.4);
    let (at, round) = scene.rounds[0];
    assert!((300..330).contains(&at), "{at}");
    assert!(matches!(round.cause, Cause::Sign(_)), "{round:?}");
    assert!(round.error > Some(0.8) && round.usual < Some(0.1));
    // 0.9, 0.27, 0.08: what is left after the third is what it was before.
    assert!((2..=4).contains(&scene.rounds.len()), "{:?}", scene.rounds);
    assert!(scene.gained < 0.1 + f64::EPSILON);
    assert!(scene.learnt <= 40);
}

#[test]
fn objects_that_are_no_longer_found_are_a_reason_to_ask() {
    let mut scene = Scene::new(SETTINGS, |e| 0.1 * e);
    scene.play(300, 0.08, 1, 0.8);
    scene.play(60, 1.0, 0, 0.0);
    let (at, round) = scene.rounds[0];
    assert!((300..330).contains(&at), "{at}");
    assert_eq!(round.cause, Cause::Sign("objects"));
}

#[test]
fn objects_that_come_and_go_are_none_to_learn() {
    let mut scene = Scene::new(SETTINGS, |e| 0.5 * e);
    for _ in 0..40 {
        scene.play(60, 0.08, 4, 0.8);
        scene.play(60, 0.08, 0, 0.0);
    }
    assert_eq!(scene.rounds, []);
    // By rule 96, and no more than as many for doubts.
    assert!(scene.looks < 200, "{}", scene.looks);
}

#[test]
fn a_bias_that_no_sign_shows_is_found_by_the_looks_by_rule() {
    let mut scene = Scene::new(SETTINGS, |e| 0.1 * e);
    scene.play(600, 0.08, 1, 0.8);
    scene.play(120, 0.6, 1, 0.8);
    let (at, round) = scene.rounds[0];
    assert!((600..720).contains(&at), "{at}");
    assert_eq!(round.cause, Cause::Canary);
}

#[test]
fn a_student_that_is_bad_from_the_beginning_learns_at_once() {
    let mut scene = Scene::new(SETTINGS, |e| 0.1 * e);
    scene.play(60, 0.7, 2, 0.6);
    assert_eq!(scene.rounds[0].1.cause, Cause::FirstLook);
    assert!(scene.rounds[0].0 < 60);
}

/// Frames from one round's beginning to the next.
fn lengths(rounds: &[(u64, Round)]) -> Vec<u64> {
    rounds.windows(2).map(|r| r[1].0 - r[0].0).collect()
}

#[test]
fn each_further_round_learns_from_frames_farther_apart() {
    let mut scene = Scene::new(SETTINGS, |e| 0.75 * e);
    scene.play(400, 0.08, 3, 0.8);
    scene.play(1000, 0.9, 3, 0.4);
    let lengths = lengths(&scene.rounds);
    assert!(lengths.len() > 3, "{:?}", scene.rounds);
    // From the second on: the looks after a training, then the others of the ten frames, farther apart each time.
    let steps: Vec<u64> = lengths[1..].windows(2).map(|l| l[1] - l[0]).collect();
    for (i, step) in steps.iter().enumerate() {
        assert!(*step >= 3 * (APART << i), "{lengths:?}");
    }
}

#[test]
fn one_round_that_brings_little_does_not_end_it_and_two_do() {
    let mut scene = Scene::new(SETTINGS, |e| 0.85 * e);
    scene.play(400, 0.08, 3, 0.8);
    scene.play(150, 0.9, 3, 0.4);
    let numbers: Vec<usize> = scene.rounds.iter().map(|r| r.1.number).collect();
    assert_eq!(numbers, [1, 2], "{:?}", scene.rounds);
}

#[test]
fn what_changes_meanwhile_is_learnt_without_delay() {
    let length = |confidence: f64| {
        let mut scene = Scene::new(SETTINGS, |e| 0.75 * e);
        scene.play(400, 0.08, 3, 0.8);
        while scene.rounds.len() < 5 {
            scene.play(1, 0.9, 3, 0.6);
        }
        let (began, version) = (scene.frame, scene.version);
        scene.play(20, 0.9, 3, 0.6);
        while scene.version == version {
            scene.play(1, 0.9, 3, confidence);
        }
        scene.frame - began
    };
    let (calm, changed) = (length(0.6), length(0.2));
    assert!(
        calm > 3 * (APART << 3) && changed < calm - 10,
        "{calm} {changed}"
    );
}

#[test]
fn where_training_brings_nothing_it_is_not_tried_again_and_again() {
    let settings = DriftSettings {
        cooldown: 0,
        ..SETTINGS
    };
    let mut scene = Scene::new(settings, |e| e);
    scene.play(5000, 0.5, 3, 0.6);
    assert_eq!(scene.rounds.len(), 1);
    scene.play(5000, 0.9, 3, 0.3);
    assert!((2..=4).contains(&scene.rounds.len()), "{:?}", scene.rounds);
}

#[test]
fn an_empty_scene_is_not_looked_at_more_than_by_rule() {
    let mut watch = DriftWatch::new(SETTINGS);
    let mut looks = 0;
    for frame in 0..2000 {
        if watch
            .frame(frame, 0, Signs::default(), true, random(frame))
            .look
        {
            looks += 1;
            watch.error(frame, None);
        }
    }
    assert!((35..50).contains(&looks), "{looks}");
    // Somebody comes, whom the student does not see.
    let mut began = None;
    for frame in 2000..2200 {
        let looks = watch
            .frame(frame, 0, Signs::default(), true, random(frame))
            .look;
        if looks && watch.error(frame, Some(1.0)).began.is_some() {
            began = began.or(Some(frame));
        }
    }
    assert!(began.is_some_and(|f| f < 2150), "{began:?}");
}

#[test]
fn without_a_teacher_to_ask_signs_decide() {
    let mut scene = Scene::new(
        DriftSettings {
            rate: 0.0,
            ..SETTINGS
        },
        |e| 0.1 * e,
    );
    scene.play(300, 0.08, 3, 0.8);
    scene.play(300, 0.9, 3, 0.4);
    assert_eq!(scene.looks, 0);
    assert_eq!(scene.rounds.len(), 1, "{:?}", scene.rounds);
    assert_eq!(scene.rounds[0].1.error, None);
}

#[test]
fn without_signs_the_looks_by_rule_are_all_there_is() {
    let settings = DriftSettings {
        signs: false,
        ..SETTINGS
    };
    let mut scene = Scene::new(settings, |e| 0.1 * e);
    scene.play(600, 0.08, 3, 0.8);
    scene.play(300, 0.9, 0, 0.0);
    assert_eq!(scene.rounds[0].1.cause, Cause::Canary);
}

/// Frames at which looks by rule were learnt from, of 5,000 in which nothing is wrong.
fn reviews(train: fn(f64) -> f64) -> Vec<u64> {
    let settings = DriftSettings {
        batch: 10,
        ..SETTINGS
    };
    let mut scene = Scene::new(settings, train);
    scene.play(5000, 0.12, 3, 0.8);
    assert!(scene.rounds.iter().all(|r| r.1.cause == Cause::Review));
    // No frame but looks by rule is sent.
    assert_eq!(scene.learnt, 0);
    assert!(scene.looks < 130, "{}", scene.looks);
    scene.rounds.iter().map(|r| r.0).collect()
}

#[test]
fn looks_by_rule_are_learnt_from_though_nothing_is_wrong() {
    let at = reviews(|e| 0.9 * e);
    assert!((8..=10).contains(&at.len()), "{at:?}");
    assert!(at.windows(2).all(|w| w[1] - w[0] < 600), "{at:?}");
}

#[test]
fn where_looks_by_rule_teach_nothing_they_are_learnt_from_ever_more_rarely() {
    // 10, 20, 40 looks in 100.
    assert_eq!(reviews(|e| e).len(), 3);
}

#[test]
fn a_drift_is_noticed_after_a_review_as_before_it() {
    let settings = DriftSettings {
        batch: 10,
        ..SETTINGS
    };
    let mut scene = Scene::new(settings, |e| 0.5 * e);
    scene.play(900, 0.08, 3, 0.8);
    assert_eq!(scene.rounds.len(), 1, "{:?}", scene.rounds);
    scene.gained = 1.0;
    scene.play(60, 0.9, 3, 0.4);
    let (at, round) = scene.rounds[1];
    assert!((900..930).contains(&at), "{at}");
    assert!(matches!(round.cause, Cause::Sign(_)), "{round:?}");
}

#[test]
fn a_drift_does_not_wait_for_a_review_of_which_nothing_comes() {
    let settings = DriftSettings {
        batch: 10,
        ..SETTINGS
    };
    let mut scene = Scene::new(settings, |e| 0.1 * e);
    scene.answers = false;
    scene.play(600, 0.08, 3, 0.8);
    assert_eq!(scene.rounds.len(), 1, "{:?}", scene.rounds);
    scene.answers = true;
    scene.play(60, 0.9, 3, 0.4);
    assert!(
        (600..630).contains(&scene.rounds[1].0),
        "{:?}",
        scene.rounds
    );
    assert_eq!(scene.version, 1);
}

/// What may happen between two frames.
#[derive(Clone, Debug)]
enum Event {
    Error(u64, Option<f64>),
    Trained(bool),
    Version,
    Interrupt,
    Rate(f64),
}

fn events() -> impl Strategy<Value = Vec<(u8, Option<Event>)>> {
    let event = prop_oneof![
        4 => (0u64..400, prop::option::of(prop_oneof![Just(f64::NAN), 0.0..2.0])).prop_map(|(f, e)| Event::Error(f, e)),
        1 => any::<bool>().prop_map(Event::Trained),
        1 => Just(Event::Version),
        1 => Just(Event::Interrupt),
        1 => (0.0..1.0).prop_map(Event::Rate),
    ];
    prop::collection::vec((0u8..4, prop::option::of(event)), 1..400)
}

proptest! {
    #[test]
    fn frames_that_are_learnt_from_are_kept_ones_in_order_and_none_twice(events in events()) {
        let mut watch = DriftWatch::new(DriftSettings { rate: 0.3, batch: 5, ..SETTINGS });
        let (mut version, mut sent, mut first) = (0, std::collections::BTreeSet::new(), 0);
        for (frame, (objects, event)) in (0u64..).zip(events) {
            let signs = Signs {
                confidences: vec![0.5; objects.into()],
                places: (0..objects).map(|i| [f64::from(i), 0.0]).collect(),
                mirror: None,
                jitters: vec![0.02; objects.into()],
                windows: vec![0.3],
            };
            let mut orders = vec![watch.frame(frame, version, signs, true, random(frame))];
            if orders[0].look {
                prop_assert!(sent.insert(frame));
            }
            match event {
                Some(Event::Error(back, e)) => orders.push(watch.error(frame.saturating_sub(back), e)),
                Some(Event::Trained(changed)) => watch.trained(match changed {
                    true => Training::Changed,
                    false => Training::Unchanged,
                }),
                Some(Event::Version) => version += 1,
                Some(Event::Interrupt) => {
                    watch.interrupt();
                    first = frame + 1;
                }
                Some(Event::Rate(rate)) => watch.set(DriftSettings { rate, batch: 5, ..SETTINGS }),
                None => {}
            }
            for orders in orders {
                prop_assert!(orders.learn.is_sorted());
                for f in orders.learn {
                    let kept = (frame + 1).saturating_sub(20).max(first.min(frame));
                    prop_assert!((kept..=frame).contains(&f), "{f} at {frame}");
                    prop_assert!(sent.insert(f), "{f} twice");
                }
            }
            prop_assert!(watch.evidence() >= 0.0);
        }
    }
}
