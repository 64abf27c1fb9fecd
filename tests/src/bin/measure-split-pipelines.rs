// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The chosen split in whole pipelines, over real sockets: `tests/measure.sh split-pipelines [--quick] [OPTIONS]`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::ProgressBar;
use serde_json::json;
use splitinfer_meta::Completed;
use splitinfer_tests::measure;
use splitinfer_tests::quota::Quota;
use splitinfer_tests::split_pipelines::figures::Figures;
use splitinfer_tests::split_pipelines::play::{Play, Recording, Stage, play};
use splitinfer_tests::split_pipelines::report::{self, Cell, Crowd, Method};
use splitinfer_tests::split_pipelines::{camera, edge};
use splitinfer_tests::split_selection::traces::{self, Named};
use splitinfer_tools::splits::{Panel, Picture, Point, rate, write};

/// Plays films through edges and a server, each with its part of a processor, over links that follow traces.
#[derive(Parser)]
#[command(name = "measure.sh split-pipelines")]
struct Args {
    /// One scene, one trace, three edges, five seconds each.
    #[arg(long)]
    quick: bool,
    /// What is measured: traces, edges.
    #[arg(long, default_value = "traces,edges")]
    parts: String,
    /// Of: walker, traffic.
    #[arg(long)]
    scenes: Option<String>,
    /// Traces of pipelines/networks.
    #[arg(long)]
    traces: Option<String>,
    /// Only methods whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Seconds of a film.
    #[arg(long)]
    seconds: Option<u32>,
    /// Folder for plots.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Tell on standard error why the split changed.
    #[arg(long)]
    explain: bool,
    #[arg(long, hide = true)]
    edge: Option<String>,
}

const SCENES: &str = "walker,traffic";
const TRACES: &str =
    "wifi-good,lte-car,wifi-busy,step-wide,rtt-steps,outage-short,loss-burst,all-change";
const CROWDS: [usize; 4] = [1, 2, 4, 8];
const SECONDS: u32 = 20;
/// Frames a second, and ms.
const RATE: u32 = 10;
const BUDGET_MS: u32 = 200;
/// Parts of a processor.
const EDGE: f64 = 0.35;
const SERVER: f64 = 1.0;
/// The same where many edges share the server, so that two processors have enough for all of them, and the server for two or
/// three edges only.
const CROWD_RATE: u32 = 5;
const CROWD_BUDGET_MS: u32 = 400;
const CROWD_EDGE: f64 = 0.2;
const CROWD_SERVER: f64 = 0.4;
/// As numbers of the elements' candidates: those that are best anywhere in the simulation.
const CUTS: [usize; 2] = [2, 4];

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(job) = &args.edge {
        return edge::work(&serde_json::from_str(job)?);
    }
    splitinfer_tests::init();
    drop(Quota::new(EDGE).context("machines of other speeds are made of control groups")?);
    let folder = tempfile::tempdir()?;
    println!(
        "# Split selection in whole pipelines\n\n{}\n",
        measure::machine()
    );
    let mut cells = Vec::new();
    let mut crowds = Vec::new();
    let scenes = args
        .scenes
        .as_deref()
        .unwrap_or(if args.quick { "walker" } else { SCENES });
    for scene in scenes.split(',') {
        let stage = stage(&args, scene, RATE, folder.path())?;
        let stage = Stage {
            budget_ms: BUDGET_MS,
            edge: EDGE,
            server: SERVER,
            ..stage
        };
        println!("## {scene}-teacher\n");
        if args.parts.contains("traces") {
            let of = on_traces(&args, &stage, scene)?;
            println!("{}", report::traces(&of));
            cells.extend(of);
        }
        if args.parts.contains("edges") {
            let stage = self::stage(&args, scene, CROWD_RATE, folder.path())?;
            let of = many_edges(&args, &stage)?;
            println!("### Many edges on one server\n\n{}", report::crowds(&of));
            crowds.extend(of);
        }
    }
    println!("{}", json(&cells, &crowds));
    Ok(())
}

/// Of machines that share the server with others.
fn stage(args: &Args, scene: &str, rate: u32, folder: &Path) -> Result<Stage> {
    let seconds = args.seconds.unwrap_or(if args.quick { 5 } else { SECONDS });
    let film = folder.join(format!("{scene}-{rate}.i420"));
    camera::film(scene, rate, (seconds * rate) as usize, &film)?;
    Ok(Stage {
        model: splitinfer_tests::repository().join(format!("models/{scene}-teacher.onnx")),
        film,
        rate,
        budget_ms: CROWD_BUDGET_MS,
        edge: CROWD_EDGE,
        server: CROWD_SERVER,
    })
}

fn method(name: &str, split: &str, monitor: bool, fixed: bool) -> Method {
    Method {
        name: name.to_owned(),
        split: split.to_owned(),
        monitor,
        fixed,
    }
}

fn methods(args: &Args) -> Vec<Method> {
    let mut all = vec![
        method("planner", "auto", true, false),
        method("planner, no monitor", "auto", false, false),
        method("all here", "edge", true, true),
        method("picture", "server", true, true),
        method("video", "server-video", true, true),
    ];
    all.extend(CUTS.map(|cut| method(&format!("cut {cut}"), &cut.to_string(), true, true)));
    let wanted = args.only.as_deref().unwrap_or_default();
    all.retain(|m| m.name.contains(wanted));
    all
}

