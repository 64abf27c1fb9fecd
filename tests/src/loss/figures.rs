// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a run comes to.

use splitinfer_evaluate::{Frame, Ignore, Rules, evaluate};
use splitinfer_meta::Completed;

use super::film::Film;
use super::play::{Run, Seen, WARM_UP};
use crate::measure::quantile;

/// As the models were trained: smaller things, in pixels of the frame (twice those of their picture), and more hidden ones are
/// not asked for.
const SMALLEST: f64 = 12.0;
const LEAST_VISIBLE: f64 = 0.3;
/// Share of the body's size within which a joint is found.
const NEAR: f64 = 0.05;
/// A result that is later than its budget by no more than a machine that is busy wakes up late is not counted as late, ms.
const SLACK: f64 = 5.0;

/// Of one or several runs of the same.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Frames that were shown, warm-up left out.
    pub shown: usize,
    /// Those that the element was too busy for.
    pub dropped: usize,
    pub whole: usize,
    pub part: usize,
    pub here: usize,
    /// That left after the budget, with a result or without.
    pub late: usize,
    pub none: usize,
    /// Mean over those completed from a part.
    pub share: f64,
    pub p50: f64,
    pub p99: f64,
    /// PCK@.05 of a model with keypoints, AP50 of another; of the frames that came out, those without result included.
    pub accuracy: f64,
    pub bytes_a_frame: u64,
}

impl Figures {
    /// `budget` in ms.
    pub fn new(runs: &[Run], film: &Film, budget: f64) -> Self {
        let frames = || runs.iter().flat_map(|run| &run.frames);
        let count = |what: &dyn Fn(&Seen) -> bool| frames().filter(|f| what(f)).count();
        let by = |who: Completed| move |f: &Seen| f.completed == who;
        let shares: Vec<f64> = frames().filter_map(|f| f.received).collect();
        // Also of those without a result: it is when they left.
        let latencies: Vec<f64> = frames().map(|f| f.latency).collect();
        let shown = runs.len() * film.len().saturating_sub(WARM_UP);
        Self {
            shown,
            dropped: shown.saturating_sub(frames().count()),
            whole: count(&|f| by(Completed::Server)(f) && f.received.is_none()),
            part: shares.len(),
            here: count(&by(Completed::Edge)),
            none: count(&by(Completed::None)),
            late: latencies.iter().filter(|l| **l > budget + SLACK).count(),
            share: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            p50: quantile(&latencies, 0.5),
            p99: quantile(&latencies, 0.99),
            accuracy: accuracy(frames(), film).unwrap_or(f64::NAN),
            bytes_a_frame: runs.iter().map(|r| r.bytes_a_frame).sum::<u64>()
                / runs.len().max(1) as u64,
        }
    }

    /// Of the frames that came out.
    pub fn percent(&self, count: usize) -> f64 {
        count as f64 / (self.shown - self.dropped).max(1) as f64 * 100.0
    }
}

fn accuracy<'a>(seen: impl Iterator<Item = &'a Seen>, film: &Film) -> Option<f64> {
    let mut frames: Vec<Frame> = seen
        .enumerate()
        .map(|(i, seen)| Frame {
            number: i as u64,
            found: seen.found.clone(),
            actual: film.truth[seen.number].clone(),
        })
        .collect();
    let keypoints = |f: &Frame| f.actual.iter().any(|a| !a.keypoints.is_empty());
    let pose = frames.iter().any(keypoints);
    let ignore = Ignore {
        min_size: SMALLEST,
        min_visible: LEAST_VISIBLE,
        largest: pose,
    };
    frames.iter_mut().for_each(|frame| ignore.apply(frame));
    let rules = Rules {
        pck: vec![NEAR],
        ..Rules::default()
    };
    let figures = evaluate(&frames, &rules);
    match pose {
        true => figures.pose?.joints.pck.first()?.all,
        false => figures.detection.any_label.ap50,
    }
}
