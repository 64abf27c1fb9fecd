// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The combined score: how likely the prediction is wrong, from all evidence together.

use crate::evidence::{Evidence, NEGLIGIBLE};

/// Wrong: the mean error of the points over the window is above this share of the object's size.
pub const WRONG: f64 = 0.06;

/// Terms of the logistic combination.
pub const TERMS: usize = 4;

/// The evidence as the logistic combination takes it: 1, ln residual, unsure, ln disagreement. Without mirror agreement
/// the last is 0, and so is its coefficient.
///
/// The jitter is not among them: it tells more than the residual, but what it tells of one clip misleads on others
/// (fast gestures that the student follows well).
pub fn terms(evidence: &Evidence) -> [f64; TERMS] {
    let ln = |v: f64| v.max(NEGLIGIBLE).ln();
    [
        1.0,
        ln(evidence.residual),
        evidence.unsure,
        evidence.disagreement.map_or(0.0, ln),
    ]
}

/// Coefficients of the terms, as `tests/measure.sh gate` prints them: fitted to all of its windows, while the figures
/// there are of windows that nothing was fitted to.
struct Coefficients {
    with_mirror: [f64; TERMS],
    without: [f64; TERMS],
}

const KEYPOINTS: Coefficients = Coefficients {
    with_mirror: [5.285, 0.0, 6.913, 2.825],
    without: [-0.824, 1.224, 13.094, 0.0],
};

const BOXES: Coefficients = Coefficients {
    with_mirror: [2.238, 0.0, 9.623, 1.790],
    without: [-1.096, 0.143, 13.169, 0.0],
};

/// Probability that the mean error of the points is above [`WRONG`], 0 to 1.
///
/// Without mirror agreement it is that of a combination of the other evidence, fitted by itself.
pub fn probability_wrong(evidence: &Evidence) -> f64 {
    let coefficients = if evidence.keypoints {
        &KEYPOINTS
    } else {
        &BOXES
    };
    let chosen = match evidence.disagreement {
        Some(_) => &coefficients.with_mirror,
        None => &coefficients.without,
    };
    let sum: f64 = chosen.iter().zip(terms(evidence)).map(|(c, t)| c * t).sum();
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Evidence = Evidence {
        keypoints: true,
        residual: 0.004,
        jitter: 0.01,
        unsure: 0.1,
        disagreement: Some(0.02),
    };
    const BAD: Evidence = Evidence {
        keypoints: true,
        residual: 0.15,
        jitter: 0.3,
        unsure: 0.7,
        disagreement: Some(0.5),
    };

    #[test]
    fn clear_cases_are_clear_with_and_without_a_mirror() {
        for keypoints in [true, false] {
            for mirror in [true, false] {
                let of = |e: Evidence| {
                    probability_wrong(&Evidence {
                        keypoints,
                        disagreement: e.disagreement.filter(|_| mirror),
                        ..e
                    })
                };
                let (good, bad) = (of(GOOD), of(BAD));
                assert!(
                    good < 0.5 && bad > 0.9,
                    "{keypoints} {mirror}: {good} {bad}"
                );
            }
        }
    }

    #[test]
    fn it_is_a_probability_whatever_the_evidence() {
        for extreme in [0.0, 1e-300, 1e9] {
            let p = probability_wrong(&Evidence {
                keypoints: true,
                residual: extreme,
                jitter: extreme,
                unsure: 1.0,
                disagreement: Some(extreme),
            });
            assert!((0.0..=1.0).contains(&p), "{extreme} {p}");
        }
    }
}
