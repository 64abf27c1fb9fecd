// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The planner against an oracle and others on traces, simulated: `tests/measure.sh split-selection [--quick] [OPTIONS]`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use splitinfer_tests::split_selection::profile::{self, Profiles};
use splitinfer_tests::split_selection::profiling;
use splitinfer_tests::split_selection::study::{Cell, Stage, study};
use splitinfer_tests::split_selection::traces::{self, Named};
use splitinfer_tests::split_selection::{held_out, plot, regimes, report};

/// Simulates the choice of the split.
#[derive(Parser)]
#[command(name = "measure.sh split-selection")]
struct Args {
    /// One model, frames of five seconds, one draw.
    #[arg(long)]
    quick: bool,
    /// Measures the models on this machine, and keeps what it finds for later runs.
    #[arg(long)]
    profile: bool,
    /// Measures H.264 on this machine, beside JPEG, for the models that were measured.
    #[arg(long)]
    h264: bool,
    /// Draws the traces again that are drawn.
    #[arg(long)]
    traces: bool,
    /// On traces on which nothing was tuned, instead of those that are.
    #[arg(long)]
    held_out: bool,
    /// So often each trace, with other losses, jitter and scatter.
    #[arg(long, default_value_t = DRAWS, value_parser = clap::value_parser!(u64).range(1..))]
    draws: u64,
    /// Only traces whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Folder for plots of the traces in PLOTTED.
    #[arg(long)]
    plots: Option<PathBuf>,
}

/// Frames of a video that are measured.
const PROFILED: usize = 48;
const SECONDS: u32 = 20;
const DRAWS: u64 = 8;
/// Trace and place of the stage.
const PLOTTED: [(&str, usize); 4] = [
    ("all-change", 0),
    ("step-wide", 0),
    ("rtt-steps", 2),
    ("lte-train", 3),
];

const ABOUT: &str = "*Simulated* are the element (its two threads, four frames under way, a camera that keeps the newest frame while the \
     streaming thread is busy), QUIC (packets, loss recovery, Cubic as the element \
     has it; no pacing), `crates/link` and a server with one worker. *Real* \
     are the selector, the health of the server and the UDP monitor. Each choice costs what the profile below says, times the \
     factors in the headings, with 5 % scatter. *Oracle*: it knows the trace, every loss and every queue; before each frame it tries \
     every choice, with and without waiting for the answer until the deadline, on a copy of the world, held for the next 1, 3 or 9 \
     frames; the best of these three runs and of all choices held all the time counts (its kind is in brackets). *H.264*: the picture as \
     the next one of a video, predicted from the last one that was sent; one that is given up goes on for a budget, and if it is not \
     at the server then, a key picture follows. Tensors that stand alone go on for a budget, too. *In time*: of the frames that the \
     oracle has in time, counted second by second. *Re-converge*: frames after a step of the trace until five in a row take at most \
     1.1 times the oracle's and 2 ms, by step the median over the draws. What a trace leaves to chance, losses, jitter and scatter, is drawn several \
     times, for each method and choice as often; times are means over all draws, and the *best fixed* is what has the least of these. A dropped frame takes until the next result. All methods have the element's local completion.";

const STAGES: [Stage; 4] = [
    stage("walker-student", 45, 30, 150),
    stage("walker-student", 20, 30, 100),
    stage("traffic-student", 90, 15, 200),
    stage("movenet_lightning_f32_192", 150, 15, 250),
];

const fn stage(model: &'static str, whole_ms: u64, rate: u32, budget_ms: u64) -> Stage {
    Stage {
        model,
        whole: Duration::from_millis(whole_ms),
        server_faster: 4.0,
        rate,
        budget: Duration::from_millis(budget_ms),
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let file = splitinfer_tests::repository().join("tests/split_selection/profiles.json");
    if args.profile {
        splitinfer_tests::init();
        profile::save(&profiling::measure_all(PROFILED)?, &file)?;
    }
    if args.h264 {
        splitinfer_tests::init();
        let mut profiles = profile::load(&file)?;
        profiling::measure_h264(&mut profiles, PROFILED)?;
        profile::save(&profiles, &file)?;
    }
    if args.traces {
        traces::draw()?;
    }
    let profiles = profile::load(&file)?;
    let mut traces = match args.held_out {
        true => held_out::load()?,
        false => traces::load()?,
    };
    if let Some(only) = &args.only {
        traces.retain(|t| t.name.contains(only));
    }
    let stages = if args.quick {
        &STAGES[..1]
    } else {
        &STAGES[..]
    };
    let (seconds, draws) = match args.quick {
        true => (5, 1),
        false => (SECONDS, args.draws),
    };
    let cells = run(&profiles, stages, &traces, seconds, draws)?;
    println!("# Split selection, simulated\n");
    println!(
        "Profiles: {} (shared with other work). Draws of each trace: {draws}.\n\n{ABOUT}\n",
        profiles.machine
    );
    println!("{}", report::summary(&cells));
    for (stage, of) in stages.iter().zip(cells.chunks(traces.len())) {
        let slower = of[0].draws[0].setting.edge_slower;
        println!(
            "## {}\n\n{}",
            report::describe(stage, slower),
            report::stage(of)
        );
    }
    if let Some(folder) = &args.plots {
        for (trace, i) in PLOTTED {
            let of = cells.chunks(traces.len()).nth(i).unwrap_or_default();
            if let Some(cell) = of.iter().find(|c| c.trace == trace) {
                let file = folder.join(format!("split-selection-{trace}-{i}.svg"));
                plot::draw(cell, &file)?;
            }
        }
    }
    if !args.quick {
        println!("## Where a cut wins\n{}", regimes::table(&profiles)?);
    }
    println!("## Profiles\n{}", report::profiles(&profiles));
    println!("{}", report::json(&cells));
    Ok(())
}

/// Every stage on every trace, on as many threads as there are processors.
fn run(
    profiles: &Profiles,
    stages: &[Stage],
    traces: &[Named],
    seconds: u32,
    draws: u64,
) -> Result<Vec<Cell>> {
    let jobs: Vec<(&Stage, &Named)> = stages
        .iter()
        .flat_map(|s| traces.iter().map(move |t| (s, t)))
        .collect();
    let next = Mutex::new(0..jobs.len());
    let done: Mutex<Vec<(usize, Result<Cell>)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(i) = { next.lock().unwrap().next() } {
                    let (stage, trace) = jobs[i];
                    let cell = study(profiles, stage, trace, seconds * stage.rate, draws);
                    done.lock().unwrap().push((i, cell));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|d| d.0);
    done.into_iter().map(|d| d.1).collect()
}
