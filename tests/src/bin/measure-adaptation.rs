// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What adaptation gains and costs on scenes whose domain changes: `tests/measure.sh adaptation [--quick] [OPTIONS]`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use splitinfer_tests::adaptation::drifts::{Kind, watch};
use splitinfer_tests::adaptation::figures::Figures;
use splitinfer_tests::adaptation::latency::{self, Latencies, latencies};
use splitinfer_tests::adaptation::noticing::{self, Row};
use splitinfer_tests::adaptation::plan::{Case, Method, RATE, SCENARIOS, Task, Tuning, chosen};
use splitinfer_tests::adaptation::plot;
use splitinfer_tests::adaptation::real::{self, PAIRS, Pair, Shown};
use splitinfer_tests::adaptation::report::{Cell, json};
use splitinfer_tests::adaptation::results::Results;
use splitinfer_tests::adaptation::run::{Run, run};
use splitinfer_tests::adaptation::visits::{self, Course, Visit};
use splitinfer_tests::measure;

/// Measures adaptation on scenes with exact truth.
#[derive(Parser)]
#[command(name = "measure.sh adaptation")]
struct Args {
    /// Gains alone, of one seed of traffic, repetitive, few frames, none,teacher,always,combined.
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
    /// none, teacher, always, combined, published, periodic, random, confidence, accuracy.
    #[arg(long)]
    methods: Option<String>,
    /// Scenes of each task and kind of drift, for what is noticed.
    #[arg(long)]
    drift_seeds: Option<u64>,
    /// What is measured: gains, drifts, recurring, staying, latency, real.
    #[arg(long)]
    parts: Option<String>,
    /// Domain before the change, and after it.
    #[arg(long, num_args = 2, default_values = ["day", "night"])]
    domains: Vec<String>,
    /// Properties of svdgate other than the defaults: "NAME=VALUE NAME=VALUE".
    #[arg(long, default_value = "")]
    gate: String,
    /// Properties of teacherlabel other than the defaults.
    #[arg(long, default_value = "")]
    teacher: String,
    /// Properties of finetune other than the defaults.
    #[arg(long, default_value = "")]
    finetune: String,
    /// Folder that keeps what each run showed: an interrupted measurement goes on there.
    #[arg(long)]
    runs: Option<PathBuf>,
    /// Folder for a plot of the first seed of each task and scenario, if all its methods are run now.
    #[arg(long)]
    plots: Option<PathBuf>,
}

const SEEDS: u64 = 5;
const FRAMES: u64 = 900;
const QUICK_FRAMES: u64 = 180;
const DRIFT_SEEDS: u64 = 6;

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
    let parts = args.parts()?;
    let mut cells = Vec::new();
    for task in tasks.iter().filter(|_| parts.contains(&"gains")) {
        for scenario in &scenarios {
            let cell = cell(&args, *task, scenario, &methods)?;
            cell.print();
            cells.push(cell);
        }
    }
    let mut rows = Vec::new();
    if parts.contains(&"drifts") {
        rows = drifts(&args, &tasks)?;
        noticing::print(&rows);
    }
    let mut returns = Vec::new();
    for course in [Course::Returning, Course::Staying] {
        if parts.contains(&course.name()) {
            let seen = visits(&args, course, &tasks)?;
            visits::print(course, &seen);
            if course == Course::Returning {
                returns = seen;
            }
        }
    }
    let mut latencies = Vec::new();
    if parts.contains(&"latency") {
        latencies = while_training(&args, &tasks)?;
        latency::print(&latencies);
    }
    if parts.contains(&"real") {
        real::print(&real_videos(&args)?);
    }
    println!("{}", json(&cells, &rows, &returns, &latencies));
    Ok(())
}

