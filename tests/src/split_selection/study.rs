// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! All methods on all traces.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use splitinfer_plan::Choice;

use super::baselines::{Bandit, Fixed, Neurosurgeon};
use super::figures::{Figures, mean};
use super::oracle;
use super::planner::Planner;
use super::profile::Profiles;
use super::run::{Policy, Run, run};
use super::setting::Setting;
use super::traces::Named;

/// Model and machines.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub model: &'static str,
    /// Time of the whole model on the edge, which says how many times slower it is than the machine of the profiles.
    pub whole: Duration,
    /// How many times faster than that machine.
    pub server_faster: f64,
    /// Frames a second.
    pub rate: u32,
    pub budget: Duration,
}

/// What a method came to on a trace.
pub struct Row {
    pub method: String,
    /// Draw by draw.
    pub runs: Vec<Run>,
    pub figures: Figures,
}

/// Losses, jitter and scatter of one kind, and what the best could have done with them.
pub struct Draw {
    pub setting: Arc<Setting>,
    pub oracle: Run,
    /// Which oracle it is.
    pub oracle_kind: String,
}

/// All methods on one trace and stage.
pub struct Cell {
    pub trace: String,
    pub stage: Stage,
    pub draws: Vec<Draw>,
    /// The project's selector, from passing frames alone and with the monitor; then all others.
    pub rows: Vec<Row>,
    /// Everything that can be held all the time, and its mean latency.
    pub fixed: Vec<(Choice, f64)>,
}

/// What a choice is called that is held all the time.
pub fn name(choice: Choice) -> String {
    match choice {
        Choice::Here => HERE.to_owned(),
        Choice::Picture => JPEG.to_owned(),
        Choice::Video => H264.to_owned(),
        Choice::Candidate(i) => format!("cut {i}"),
    }
}

/// The choice held all the time.
pub fn hold(setting: &Arc<Setting>, choice: Choice) -> Run {
    run(setting, &mut Fixed::new(setting, choice), false)
}

pub const PLANNER: &str = "planner";
pub const MONITORED: &str = "planner, with monitor";
pub const NEUROSURGEON: &str = "Neurosurgeon-style";
pub const KNOWS_CODING: &str = "Neurosurgeon-style, with coding times";
pub const BANDIT: &str = "bandit";
pub const HERE: &str = "all here";
pub const JPEG: &str = "picture, JPEG";
pub const H264: &str = "picture, H.264";
pub const BEST_CUT: &str = "best cut";

impl Cell {
    pub fn row(&self, method: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.method == method)
    }

    pub fn oracle_ms(&self) -> f64 {
        let each: Vec<f64> = self.draws.iter().map(|d| d.oracle.mean_ms()).collect();
        mean(&each)
    }

    /// What the oracle is in most of the draws.
    pub fn oracle_kind(&self) -> &str {
        let kinds = || self.draws.iter().map(|d| d.oracle_kind.as_str());
        let most = kinds().max_by_key(|kind| kinds().filter(|k| k == kind).count());
        most.unwrap_or_default()
    }

    /// Least mean latency of all choices that are held.
    pub fn best_fixed(&self) -> f64 {
        self.fixed.iter().map(|f| f.1).fold(f64::INFINITY, f64::min)
    }

    pub fn worse_than_best_fixed_pct(&self, method: &str) -> f64 {
        let best = self.best_fixed();
        self.row(method)
            .map_or(f64::NAN, |r| (r.figures.mean_ms / best - 1.0) * 100.0)
    }
}

/// # Errors
/// When there is no profile of the stage's model.
pub fn setting(
    profiles: &Profiles,
    stage: &Stage,
    trace: &Named,
    seed: u64,
    frames: u32,
) -> Result<Arc<Setting>> {
    let model = profiles.models.iter().find(|m| m.name == stage.model);
    let model = model.with_context(|| format!("there is no profile of {}", stage.model))?;
    Ok(Arc::new(Setting {
        model: Arc::new(model.clone()),
        trace: Arc::clone(&trace.trace),
        edge_slower: stage.whole.as_secs_f64() * 1e6 / model.whole_us,
        server_faster: stage.server_faster,
        interval: Duration::from_secs(1) / stage.rate,
        budget: stage.budget,
        frames,
        seed,
    }))
}

