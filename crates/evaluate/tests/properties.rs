// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What holds for all results and all truth.

use proptest::prelude::*;
use splitinfer_evaluate::{Actual, Figures, Found, Frame, Rules, evaluate};

fn bbox() -> impl Strategy<Value = [f64; 4]> {
    // Few places, so that objects meet.
    (0..6i32, 0..6i32, 1..5i32, 1..5i32)
        .prop_map(|(x, y, w, h)| [x, y, w, h].map(|v| f64::from(v) * 7.5))
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![Just("car".to_owned()), Just("bus".to_owned())]
}

fn keypoints() -> impl Strategy<Value = Vec<[f64; 3]>> {
    proptest::collection::vec(
        (0.0..60.0f64, 0.0..60.0f64, 0..3i32).prop_map(|(x, y, v)| [x, y, f64::from(v)]),
        17,
    )
}

fn actual() -> impl Strategy<Value = Actual> {
    (label(), bbox(), any::<bool>(), keypoints(), 0..4u64).prop_map(
        |(label, bbox, ignore, keypoints, track)| Actual {
            label,
            bbox,
            ignore,
            keypoints,
            track: Some(track),
            ..Actual::default()
        },
    )
}

fn found() -> impl Strategy<Value = Found> {
    (label(), bbox(), 0.0..1.0f64, keypoints(), 0..4u64).prop_map(
        |(label, bbox, score, keypoints, track)| Found {
            label,
            bbox,
            score,
            keypoints,
            track: Some(track),
            ..Found::default()
        },
    )
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (
        proptest::collection::vec(found(), 0..6),
        proptest::collection::vec(actual(), 0..6),
    );
    proptest::collection::vec(frame, 1..6).prop_map(|frames| {
        let numbered = frames.into_iter().enumerate();
        numbered
            .map(|(i, (found, actual))| Frame {
                number: i as u64,
                found,
                actual,
            })
            .collect()
    })
}

fn shares(figures: &Figures) -> Vec<f64> {
    let detection = &figures.detection;
    let mut shares = vec![
        detection.ap,
        detection.ap50,
        detection.any_label.ap,
        detection.boxes.right_label,
    ];
    if let Some(pose) = &figures.pose {
        shares.extend([pose.ap, pose.ap50]);
        shares.extend(pose.joints.pck.iter().flat_map(|p| [p.all, p.visible]));
    }
    if let Some(tracking) = &figures.tracking {
        shares.extend([tracking.idf1, tracking.motp]);
    }
    shares.into_iter().flatten().collect()
}

/// The truth as if a model had found it.
fn as_found(actual: &Actual) -> Found {
    Found {
        label: actual.label.clone(),
        score: 0.5,
        bbox: actual.bbox,
        keypoints: actual.keypoints.clone(),
        track: actual.track,
        small: false,
    }
}

proptest! {
    #[test]
    fn shares_lie_between_nothing_and_all(frames in frames()) {
        let figures = evaluate(&frames, &Rules::default());
        for share in shares(&figures) {
            prop_assert!((0.0..=1.0).contains(&share), "{figures:?}");
        }
        let boxes = &figures.detection.boxes;
        prop_assert!(boxes.mae.is_none_or(|m| (0.0..=Rules::default().cutoff).contains(&m)));
        let curve = &figures.detection.precision;
        prop_assert!(curve.windows(2).all(|p| p[0] >= p[1]), "precision never rises with recall");
        prop_assert!(figures.tracking.is_none_or(|t| t.mota.is_none_or(|m| m <= 1.0)));
    }

    #[test]
    fn the_truth_itself_is_perfect(mut frames in frames()) {
        for frame in &mut frames {
            // An answer near two people of whom one is ignored, or of whom hardly a joint is known, may be taken for
            // that of the other.
            for actual in &mut frame.actual {
                actual.ignore = false;
                actual.keypoints.iter_mut().for_each(|k| k[2] = k[2].max(1.0));
            }
            frame.found = frame.actual.iter().map(as_found).collect();
        }
        let figures = evaluate(&frames, &Rules::default());
        let counted = frames.iter().flat_map(|f| &f.actual).count();
        for ap in [figures.detection.ap, figures.detection.any_label.ap50] {
            prop_assert_eq!(ap, (counted > 0).then_some(1.0));
        }
        let boxes = &figures.detection.boxes;
        prop_assert_eq!(boxes.count_error, Some(0.0));
        prop_assert_eq!(boxes.mae, (counted > 0).then_some(0.0));
        if let Some(pose) = &figures.pose {
            prop_assert!(pose.ap.is_none_or(|ap| ap == 1.0), "{pose:?}");
            prop_assert!(pose.joints.pck.iter().all(|p| p.all.is_none_or(|p| p == 1.0)));
            prop_assert!(pose.joints.joint_error.is_none_or(|e| e == 0.0));
        }
    }

    /// Scores are reals here, so none are equal.
    #[test]
    fn the_order_of_frames_and_of_objects_does_not_matter(mut frames in frames()) {
        let rules = Rules::default();
        let before = evaluate(&frames, &rules);
        frames.reverse();
        for frame in &mut frames {
            frame.found.reverse();
        }
        let after = evaluate(&frames, &rules);
        prop_assert_eq!(&before.detection.classes, &after.detection.classes);
        prop_assert_eq!(before.detection.boxes.count_error, after.detection.boxes.count_error);
        let close = |a: Option<f64>, b: Option<f64>| a.zip(b).is_none_or(|(a, b)| (a - b).abs() < 1e-9);
        prop_assert!(close(before.detection.boxes.mae, after.detection.boxes.mae));
        if let (Some(before), Some(after)) = (before.pose, after.pose) {
            prop_assert_eq!((before.ap, before.ap50), (after.ap, after.ap50));
            prop_assert!(close(before.joints.joint_error, after.joints.joint_error));
        }
    }

    #[test]
    fn one_more_false_alarm_never_helps(frames in frames()) {
        let rules = Rules::default();
        let before = evaluate(&frames, &rules).detection;
        let mut worse = frames;
        worse[0].found.push(Found {
            label: "car".into(),
            score: 0.99,
            bbox: [5000.0, 0.0, 10.0, 10.0],
            ..Found::default()
        });
        let after = evaluate(&worse, &rules).detection;
        prop_assert!(after.ap.zip(before.ap).is_none_or(|(after, before)| after <= before));
        prop_assert!(after.boxes.false_alarms > before.boxes.false_alarms || after.boxes.missed > 0);
    }
}
