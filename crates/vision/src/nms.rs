// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Non-maximum suppression.

/// A box that a detector proposes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub class: u32,
    pub score: f32,
    /// x0, y0, x1, y1.
    pub corners: [f32; 4],
    /// Where in the output it came from, for what else is read there.
    pub index: usize,
}

/// Only so many of the best candidates are compared with one another, which bounds the time.
const TOP_K: usize = 1000;

/// Keeps the best-scoring of boxes that overlap, at most `max_objects`, best first.
///
/// Candidates that are not finite or have no area are dropped. Unless `class_agnostic`, only boxes of the same class
/// suppress one another.
pub(crate) fn nms(
    mut candidates: Vec<Candidate>,
    iou_threshold: f32,
    class_agnostic: bool,
    max_objects: usize,
) -> Vec<Candidate> {
    candidates.retain(|c| {
        let [x0, y0, x1, y1] = c.corners;
        c.score.is_finite() && c.corners.iter().all(|x| x.is_finite()) && x1 > x0 && y1 > y0
    });
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(TOP_K);
    let mut kept: Vec<Candidate> = Vec::new();
    for c in candidates {
        if kept.len() == max_objects {
            break;
        }
        let suppressed = kept.iter().any(|k| {
            (class_agnostic || k.class == c.class) && iou(k.corners, c.corners) > iou_threshold
        });
        if !suppressed {
            kept.push(c);
        }
    }
    kept
}

/// Intersection over union of two boxes given by their corners; 0 if either has no area.
pub(crate) fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let both = area([
        a[0].max(b[0]),
        a[1].max(b[1]),
        a[2].min(b[2]),
        a[3].min(b[3]),
    ]);
    let union = area(a) + area(b) - both;
    // Not `union <= 0`: with boxes of absurd size it is NaN.
    if union > 0.0 && union.is_finite() {
        both / union
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate() -> impl Strategy<Value = Candidate> {
        (
            0u32..3,
            0f32..1.0,
            0f32..100.0,
            0f32..100.0,
            1f32..60.0,
            1f32..60.0,
        )
            .prop_map(|(class, score, x, y, w, h)| Candidate {
                class,
                score,
                corners: [x, y, x + w, y + h],
                index: 0,
            })
    }

    proptest! {
        #[test]
        fn what_is_kept_is_sorted_apart_and_explains_what_is_dropped(
            all in prop::collection::vec(candidate(), 0..60),
            threshold in 0.1f32..0.9,
            agnostic: bool,
        ) {
            let kept = nms(all.clone(), threshold, agnostic, usize::MAX);
            prop_assert!(kept.is_sorted_by(|a, b| a.score >= b.score));
            let rivals = |a: &Candidate, b: &Candidate| {
                (agnostic || a.class == b.class) && iou(a.corners, b.corners) > threshold
            };
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[i + 1..].iter().all(|b| !rivals(a, b)));
            }
            for c in &all {
                let is_kept = kept.contains(c);
                prop_assert!(is_kept || kept.iter().any(|k| rivals(k, c) && k.score >= c.score));
            }
            let few = nms(all, threshold, agnostic, 3);
            prop_assert_eq!(&few[..], &kept[..kept.len().min(3)]);
        }

        #[test]
        fn iou_is_a_symmetric_share(a in candidate(), b in candidate()) {
            let x = iou(a.corners, b.corners);
            prop_assert!((0.0..=1.0).contains(&x));
            prop_assert_eq!(x, iou(b.corners, a.corners));
            prop_assert!((iou(a.corners, a.corners) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn nonsense_is_dropped() {
        let good = Candidate {
            class: 0,
            score: 0.5,
            corners: [0.0, 0.0, 1.0, 1.0],
            index: 0,
        };
        let bad = [
            Candidate {
                score: f32::NAN,
                ..good
            },
            Candidate {
                corners: [0.0, 0.0, f32::INFINITY, 1.0],
                ..good
            },
            Candidate {
                corners: [0.0, f32::NAN, 1.0, 1.0],
                ..good
            },
            Candidate {
                corners: [1.0, 1.0, 1.0, 1.0],
                ..good
            },
        ];
        let all = [&bad[..], &[good]].concat();
        assert_eq!(nms(all, 0.5, false, 10), [good]);
        let huge = [-f32::MAX, -f32::MAX, f32::MAX, f32::MAX];
        assert_eq!(iou(huge, huge), 0.0);
    }
}
