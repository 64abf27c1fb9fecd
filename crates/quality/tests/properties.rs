// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the scores promise, whatever the motion.

use proptest::prelude::*;
use splitinfer_quality::{
    Evidence, Gate, Metric, Motion, Object, Observation, Seen, Settings, effective_rank,
    probability_wrong, relative_error, scaled_residual,
};

type Rows = Vec<Option<Observation>>;

/// T × J points that move at random in a picture.
fn rows() -> impl Strategy<Value = Rows> {
    (4usize..40, 1usize..18).prop_flat_map(|(frames, points)| {
        let point = (0.0f64..640.0, 0.0f64..360.0, 0.05f64..1.0);
        proptest::collection::vec(proptest::collection::vec(point, points), frames).prop_map(
            |frames| {
                let row = |points: Vec<(f64, f64, f64)>| {
                    let keypoints: Vec<[f64; 3]> =
                        points.into_iter().map(|(x, y, c)| [x, y, c]).collect();
                    Some(Observation::new(
                        [50.0, 50.0, 80.0, 160.0],
                        0.5,
                        &keypoints,
                        None,
                    ))
                };
                frames.into_iter().map(row).collect()
            },
        )
    })
}

/// Points and sizes times `scale`, then moved.
fn moved(rows: &Rows, scale: f64, [dx, dy]: [f64; 2]) -> Rows {
    let mut rows = rows.clone();
    for o in rows.iter_mut().flatten() {
        o.size *= scale;
        for p in &mut o.points {
            (p.x, p.y) = (p.x * scale + dx, p.y * scale + dy);
        }
    }
    rows
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-7 * a.abs().max(b.abs()).max(1e-3)
}

proptest! {
    #[test]
    fn residual_and_effective_rank_do_not_change_with_place_and_scale(
        rows in rows(), scale in 0.2f64..5.0, by in [-2000.0f64..2000.0, -2000.0f64..2000.0], rank in 0usize..6,
    ) {
        let (Some(a), Some(b)) = (Motion::of(&rows), Motion::of(&moved(&rows, scale, by))) else {
            return Err(TestCaseError::fail("not judged"));
        };
        prop_assert!(near(scaled_residual(&a, rank), scaled_residual(&b, rank)));
        // The rank jumps where the sum just reaches the share.
        prop_assert!(effective_rank(&a, 0.9).abs_diff(effective_rank(&b, 0.9)) <= 1);
    }

    #[test]
    fn the_published_error_does_not_change_with_scale_and_is_a_share(
        rows in rows(), scale in 0.2f64..5.0, rank in 0usize..6,
    ) {
        let (a, b) = (Motion::of(&rows).unwrap(), Motion::of(&moved(&rows, scale, [0.0; 2])).unwrap());
        let score = relative_error(&a, rank);
        prop_assert!(near(score, relative_error(&b, rank)));
        prop_assert!((0.0..=1.0 + 1e-9).contains(&score));
        prop_assert!(score <= relative_error(&a, rank.saturating_sub(1)) + 1e-9, "more patterns explain more");
    }

    #[test]
    fn motion_of_few_patterns_leaves_nothing_at_that_rank_even_where_t_is_less_than_2j(
        frames in 4usize..50, points in 1usize..18, values in proptest::collection::vec(-1.0f64..1.0, 61..=61),
    ) {
        // Two patterns, and where the points are on average.
        let v = |i: usize| values[i % values.len()];
        let row = |t: usize| {
            let keypoints: Vec<[f64; 3]> = (0..points)
                .map(|j| {
                    let at = |axis: usize| {
                        let k = 2 * j + axis;
                        300.0 * v(k) + 30.0 * (v(3 * t + 1) * v(5 * k + 2) + v(7 * t + 4) * v(11 * k + 3))
                    };
                    [at(0), at(1), 0.8]
                })
                .collect();
            Some(Observation::new([0.0, 0.0, 50.0, 100.0], 0.8, &keypoints, None))
        };
        let motion = Motion::of(&(0..frames).map(row).collect::<Vec<_>>()).unwrap();
        prop_assert!(scaled_residual(&motion, 2) < 1e-6, "{}", scaled_residual(&motion, 2));
        prop_assert!(relative_error(&motion, 3) < 1e-6);
        prop_assert!(effective_rank(&motion, 1.0 - 1e-6) <= 2);
    }

    #[test]
    fn missing_points_of_a_steady_motion_are_no_sign_of_a_mistake(
        lost in proptest::collection::vec(proptest::collection::vec(prop::bool::weighted(0.25), 5), 20),
        nan in any::<bool>(),
    ) {
        let row = |(t, lost): (usize, &Vec<bool>)| {
            let keypoints: Vec<[f64; 3]> = lost
                .iter()
                .enumerate()
                .map(|(j, lost)| match (lost, nan) {
                    (true, true) => [f64::NAN, 0.0, 0.5],
                    (true, false) => [0.0, 0.0, 0.0],
                    _ => [100.0 + 3.0 * t as f64, 20.0 * j as f64 + t as f64, 0.9],
                })
                .collect();
            Some(Observation::new([100.0, 0.0, 50.0, 100.0], 0.9, &keypoints, None))
        };
        let rows: Rows = lost.iter().enumerate().map(row).collect();
        let Some(motion) = Motion::of(&rows) else { return Ok(()) };
        // Only what is missing at an end is held instead of going on: a few pixels of an object of 100.
        prop_assert!(scaled_residual(&motion, 3) < 0.02, "{}", scaled_residual(&motion, 3));
        let evidence = Evidence::of(&rows).unwrap();
        prop_assert!(evidence.jitter < 1e-9 && (0.0..=1.0).contains(&probability_wrong(&evidence)));
    }

    #[test]
    fn numbers_that_are_none_never_reach_a_verdict(
        values in proptest::collection::vec(
            prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1e300), Just(0.0), -1e3f64..1e3], 60..=60),
        metric in prop_oneof![
            Just(Metric::RelativeError), Just(Metric::EffectiveRank), Just(Metric::ScaledResidual), Just(Metric::Combined)],
    ) {
        let mut gate = Gate::new(Settings { window: 6, metric, threshold: Some(0.5), ..Settings::default() });
        let v = |i: usize| values[i % values.len()];
        for t in 0..30 {
            let bbox = [v(t), v(t + 1), v(t + 2), v(t + 3)];
            let keypoints: Vec<[f64; 3]> = (0..3).map(|j| [v(t * 7 + j), v(t + j), v(t * 3 + j)]).collect();
            let object = Object {
                seen: Seen { bbox, class: 0, score: v(t + 5), track: Some(1) },
                observation: Observation::new(bbox, v(t + 5), &keypoints, Some(v(t + 6))),
            };
            for verdict in gate.frame(t as u64, vec![object]).verdicts {
                prop_assert!(verdict.score.is_finite(), "{verdict:?}");
                prop_assert!(verdict.quality.is_some_and(|q| (0.0..=1.0).contains(&q)), "{verdict:?}");
            }
        }
    }

    #[test]
    fn one_or_forty_objects_are_each_judged_by_their_own_motion(count in prop_oneof![Just(1usize), Just(40usize)], bad in 0usize..40) {
        let mut gate = Gate::new(Settings::default());
        let mut verdicts = Vec::new();
        for t in 0..20u64 {
            let object = |k: usize| {
                let wild = (t * 2_654_435_761 + k as u64 * 97) % 41;
                let shake = if k == bad { wild as f64 - 20.0 } else { 0.0 };
                let (x, y) = (150.0 * (k % 8) as f64 + 2.0 * t as f64 + shake, 150.0 * (k / 8) as f64);
                let (score, mirror) = if k == bad { (0.1, 0.3) } else { (0.95, 0.99) };
                let bbox = [x, y, 100.0, 60.0];
                Object {
                    seen: Seen { bbox, class: 0, score, track: None },
                    observation: Observation::new(bbox, score, &[], Some(mirror)),
                }
            };
            verdicts = gate.frame(t, (0..count).map(object).collect()).verdicts;
        }
        prop_assert_eq!(verdicts.len(), count);
        for verdict in verdicts {
            prop_assert_eq!(verdict.bad, verdict.object == Some(bad), "{:?}", verdict);
        }
    }
}

