// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The chosen split in whole pipelines, over real sockets: `tests/measure.sh split-pipelines [--quick] [OPTIONS]`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use splitinfer_tests::quota::Quota;
use splitinfer_tests::split_pipelines::book::{Book, Place};
use splitinfer_tests::split_pipelines::crowd;
use splitinfer_tests::split_pipelines::json::{self, Played};
use splitinfer_tests::split_pipelines::method::KINDS;
use splitinfer_tests::split_pipelines::session::{Budget, Machines, Session, Wanted};
use splitinfer_tests::split_pipelines::subject::{self, Subject};
use splitinfer_tests::split_pipelines::{edge, pictures, profiling, report};
use splitinfer_tests::split_selection::traces::{self, Named};

/// Plays films through edges and a server, each with its part of a processor, over links that follow traces.
#[derive(Parser)]
#[command(name = "measure.sh split-pipelines")]
struct Args {
    /// One model, one trace, one run, four edges, and few methods; four seconds each.
    #[arg(long)]
    quick: bool,
    /// What is measured: traces, edges.
    #[arg(long, default_value = "traces,edges")]
    parts: String,
    /// The project's (NAME-teacher, NAME-student), and yolox…, FastestDet, movenet… where the data are at hand
    /// [default: four of about the same size].
    #[arg(long)]
    models: Option<String>,
    /// Traces of pipelines/networks.
    #[arg(long)]
    traces: Option<String>,
    /// Of: planner, no-monitor, neurosurgeon, neurosurgeon-coding, bandit, here, picture, video, cuts [default: all; of
    /// many edges some].
    #[arg(long)]
    methods: Option<String>,
    /// Numbers of the cuts that are held [default: those that the profile makes the best at 10 and at 1 Mbit/s].
    #[arg(long)]
    cuts: Option<String>,
    /// How often each method plays each trace, the methods taking turns.
    #[arg(long)]
    runs: Option<u32>,
    /// Seconds of a film.
    #[arg(long)]
    seconds: Option<u32>,
    /// ms, in place of a multiple of the model's time on the edge.
    #[arg(long)]
    budget: Option<u32>,
    /// Keep runs in this file, and go on with those that are in it.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Play nothing: tables of what is in the file.
    #[arg(long, requires = "keep")]
    report: bool,
    /// Folder for plots.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Tell on standard error why the split changed.
    #[arg(long)]
    explain: bool,
    #[arg(long, hide = true)]
    edge: Option<String>,
    #[arg(long, hide = true)]
    profile: Option<String>,
}

const TRACES: &str =
    "wifi-good,lte-car,wifi-busy,step-wide,rtt-steps,outage-short,loss-burst,all-change";
const RUNS: u32 = 3;
const CROWDS: [usize; 4] = [1, 2, 4, 8];
const CROWD_METHODS: &str = "planner,neurosurgeon-coding,bandit,here,picture,video";
const QUICK_METHODS: &str = "planner,neurosurgeon-coding,bandit,here";
/// The budget as a multiple of what the model takes on the edge.
const BUDGET: f64 = 2.7;
const CROWD_BUDGET: f64 = 3.1;
const MACHINES: Machines = Machines {
    rate: 10,
    seconds: 20,
    edge: 70.0,
    server: 25.0,
};
/// Where many edges share the server: two processors have enough for all of them, and the server for two or three edges only.
const CROWD: Machines = Machines {
    rate: 5,
    seconds: 14,
    edge: 135.0,
    server: 68.0,
};

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(job) = &args.edge {
        return edge::work(&serde_json::from_str(job)?);
    }
    if let Some(job) = &args.profile {
        return profiling::work(&serde_json::from_str(job)?);
    }
    splitinfer_tests::init();
    let folder = tempfile::tempdir()?;
    let book = args.keep.as_deref().map(Book::open).transpose()?;
    let mut session = Session::new(book.unwrap_or_default(), folder.path(), args.explain);
    if !args.report {
        drop(Quota::new(1.0).context("machines of other speeds are made of control groups")?);
        play(&args, &mut session)?;
    }
    print(&args, &session.book)
}

