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
use super::figures::{Figures, mean, ms};
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
    /// Every choice, never changed, and its mean latency.
    pub fixed: Vec<(Choice, f64)>,
}

pub const PLANNER: &str = "planner";
pub const MONITORED: &str = "planner, with monitor";
pub const BEST_FIXED: &str = "best fixed";

impl Cell {
    pub fn row(&self, method: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.method == method)
    }

    pub fn best_fixed(&self) -> f64 {
        self.fixed.iter().map(|f| f.1).fold(f64::INFINITY, f64::min)
    }

    pub fn worse_than_best_fixed_pct(&self, method: &str) -> f64 {
        self.row(method).map_or(f64::NAN, |r| {
            (r.figures.mean_ms / self.best_fixed() - 1.0) * 100.0
        })
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
    let fixed: Vec<(Choice, Run)> = setting
        .choices()
        .into_iter()
        .map(|c| (c, run(&setting, &mut Fixed::new(&setting, c), false)))
        .collect();
    let mean_of = |run: &Run| mean(&run.frames.iter().map(|f| ms(f.latency)).collect::<Vec<_>>());
    let means: Vec<(Choice, f64)> = fixed.iter().map(|(c, r)| (*c, mean_of(r))).collect();
    let mut oracles: Vec<(String, Run)> = oracle::HORIZONS
        .iter()
        .map(|h| (format!("{h} ahead"), oracle::run(&setting, *h)))
        .collect();
    let mut rows: Vec<(String, Run)> = Vec::new();
    let mut add = |name: &str, policy: &mut dyn Policy, monitored| {
        rows.push((name.to_owned(), run(&setting, policy, monitored)));
    };
    add(PLANNER, &mut Planner::new(&setting), false);
    add(MONITORED, &mut Planner::new(&setting), true);
    add(
        "Neurosurgeon-style",
        &mut Neurosurgeon::new(&setting),
        false,
    );
    add("bandit", &mut Bandit::new(&setting), false);
    let mut best: Option<(f64, Choice)> = None;
    for (choice, run) in fixed {
        let mean = mean_of(&run);
        match choice {
            Choice::Here => rows.push(("all here".to_owned(), run)),
            Choice::Picture => rows.push(("picture".to_owned(), run)),
            Choice::Candidate(_) if best.is_none_or(|b| mean < b.0) => {
                best = Some((mean, choice));
                rows.retain(|r| r.0 != "best cut");
                rows.push(("best cut".to_owned(), run));
            }
            Choice::Candidate(_) => {}
        }
    }
    oracles.sort_by(|a, b| mean_of(&a.1).total_cmp(&mean_of(&b.1)));
    let (oracle_kind, oracle) = oracles.swap_remove(0);
    let least = means.iter().map(|m| m.1).fold(f64::INFINITY, f64::min);
    let (oracle_kind, oracle) = match least < mean_of(&oracle) {
        true => {
            let best = means
                .iter()
                .find(|m| m.1 == least)
                .map_or(Choice::Here, |m| m.0);
            let run = run(&setting, &mut Fixed::new(&setting, best), false);
            ("fixed".to_owned(), run)
        }
        false => (oracle_kind, oracle),
    };
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
        fixed: means,
    })
}