#[test]
fn the_published_error_depends_on_where_the_object_stands() {
    let row = |t: usize| {
        let keypoints: Vec<[f64; 3]> = (0..8)
            .map(|j| {
                [
                    ((t * 7 + j * 13) % 11) as f64,
                    ((t * 5 + j * 3) % 13) as f64,
                    0.9,
                ]
            })
            .collect();
        Some(Observation::new(
            [0.0, 0.0, 50.0, 100.0],
            0.9,
            &keypoints,
            None,
        ))
    };
    let rows: Rows = (0..20).map(row).collect();
    let score = |by| relative_error(&Motion::of(&moved(&rows, 1.0, by)).unwrap(), 3);
    assert!(score([0.0, 0.0]) > 10.0 * score([1000.0, 500.0]));
}

#[test]
fn a_new_track_is_a_new_matrix() {
    let mut gate = Gate::new(Settings::default());
    let mut judged = Vec::new();
    for t in 0..50u64 {
        let bbox = [3.0 * t as f64, 10.0, 40.0, 80.0];
        let object = Object {
            seen: Seen {
                bbox,
                class: 0,
                score: 0.9,
                track: Some(u64::from(t >= 15)),
            },
            observation: Observation::new(bbox, 0.9, &[], None),
        };
        let verdicts = gate.frame(t, vec![object]).verdicts;
        judged.extend(verdicts.into_iter().map(|v| (v.identity, v.frames)));
    }
    // The first track was seen on 15 frames and then no more; of its first 20 that is more than half.
    let second: Vec<_> = judged
        .iter()
        .filter(|(i, _)| *i == splitinfer_quality::Identity::Upstream(1))
        .map(|(_, frames)| *frames)
        .collect();
    assert_eq!(second, [[15, 34], [25, 44]]);
}

#[test]
fn what_a_metric_learns_from_good_windows_it_gates_by() {
    let mut gate = Gate::new(Settings {
        metric: Metric::ScaledResidual,
        ..Settings::default()
    });
    let object = |t: u64, shake: f64| {
        let wild = ((t * 2_654_435_761) >> 4) % 97;
        let x = 40.0 * (t as f64 * 0.2).sin() + shake * (wild as f64 / 48.0 - 1.0);
        let y = 10.0 + shake * ((wild * 31 % 97) as f64 / 48.0 - 1.0);
        let bbox = [200.0 + x, y, 40.0 + 0.1 * (wild % 5) as f64, 80.0];
        Object {
            seen: Seen {
                bbox,
                class: 0,
                score: 0.95,
                track: Some(1),
            },
            observation: Observation::new(bbox, 0.95, &[], Some(0.99)),
        }
    };
    let mut bad = Vec::new();
    for t in 0..600 {
        let shake = if t < 500 { 0.2 } else { 15.0 };
        for v in gate.frame(t, vec![object(t, shake)]).verdicts {
            bad.push((v.frames[1], v.threshold.is_some(), v.bad));
        }
    }
    assert!(gate.learnt().is_some());
    assert!(bad.iter().filter(|b| b.0 < 500).all(|b| !b.2), "{bad:?}");
    assert!(
        bad.iter().filter(|b| b.0 >= 520).all(|b| b.1 && b.2),
        "{bad:?}"
    );
}