fn play(args: &Args, session: &mut Session) -> Result<()> {
    let usual = if args.quick {
        "walker-teacher"
    } else {
        subject::USUAL
    };
    let parts = names(&args.parts);
    let known = traces::load()?;
    for name in names(args.models.as_deref().unwrap_or(usual)) {
        let Some(subject) = Subject::find(&name)? else {
            continue;
        };
        if parts.contains(&"traces".to_owned()) {
            session.play(&subject, &on_traces(args, &known)?)?;
        }
        if parts.contains(&"edges".to_owned()) {
            session.play(&subject, &with_many_edges(args, &known)?)?;
        }
    }
    Ok(())
}

fn on_traces(args: &Args, known: &[Named]) -> Result<Wanted> {
    let usual = if args.quick { "all-change" } else { TRACES };
    let mut wanted = wanted(
        args,
        MACHINES,
        BUDGET,
        if args.quick { QUICK_METHODS } else { "" },
    )?;
    for name in names(args.traces.as_deref().unwrap_or(usual)) {
        let trace = find(known, &name)?;
        wanted.places.push((Place::Trace(name), trace));
    }
    Ok(wanted)
}

/// On the fastest link, where each alone would send all to the server.
fn with_many_edges(args: &Args, known: &[Named]) -> Result<Wanted> {
    let usual = if args.quick { "planner" } else { CROWD_METHODS };
    let mut wanted = wanted(args, CROWD, CROWD_BUDGET, usual)?;
    let trace = find(known, "lan")?;
    let crowds = if args.quick {
        &CROWDS[2..3]
    } else {
        &CROWDS[..]
    };
    let places = crowds.iter().map(|n| (Place::Edges(*n), trace.clone()));
    wanted.places.extend(places);
    Ok(wanted)
}

/// On no places yet. `methods`: where none are asked for.
fn wanted(args: &Args, usual: Machines, times: f64, methods: &str) -> Result<Wanted> {
    let methods = names(args.methods.as_deref().unwrap_or(methods));
    let known = |name: &String| name.starts_with("cut-") || KINDS.iter().any(|k| k.0 == name);
    if let Some(unknown) = methods.iter().find(|m| !known(m)) {
        bail!("there is no method '{unknown}'");
    }
    let number = |text: &String| {
        text.parse()
            .with_context(|| format!("'{text}' is no number"))
    };
    let cuts = args
        .cuts
        .as_deref()
        .map(|text| names(text).iter().map(number).collect());
    Ok(Wanted {
        machines: Machines {
            seconds: args
                .seconds
                .unwrap_or(if args.quick { 4 } else { usual.seconds }),
            ..usual
        },
        budget: args.budget.map_or(Budget::Times(times), Budget::Ms),
        places: Vec::new(),
        methods,
        cuts: cuts.transpose()?,
        runs: args.runs.unwrap_or(if args.quick { 1 } else { RUNS }),
    })
}

fn names(list: &str) -> Vec<String> {
    let names = list.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn find(known: &[Named], name: &str) -> Result<Named> {
    let found = known.iter().find(|t| t.name == name).cloned();
    found.with_context(|| format!("there is no trace '{name}' in pipelines/networks"))
}

/// All that is in the book.
fn print(args: &Args, book: &Book) -> Result<()> {
    println!("# Split selection in whole pipelines\n");
    let mut machines: Vec<&str> = book
        .profiles
        .iter()
        .map(|(s, _)| s.machine.as_str())
        .collect();
    machines.dedup();
    println!("{}\n", machines.join("; "));
    let mut models: Vec<&str> = book
        .runs
        .iter()
        .map(|r| r.key.setting.model.as_str())
        .collect();
    let mut seen = std::collections::HashSet::new();
    models.retain(|m| seen.insert(*m));
    let known = traces::load()?;
    let mut all = Vec::new();
    for model in models {
        let played = Played::new(book, model);
        println!("## {model}\n\n{}", report::stages(book, model));
        if !played.cells.is_empty() {
            println!("{}", report::methods(&played.cells));
            println!("{}", report::traces(&played.cells));
        }
        if !played.crowds.is_empty() {
            println!(
                "### Many edges on one server\n\n{}",
                crowd::table(&played.crowds)
            );
        }
        if let Some(folder) = &args.plots {
            pictures::draw(book, model, &played.cells, &known, folder)?;
        }
        all.push(played);
    }
    println!("{}", json::line(&all));
    Ok(())
}
