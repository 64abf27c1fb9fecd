// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What runs come to.

use std::time::Duration;

use splitinfer_link::Trace;
use splitinfer_plan::Choice;

use super::run::{Frame, Run};
use super::setting::Setting;
use super::study::Draw;
use crate::measure::quantile;

/// A frame counts as near the oracle when it takes at most so many times as long, and this much.
const NEAR: f64 = 1.1;
const NEAR_BY: Duration = Duration::from_millis(2);
/// After a step a policy has converged when so many frames in a row are near the oracle's.
const IN_A_ROW: usize = 5;

/// Of a method on a trace, over all draws of what the trace leaves to chance.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub mean_ms: f64,
    pub p99_ms: f64,
    /// Of the frames that the oracle has in time, percent.
    pub hit_pct: f64,
    pub bytes: f64,
    pub switches: f64,
    pub over_oracle_pct: f64,
    /// By step of the trace, and by draw.
    pub reconverge: Vec<Vec<usize>>,
}

impl Figures {
    /// `runs`: draw by draw, with the oracle's run and the setting of the same draw.
    pub fn of(runs: &[Run], draws: &[Draw]) -> Self {
        let each = || runs.iter().zip(draws);
        let latencies: Vec<f64> = runs
            .iter()
            .flat_map(|r| r.frames.iter().map(|f| ms(f.latency)))
            .collect();
        let mean_ms = mean_of(runs, Run::mean_ms);
        let oracle_ms = mean_of(draws, |d| d.oracle.mean_ms());
        let hits = each().map(|(run, draw)| hit_pct(run, &draw.oracle, &draw.setting));
        let steps = each().map(|(run, draw)| reconverge(run, &draw.oracle, &draw.setting));
        Self {
            mean_ms,
            p99_ms: quantile(&latencies, 0.99),
            hit_pct: mean(&hits.collect::<Vec<_>>()),
            bytes: mean_of(runs, |r| r.wire_bytes as f64 / r.frames.len().max(1) as f64),
            switches: mean_of(runs, |r| switches(r) as f64),
            over_oracle_pct: (mean_ms / oracle_ms - 1.0) * 100.0,
            reconverge: transposed(steps.collect()),
        }
    }
}

fn mean_of<T>(of: &[T], f: impl Fn(&T) -> f64) -> f64 {
    mean(&of.iter().map(f).collect::<Vec<_>>())
}

fn switches(run: &Run) -> usize {
    let chosen: Vec<Choice> = run.frames.iter().filter_map(|f| f.choice).collect();
    chosen.windows(2).filter(|w| w[0] != w[1]).count()
}

fn transposed(rows: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns)
        .map(|i| rows.iter().map(|row| row[i]).collect())
        .collect()
}

/// Frames in time, of those that the oracle has in time, percent; counted second by second, for of the frames of an
/// overloaded camera it is of no importance which ones are dropped.
fn hit_pct(run: &Run, oracle: &Run, setting: &Setting) -> f64 {
    let second = (1_000_000_000 / setting.interval.as_nanos()).max(1) as usize;
    let met = |frames: &[Frame]| {
        let in_time = |f: &&Frame| f.choice.is_some() && f.latency <= setting.budget;
        frames.iter().filter(in_time).count()
    };
    let (mut hits, mut possible) = (0, 0);
    for (ours, best) in run.frames.chunks(second).zip(oracle.frames.chunks(second)) {
        let best = met(best);
        hits += met(ours).min(best);
        possible += best;
    }
    hits as f64 * 100.0 / possible.max(1) as f64
}

/// Frames after each step until the policy is near the oracle. Where the next step comes before that, or the trace has
/// too many steps to be told apart, none.
fn reconverge(run: &Run, oracle: &Run, setting: &Setting) -> Vec<usize> {
    let steps = steps(&setting.trace);
    let near: Vec<bool> = run
        .frames
        .iter()
        .zip(&oracle.frames)
        .map(|(f, o)| f.latency <= o.latency.mul_f64(NEAR) + NEAR_BY)
        .collect();
    let first = |at: Duration| at.as_nanos().div_ceil(setting.interval.as_nanos()) as usize;
    let mut out = Vec::new();
    for (i, at) in steps.iter().enumerate() {
        let begin = first(*at);
        let end = steps
            .get(i + 1)
            .map_or(near.len(), |next| first(*next))
            .min(near.len());
        if begin + IN_A_ROW > end {
            continue;
        }
        let after = &near[begin..end];
        let found = after.windows(IN_A_ROW).position(|w| w.iter().all(|n| *n));
        out.push(found.unwrap_or(after.len()));
    }
    out
}

/// Times at which a trace changes, if it does so at most once a second.
fn steps(trace: &Trace) -> Vec<Duration> {
    let at: Vec<Duration> = trace.steps().iter().skip(1).map(|s| s.at).collect();
    match at.windows(2).any(|w| w[1] - w[0] < Duration::from_secs(1)) {
        true => Vec::new(),
        false => at,
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
