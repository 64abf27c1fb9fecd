// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What adaptation gains and costs on scenes whose domain changes: `tests/measure.sh adaptation [--quick] [OPTIONS]`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use splitinfer_tests::adaptation::figures::Figures;
use splitinfer_tests::adaptation::plan::{Case, Method, RATE, SCENARIOS, Task, Tuning, chosen};
use splitinfer_tests::adaptation::plot;
use splitinfer_tests::adaptation::report::{Cell, json};
use splitinfer_tests::adaptation::run::{Run, run};
use splitinfer_tests::measure;

/// Measures adaptation on scenes with exact truth.
#[derive(Parser)]
#[command(name = "measure.sh adaptation")]
struct Args {
    /// One seed of traffic, repetitive, few frames, without the published gate and periodic labels.
    #[arg(long)]
    quick: bool,
    /// Scenes of each task and scenario; confidence intervals from three on.
    #[arg(long)]
    seeds: Option<u64>,
    /// Frames of a run; the domain changes after a third.
    #[arg(long)]
    frames: Option<u64>,
    /// traffic, walker.
    #[arg(long)]
    tasks: Option<String>,
    /// repetitive, semi-repetitive, dynamic.
    #[arg(long)]
    scenarios: Option<String>,
    /// none, teacher, always, combined, published, periodic.
    #[arg(long)]
    methods: Option<String>,
    /// Domain before the change, and after it.
    #[arg(long, num_args = 2, default_values = ["day", "night"])]
    domains: Vec<String>,
    /// Properties of svdgate other than the defaults: "NAME=VALUE NAME=VALUE".
    #[arg(long, default_value = "")]
    gate: String,
    /// Properties of finetune other than the defaults.
    #[arg(long, default_value = "")]
    finetune: String,
    /// Folder for a plot of the first seed of each task and scenario.
    #[arg(long)]
    plots: Option<PathBuf>,
}

const SEEDS: u64 = 5;
const FRAMES: u64 = 900;
const QUICK_FRAMES: u64 = 180;

fn main() -> Result<()> {
    let args = Args::parse();
    let default = |quick: &str, all: Vec<&str>| match args.quick {
        true => quick.to_owned(),
        false => all.join(","),
    };
    let tasks = default("traffic", Task::ALL.map(Task::name).to_vec());
    let scenarios = default("repetitive", SCENARIOS.to_vec());
    let methods = default(
        "none,teacher,always,combined",
        Method::ALL.map(Method::name).to_vec(),
    );
    let tasks = chosen(
        args.tasks.as_deref().unwrap_or(&tasks),
        &Task::ALL,
        Task::name,
    )?;
    let scenarios = chosen(
        args.scenarios.as_deref().unwrap_or(&scenarios),
        &SCENARIOS,
        |s| s,
    )?;
    let methods = chosen(
        args.methods.as_deref().unwrap_or(&methods),
        &Method::ALL,
        Method::name,
    )?;
    splitinfer_tests::init();
    println!("# Adaptation\n\n{}\n", measure::machine());
    introduce(&args);
    let mut cells = Vec::new();
    for task in &tasks {
        for scenario in &scenarios {
            let cell = cell(&args, *task, scenario, &methods)?;
            cell.print();
            cells.push(cell);
        }
    }
    println!("{}", json(&cells));
    Ok(())
}

impl Args {
    fn seeds(&self) -> u64 {
        self.seeds
            .unwrap_or(if self.quick { 1 } else { SEEDS })
            .max(1)
    }

    /// Enough for a window before and after the change.
    fn frames(&self) -> u64 {
        let frames = if self.quick { QUICK_FRAMES } else { FRAMES };
        self.frames.unwrap_or(frames).max(60)
    }
}

fn introduce(args: &Args) {
    println!(
        "`{}`, from frame {} on `{}`: {} frames, {RATE} a second, 640 × 360, {} scenes of each task and scenario that no model was \
         trained on. The source waits while anything is labelled or trained. svdgate: {}; finetune: {}.\n",
        args.domains[0],
        args.frames() / 3,
        args.domains[1],
        args.frames(),
        args.seeds(),
        or_defaults(&args.gate),
        or_defaults(&args.finetune),
    );
}

fn or_defaults(set: &str) -> &str {
    if set.is_empty() { "defaults" } else { set }
}

fn cell(args: &Args, task: Task, scenario: &'static str, methods: &[Method]) -> Result<Cell> {
    let mut seeds = Vec::new();
    for seed in 0..args.seeds() {
        let case = Case {
            task,
            scenario,
            seed,
            frames: args.frames(),
            domains: [args.domains[0].clone(), args.domains[1].clone()],
        };
        let runs = runs(args, &case, methods)?;
        if let Some(folder) = args.plots.as_deref().filter(|_| seed == 0) {
            let file = folder.join(format!("adaptation-{}-{scenario}.svg", task.name()));
            plot(&case, &runs, folder, &file)?;
        }
        seeds.push(
            runs.iter()
                .map(|(m, r)| (*m, Figures::of(r, &case)))
                .collect(),
        );
    }
    Ok(Cell {
        task,
        scenario,
        seeds,
    })
}

fn plot(case: &Case, runs: &[(Method, Run)], folder: &Path, file: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    plot::draw(case, runs, file)
}

/// The methods one after another; periodic labels as often as the combined gate asked for them.
fn runs(args: &Args, case: &Case, methods: &[Method]) -> Result<Vec<(Method, Run)>> {
    let tuning = Tuning {
        gate: args.gate.clone(),
        finetune: args.finetune.clone(),
    };
    let mut runs: Vec<(Method, Run)> = Vec::new();
    for method in methods {
        let budget = runs.iter().find(|(m, _)| *m == Method::Combined);
        let every = match (method, budget) {
            (Method::Periodic, Some((_, ours))) => case.frames.div_ceil(ours.labelled.max(1)),
            _ => 1,
        };
        let begun = std::time::Instant::now();
        let run = run(case, *method, every, &tuning)?;
        eprintln!(
            "{} {} seed {}: {}, {:.0} s",
            case.task.name(),
            case.scenario,
            case.seed,
            method.title(),
            begun.elapsed().as_secs_f64()
        );
        runs.push((*method, run));
    }
    Ok(runs)
}