fn on_traces(args: &Args, stage: &Stage, scene: &str) -> Result<Vec<Cell>> {
    let names = args
        .traces
        .as_deref()
        .unwrap_or(if args.quick { "all-change" } else { TRACES });
    let traces = traces::load()?;
    let find = |name: &str| {
        let found = traces.iter().find(|t| t.name == name).cloned();
        found.with_context(|| format!("there is no trace '{name}' in pipelines/networks"))
    };
    let named = names.split(',').map(find).collect::<Result<Vec<_>>>()?;
    let methods = methods(args);
    let bar = measure::progress(named.len() * methods.len());
    let cells = named.iter().map(|trace| {
        let cell = on_trace(stage, trace, &methods, &bar)?;
        if args.explain {
            explain(&cell);
        }
        if let Some(folder) = &args.plots {
            let name = format!("split-pipelines-{scene}-{}", trace.name);
            write(&picture(&cell.1, trace), &folder.join(name))?;
        }
        Ok(cell.0)
    });
    let cells = cells.collect();
    bar.finish_and_clear();
    cells
}

type Played = (Cell, Vec<(String, Recording)>);

fn on_trace(stage: &Stage, trace: &Named, methods: &[Method], bar: &ProgressBar) -> Result<Played> {
    let mut rows = Vec::new();
    let mut recordings = Vec::new();
    for method in methods {
        bar.set_message(format!("{}: {}", trace.name, method.name));
        let how = Play {
            split: method.split.clone(),
            monitor: method.monitor,
            edges: 1,
            trace: trace.trace.clone(),
            seed: trace.seed,
        };
        let recording = play(stage, &how)?.pop().context("one edge plays")?;
        rows.push((method.clone(), figures(stage, &recording)?));
        recordings.push((method.name.clone(), recording));
        bar.inc(1);
    }
    let trace = trace.name.clone();
    Ok((Cell { trace, rows }, recordings))
}

fn explain((cell, recordings): &Played) {
    for (method, recording) in recordings {
        eprintln!("{}: {method}", cell.trace);
        for (at, reason) in &recording.done.reasons {
            eprintln!("  {at:6.2} s  {reason}");
        }
        eprintln!("  {}", recording.done.stats);
    }
}

fn figures(stage: &Stage, recording: &Recording) -> Result<Figures> {
    let bytes = std::fs::metadata(&stage.film)?.len() as usize;
    let interval = 1e3 / f64::from(stage.rate);
    let shots = camera::shots(bytes);
    Ok(Figures::new(
        recording,
        shots,
        interval,
        stage.budget_ms.into(),
    ))
}

fn picture(recordings: &[(String, Recording)], trace: &Named) -> Picture {
    let point = |f: &edge::Frame| {
        let completed: Completed = f.completed.parse().ok()?;
        let at = f.number as f64 / f64::from(RATE);
        Some(Point::new(at, f.latency, f.split.clone(), completed))
    };
    let panels = recordings.iter().take(3).map(|(name, recording)| Panel {
        title: name.clone(),
        points: recording.frames.iter().filter_map(point).collect(),
    });
    Picture {
        panels: panels.collect(),
        rate: rate(&trace.trace),
        budget: Some(BUDGET_MS.into()),
    }
}

/// On the fastest link, where each alone would send all to the server.
fn many_edges(args: &Args, stage: &Stage) -> Result<Vec<Crowd>> {
    let traces = traces::load()?;
    let lan = traces
        .iter()
        .find(|t| t.name == "lan")
        .context("there is no trace 'lan'")?;
    let numbers = if args.quick {
        &CROWDS[2..3]
    } else {
        &CROWDS[..]
    };
    let methods: Vec<Method> = methods(args)
        .into_iter()
        .filter(|m| ["planner", "all here", "picture"].contains(&m.name.as_str()))
        .collect();
    let bar = measure::progress(numbers.len() * methods.len());
    let mut crowds = Vec::new();
    for &edges in numbers {
        for method in &methods {
            bar.set_message(format!("{edges} edges: {}", method.name));
            let how = Play {
                split: method.split.clone(),
                monitor: method.monitor,
                edges,
                trace: lan.trace.clone(),
                seed: lan.seed,
            };
            let recordings = play(stage, &how)?;
            let edges = recordings.iter().map(|r| figures(stage, r));
            crowds.push(Crowd {
                method: method.name.clone(),
                edges: edges.collect::<Result<_>>()?,
            });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(crowds)
}

fn json(cells: &[Cell], crowds: &[Crowd]) -> serde_json::Value {
    let of = |name: &str, value: &dyn Fn(&Cell, &Figures) -> Option<f64>| -> Vec<f64> {
        let figures = cells.iter().filter_map(|cell| {
            let row = cell.rows.iter().find(|r| r.0.name == name)?;
            value(cell, &row.1)
        });
        figures.collect()
    };
    let mean = |v: &[f64]| (!v.is_empty()).then(|| v.iter().sum::<f64>() / v.len() as f64);
    let most = |v: &[f64]| v.iter().copied().reduce(f64::max);
    let least = |v: &[f64]| v.iter().copied().reduce(f64::min);
    let planner = |name: &str| {
        let over = of(name, &|c, f| c.over_best_fixed(f));
        let hit = of(name, &|c, f| Some(c.deadline_hit(f)));
        json!({
            "over_best_fixed_pct": mean(&over),
            "over_best_fixed_worst_pct": most(&over),
            "deadline_hit_pct": mean(&hit),
            "deadline_hit_worst_pct": least(&hit),
        })
    };
    let crowd = |value: &dyn Fn(&Crowd) -> f64| {
        let planner = crowds.iter().filter(|c| c.method == "planner");
        least(&planner.map(value).collect::<Vec<_>>())
    };
    json!({
        "with_monitor": planner("planner"),
        "without_monitor": planner("planner, no monitor"),
        "edges_least_fairness": crowd(&Crowd::fairness),
        "edges_least_in_time_pct": crowd(&|c| c.least_in_time() * 100.0),
    })
}