/// Between the seeds of two draws: far more than between those of two traces.
const NEXT_DRAW: u64 = 1_000_003;

/// # Errors
/// As [`setting`].
pub fn study(
    profiles: &Profiles,
    stage: &Stage,
    trace: &Named,
    frames: u32,
    draws: u64,
) -> Result<Cell> {
    let seeds = (0..draws).map(|i| trace.seed.wrapping_add(i * NEXT_DRAW));
    let settings = seeds
        .map(|seed| setting(profiles, stage, trace, seed, frames))
        .collect::<Result<Vec<_>>>()?;
    let choices = settings.first().map(|s| s.choices()).unwrap_or_default();
    let held: Vec<(Choice, Vec<Run>)> = choices
        .into_iter()
        .map(|choice| (choice, settings.iter().map(|s| hold(s, choice)).collect()))
        .collect();
    let draws: Vec<Draw> = settings
        .into_iter()
        .enumerate()
        .map(|(i, setting)| {
            let fixed: Vec<(Choice, f64)> = held
                .iter()
                .map(|(c, runs)| (*c, runs[i].mean_ms()))
                .collect();
            let (oracle_kind, oracle) = oracle(&setting, &fixed);
            Draw {
                setting,
                oracle,
                oracle_kind,
            }
        })
        .collect();
    let fixed = held.iter().map(|(c, runs)| (*c, mean_ms(runs))).collect();
    let mut rows = adaptive(&draws);
    rows.extend(rows_of_held(held));
    let rows = rows
        .into_iter()
        .map(|(method, runs)| Row {
            figures: Figures::of(&runs, &draws),
            method,
            runs,
        })
        .collect();
    Ok(Cell {
        trace: trace.name.clone(),
        stage: *stage,
        draws,
        rows,
        fixed,
    })
}

fn mean_ms(runs: &[Run]) -> f64 {
    mean(&runs.iter().map(Run::mean_ms).collect::<Vec<_>>())
}

/// All that change their mind.
fn adaptive(draws: &[Draw]) -> Vec<(String, Vec<Run>)> {
    type Make = fn(&Arc<Setting>) -> Box<dyn Policy>;
    let methods: [(&str, Make, bool); 5] = [
        (PLANNER, |s| Box::new(Planner::new(s)), false),
        (MONITORED, |s| Box::new(Planner::new(s)), true),
        (
            NEUROSURGEON,
            |s| Box::new(Neurosurgeon::as_published(s)),
            true,
        ),
        (
            KNOWS_CODING,
            |s| Box::new(Neurosurgeon::with_coding(s)),
            true,
        ),
        (BANDIT, |s| Box::new(Bandit::new(s)), false),
    ];
    methods
        .into_iter()
        .map(|(name, make, monitored)| {
            let runs = draws
                .iter()
                .map(|d| run(&d.setting, make(&d.setting).as_mut(), monitored));
            (name.to_owned(), runs.collect())
        })
        .collect()
}

/// Of the cuts the best one only.
fn rows_of_held(held: Vec<(Choice, Vec<Run>)>) -> Vec<(String, Vec<Run>)> {
    let is_cut = |choice: &Choice| matches!(choice, Choice::Candidate(_));
    let (cuts, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|(c, _)| is_cut(c));
    let best = cuts
        .into_iter()
        .min_by(|a, b| mean_ms(&a.1).total_cmp(&mean_ms(&b.1)));
    let others = others.into_iter().map(|(c, runs)| (name(c), runs));
    others
        .chain(best.map(|(_, runs)| (BEST_CUT.to_owned(), runs)))
        .collect()
}

/// The best of the runs that look ahead and of what is held all the time, and what it is.
fn oracle(setting: &Arc<Setting>, fixed: &[(Choice, f64)]) -> (String, Run) {
    let ahead = oracle::HORIZONS
        .iter()
        .map(|h| (format!("{h} ahead"), oracle::run(setting, *h)));
    let best = ahead.min_by(|a, b| a.1.mean_ms().total_cmp(&b.1.mean_ms()));
    let held = fixed.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    match (best, held) {
        (Some((kind, run)), Some((held, mean))) if run.mean_ms() <= *mean => (kind, run),
        (_, Some((held, _))) => (name(*held), hold(setting, *held)),
        (Some(best), None) => best,
        (None, None) => unreachable!("there are horizons"),
    }
}
