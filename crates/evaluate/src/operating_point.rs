// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What remains at one threshold of the score: the objects that a user would see.

use crate::frame::{Found, Frame};
use crate::matching::{Target, Verdict, best_first, match_picture};
use crate::rules::Rules;
use crate::similarity::iou;

/// Overlap from which a found object belongs to a true one.
pub(crate) const OVERLAP: f64 = 0.5;

/// The found objects of a frame that reach the threshold, best first, without those that belong to an ignored true
/// object or are small and belong to none. Labels do not count here.
///
/// With each, the place of the true object it is, if it is one.
pub(crate) fn counted<'a>(frame: &'a Frame, rules: &Rules) -> Vec<(&'a Found, Option<usize>)> {
    let reached: Vec<&Found> = frame
        .found
        .iter()
        .filter(|o| o.score >= rules.score)
        .collect();
    let sorted: Vec<&Found> = best_first(reached.iter().map(|o| o.score))
        .into_iter()
        .map(|i| reached[i])
        .collect();
    let overlaps: Vec<Vec<f64>> = sorted
        .iter()
        .map(|f| {
            let actual = frame.actual.iter();
            actual.map(|a| iou(&f.bbox, &a.bbox, a.crowd)).collect()
        })
        .collect();
    let targets: Vec<Target> = frame
        .actual
        .iter()
        .map(|a| Target {
            ignore: a.ignore,
            crowd: a.crowd,
        })
        .collect();
    let verdicts = match_picture(&overlaps, &targets, OVERLAP);
    sorted
        .into_iter()
        .zip(verdicts)
        .filter_map(|(found, verdict)| match verdict {
            Verdict::Hit(i) => Some((found, Some(i))),
            Verdict::False if !found.small => Some((found, None)),
            Verdict::False | Verdict::Ignored(_) => None,
        })
        .collect()
}
