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
use super::figures::Figures;
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
    pub run: Run,
    pub figures: Figures,
}

/// All methods on one trace and stage.
pub struct Cell {
    pub trace: String,
    pub stage: Stage,
    pub setting: Arc<Setting>,
    pub oracle: Run,
    /// Which oracle it is.
    pub oracle_kind: String,
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
pub const HERE: &str = "all here";
pub const JPEG: &str = "picture, JPEG";
pub const H264: &str = "picture, H.264";
pub const BEST_CUT: &str = "best cut";

impl Cell {
    pub fn row(&self, method: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.method == method)
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
        seed: trace.seed,
    }))
}

/// # Errors
/// As [`setting`].
pub fn study(profiles: &Profiles, stage: &Stage, trace: &Named, frames: u32) -> Result<Cell> {
    let setting = setting(profiles, stage, trace, frames)?;
    let held: Vec<(Choice, Run)> = setting
        .choices()
        .into_iter()
        .map(|choice| (choice, hold(&setting, choice)))
        .collect();
    let fixed: Vec<(Choice, f64)> = held.iter().map(|(c, run)| (*c, run.mean_ms())).collect();
    let mut rows = adaptive(&setting);
    rows.extend(rows_of_held(held));
    let (oracle_kind, oracle) = oracle(&setting, &fixed);
    let rows = rows
        .into_iter()
        .map(|(method, run)| Row {
            figures: Figures::of(&run, &oracle, &setting),
            method,
            run,
        })
        .collect();
    Ok(Cell {
        trace: trace.name.clone(),
        stage: *stage,
        setting,
        oracle,
        oracle_kind,
        rows,
        fixed,
    })
}

/// All that change their mind.
fn adaptive(setting: &Arc<Setting>) -> Vec<(String, Run)> {
    let mut rows: Vec<(String, Run)> = Vec::new();
    let mut add = |name: &str, policy: &mut dyn Policy, monitored| {
        rows.push((name.to_owned(), run(setting, policy, monitored)));
    };
    add(PLANNER, &mut Planner::new(setting), false);
    add(MONITORED, &mut Planner::new(setting), true);
    add(NEUROSURGEON, &mut Neurosurgeon::as_published(setting), true);
    add(KNOWS_CODING, &mut Neurosurgeon::with_coding(setting), true);
    add("bandit", &mut Bandit::new(setting), false);
    rows
}

/// Of the cuts the best one only.
fn rows_of_held(held: Vec<(Choice, Run)>) -> Vec<(String, Run)> {
    let is_cut = |choice: &Choice| matches!(choice, Choice::Candidate(_));
    let (cuts, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|(c, _)| is_cut(c));
    let best = cuts
        .into_iter()
        .min_by(|a, b| a.1.mean_ms().total_cmp(&b.1.mean_ms()));
    let others = others.into_iter().map(|(c, run)| (name(c), run));
    others
        .chain(best.map(|(_, run)| (BEST_CUT.to_owned(), run)))
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