/// What is noticed of each kind of drift.
fn drifts(args: &Args, tasks: &[Task]) -> Result<Vec<Row>> {
    let kinds: Vec<(Task, Kind)> = tasks
        .iter()
        .flat_map(|task| Kind::of(*task).into_iter().map(|kind| (*task, kind)))
        .collect();
    let seeds = args.drift_seeds();
    let bar = measure::progress(kinds.len() * seeds as usize);
    let results = Results::new(args.runs.as_ref().map(|r| r.join("drifts")))?;
    let mut rows = Vec::new();
    for (task, kind) in kinds {
        let mut runs = Vec::new();
        for seed in 0..seeds {
            bar.set_message(format!("{}, {}", task.name(), kind.name()));
            let name = format!("{}-{}-{seed}", task.name(), kind.name().replace(' ', "-"));
            let run = || watch(task, kind, seed, &args.gate);
            runs.push(results.get_or(&name, &args.gate, run)?);
            bar.inc(1);
        }
        rows.push(Row { task, kind, runs });
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// What adaptation costs and brings in some minutes.
fn visits(args: &Args, course: Course, tasks: &[Task]) -> Result<Vec<(Task, Vec<Vec<Visit>>)>> {
    let results = Results::new(args.runs.as_ref().map(|r| r.join(course.name())))?;
    let (seeds, domains) = (args.drift_seeds(), &args.domains);
    let bar = measure::progress(tasks.len() * seeds as usize);
    let mut all = Vec::new();
    for task in tasks {
        let mut runs = Vec::new();
        for seed in 0..seeds {
            let name = format!("{}-{seed}", task.name());
            let of = format!("{domains:?} {:?}", args.tuning());
            let run = || visits::run(course, *task, seed, domains, &args.tuning());
            runs.push(results.get_or(&name, &of, run)?);
            bar.inc(1);
        }
        all.push((*task, runs));
    }
    bar.finish_and_clear();
    Ok(all)
}

/// What a training costs the frames that pass meanwhile.
fn while_training(args: &Args, tasks: &[Task]) -> Result<Vec<(Task, Latencies)>> {
    let results = Results::new(args.runs.as_ref().map(|r| r.join("latency")))?;
    let of = |task: &Task| Ok((*task, results.get_or(task.name(), "", || latencies(*task))?));
    tasks.iter().map(of).collect()
}

/// Models and videos that are not part of the repository, where they are at hand.
fn real_videos(args: &Args) -> Result<Vec<(Pair, Shown)>> {
    let results = Results::new(args.runs.as_ref().map(|r| r.join("real")))?;
    let of = format!("{:?}", args.tuning());
    let bar = measure::progress(PAIRS.len());
    let mut rows = Vec::new();
    for pair in PAIRS {
        bar.set_message(pair.name());
        let run = || real::run(&pair, &args.tuning());
        if let Some(shown) = results.get_or(&pair.name(), &of, run)? {
            rows.push((pair, shown));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

impl Args {
    fn seeds(&self) -> u64 {
        self.seeds
            .unwrap_or(if self.quick { 1 } else { SEEDS })
            .max(1)
    }

    fn drift_seeds(&self) -> u64 {
        self.drift_seeds
            .unwrap_or(if self.quick { 1 } else { DRIFT_SEEDS })
            .max(1)
    }

    fn parts(&self) -> Result<Vec<&'static str>> {
        let default = if self.quick {
            "gains"
        } else {
            "gains,drifts,recurring,staying,latency,real"
        };
        let parts = self.parts.as_deref().unwrap_or(default);
        chosen(
            parts,
            &["gains", "drifts", "recurring", "staying", "latency", "real"],
            |part| part,
        )
    }

    fn tuning(&self) -> Tuning {
        Tuning {
            gate: self.gate.clone(),
            teacher: self.teacher.clone(),
            finetune: self.finetune.clone(),
        }
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
    let results = Results::new(args.runs.clone())?;
    let mut seeds = Vec::new();
    for seed in 0..args.seeds() {
        let case = Case {
            task,
            scenario,
            seed,
            frames: args.frames(),
            domains: [args.domains[0].clone(), args.domains[1].clone()],
        };
        seeds.push(figures(args, &case, methods, &results)?);
    }
    Ok(Cell {
        task,
        scenario,
        seeds,
    })
}

/// The methods one after another; periodic and random labels as often as the combined gate asked for them.
fn figures(
    args: &Args,
    case: &Case,
    methods: &[Method],
    results: &Results,
) -> Result<Vec<(Method, Figures)>> {
    let tuning = args.tuning();
    let mut drawn: Vec<(Method, Run)> = Vec::new();
    let mut all: Vec<(Method, Figures)> = Vec::new();
    for method in methods {
        let budget = all.iter().find(|(m, _)| *m == Method::Combined);
        let budget = budget.map_or(1.0, |(_, ours)| ours.teacher_pct / 100.0);
        let name = format!(
            "{}-{}-{}-{}",
            case.task.name(),
            case.scenario,
            case.seed,
            method.name()
        );
        let of = format!("{case:?} {tuning:?}");
        let figures = results.get_or(&name, &of, || {
            let begun = std::time::Instant::now();
            let run = run(case, *method, budget, &tuning)?;
            eprintln!("{name}: {:.0} s", begun.elapsed().as_secs_f64());
            let figures = Figures::of(&run, case);
            drawn.push((*method, run));
            Ok(figures)
        })?;
        all.push((*method, figures));
    }
    if let Some(folder) = args.plots.as_deref().filter(|_| case.seed == 0)
        && drawn.len() == methods.len()
    {
        plot(case, &drawn, folder)?;
    }
    Ok(all)
}

fn plot(case: &Case, runs: &[(Method, Run)], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let name = format!("adaptation-{}-{}.svg", case.task.name(), case.scenario);
    plot::draw(case, runs, &folder.join(name))
}
