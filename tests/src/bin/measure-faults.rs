// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What becomes of frames, and what is left behind, when servers are killed, frozen, cut off and restarted:
//! `tests/measure.sh faults [--quick]`.

use anyhow::Result;
use clap::Parser;
use serde_json::json;
use splitinfer_tests::faults::lives::{self, Sum};
use splitinfer_tests::faults::report::{self, Row};
use splitinfer_tests::faults::run::{Recording, Setup, run};
use splitinfer_tests::faults::schedule::{KINDS, Kind, schedule};
use splitinfer_tests::faults::series::{Cycles, Series};
use splitinfer_tests::faults::{BUDGET_MS, clients, host, sessions, watch};
use splitinfer_tests::{measure, numbered};

/// Streams numbered frames from an edge to a server and does to the server, and to the link, what happens to them in the field.
#[derive(Parser)]
#[command(name = "measure.sh faults")]
struct Args {
    /// A few faults of each kind, each with another split.
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name: none, kill, freeze, partition, restart loop; lives, sessions, clients.
    #[arg(long)]
    only: Option<String>,
    /// Only this split.
    #[arg(long)]
    split: Option<String>,
    /// Tell on standard error of each fault and each message.
    #[arg(long)]
    explain: bool,
    /// Times that each thing is done over and over.
    #[arg(long)]
    cycles: Option<usize>,
    /// For all that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, hide = true)]
    edge: Option<String>,
    #[arg(long, hide = true)]
    lives: Option<String>,
    #[arg(long, hide = true)]
    host: Option<String>,
}

/// A cut of one tensor, one of two, the picture, the video, and whatever the plan chooses.
const SPLITS: [&str; 5] = ["pool1", "skip+pool2", "server", "server-video", "auto"];

fn main() -> Result<()> {
    let args = Args::parse();
    match (&args.edge, &args.lives, &args.host) {
        (Some(job), _, _) => return watch::work(job),
        (_, Some(job), _) => return lives::work(job),
        (_, _, Some(job)) => return host::work(job),
        _ => {}
    }
    splitinfer_tests::init();
    let folder = tempfile::tempdir()?;
    let model = numbered::write_slow_model(folder.path(), numbered::Idle::Millisecond)?;
    println!("# Faults\n\n{}\n", measure::machine());
    println!("## Streams\n\n{}", report::STREAMS);
    let rows = streams(&args, &model)?;
    println!("{}\n", report::all_faults(&rows));
    println!("## Over and over\n\n{}", report::SERIES);
    let (series, sum) = over_and_over(&args, &model)?;
    println!("\n{}", json(&rows, &series, sum));
    Ok(())
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|only| name.contains(only))
    }
}

/// How many faults of a kind, and with which splits.
fn extent(kind: Kind, quick: bool) -> (usize, &'static [&'static str]) {
    match (kind, quick) {
        (Kind::Nothing, false) => (4, &SPLITS),
        (Kind::Kill, false) => (8, &SPLITS),
        (Kind::Freeze | Kind::Partition, false) => (12, &SPLITS),
        (Kind::Loop, false) => (5, &SPLITS),
        (Kind::Nothing, true) => (1, &SPLITS[..1]),
        (Kind::Kill, true) => (2, &SPLITS[..1]),
        (Kind::Freeze, true) => (2, &SPLITS[3..4]),
        (Kind::Partition, true) => (3, &SPLITS[4..]),
        (Kind::Loop, true) => (1, &SPLITS[2..3]),
    }
}

fn streams(args: &Args, model: &str) -> Result<Vec<Row>> {
    let kinds = KINDS.into_iter().filter(|k| args.wants(k.name()));
    let setups = kinds.flat_map(|kind| {
        let (count, splits) = extent(kind, args.quick);
        let splits = splits.iter().enumerate();
        splits.map(move |(i, split)| Setup {
            model: model.to_owned(),
            kind,
            split: (*split).to_owned(),
            faults: schedule(kind, count, args.seed * 1000 + i as u64),
        })
    });
    let wanted = |s: &Setup| args.split.as_ref().is_none_or(|split| *split == s.split);
    let setups: Vec<_> = setups.filter(wanted).collect();
    let bar = measure::progress(setups.iter().map(|s| s.faults.len()).sum());
    let rows = setups.iter().map(|setup| {
        let kind = setup.kind.name();
        bar.set_message(format!("{kind}: {}", setup.split));
        let recording = run(setup, || bar.inc(1))?;
        if args.explain {
            bar.suspend(|| explain(setup, &recording));
        }
        let row = Row::new(kind, &setup.split, &recording);
        bar.suspend(|| println!("{}", report::stream(&row)));
        Ok(row)
    });
    let rows = rows.collect();
    bar.finish_and_clear();
    rows
}

fn explain(setup: &Setup, recording: &Recording) {
    let Some(first) = recording.hits.first() else {
        return;
    };
    let since = |at: f64| (at - first.span.begin) / 1e3;
    eprintln!("{}: {}", setup.kind.name(), setup.split);
    for (fault, hit) in setup.faults.iter().zip(&recording.hits) {
        let (begin, again) = (since(hit.span.begin), since(hit.span.again));
        let back = hit.back.map(since);
        eprintln!(
            "  {begin:6.2} s  {:?}; again {again:.2}, back {back:.2?}",
            fault.act
        );
    }
    for notice in &recording.seen.notices {
        eprintln!("  {:6.2} s  {}", since(notice.at), notice.text);
    }
    let late = recording
        .seen
        .frames
        .iter()
        .filter(|f| f.latency() > BUDGET_MS);
    for frame in late {
        let (at, took) = (since(frame.captured), frame.latency());
        eprintln!(
            "  {at:6.2} s  frame {} took {took:.0} ms, by {}",
            frame.number, frame.completed
        );
    }
    eprintln!("  {}", recording.seen.stats);
}

fn over_and_over(args: &Args, model: &str) -> Result<(Vec<Series>, Sum)> {
    let splits = SPLITS.map(str::to_owned);
    // Each split once at least before anything is counted.
    let cycles = |count| match args.quick {
        true => Cycles { warm: 5, count: 2 },
        false => Cycles {
            warm: 15,
            count: args.cycles.unwrap_or(count),
        },
    };
    let [each, sessions_of, clients_of] = [cycles(100), cycles(60), cycles(40)];
    let total = 2 * each.total() + sessions_of.total() + clients_of.total();
    let bar = measure::progress(total);
    let (mut all, mut sum) = (Vec::new(), Sum::default());
    let mut note = |series: Series| {
        bar.suspend(|| println!("{}", report::series(&series)));
        all.push(series);
    };
    let done = || bar.inc(1);
    for dying in [false, true] {
        if args.wants("lives") {
            bar.set_message("lives");
            let found = lives::measure(model, &splits, dying, each, args.seed, done)?;
            note(found.0);
            sum.add(found.1);
        }
    }
    if args.wants("sessions") {
        bar.set_message("sessions");
        let split = SPLITS[0];
        note(sessions::measure(
            model,
            split,
            sessions_of,
            args.seed,
            done,
        )?);
    }
    if args.wants("clients") {
        bar.set_message("clients");
        // Whether `auto` sends anything is for it to say.
        let fixed = &splits[..4];
        note(clients::measure(model, fixed, clients_of, args.seed, done)?);
    }
    bar.finish_and_clear();
    Ok((all, sum))
}

fn json(rows: &[Row], series: &[Series], lives: Sum) -> serde_json::Value {
    let all = report::sum(rows);
    let hurt = report::sum(rows.iter().filter(|r| r.kind != Kind::Nothing.name()));
    let leaked = rows.iter().map(Row::left_over).sum::<usize>();
    let leaked = leaked + series.iter().map(Series::leaked).sum::<usize>();
    // Infinite: not even once.
    let rounded = |ms: f64| ms.is_finite().then(|| (ms * 10.0).round() / 10.0);
    let any = (!rows.is_empty()).then_some(());
    json!({
        "lost_frames": any.map(|()| all.lost + all.without + lives.without as u64),
        "misattributed": any.map(|()| all.misattributed + lives.misattributed as u64),
        "recovery_ms_p99": rounded(hurt.recovery(0.99)),
        "leaked": (!rows.is_empty() && !series.is_empty()).then_some(leaked),
        "budget_ms": BUDGET_MS,
        "faults": hurt.faults.len(),
        "frames": all.frames,
        "late_frames": any.map(|()| hurt.late),
        "disordered_or_repeated": any.map(|()| all.disordered + all.repeated),
        "back_ms_p50": rounded(hurt.back(0.5)),
        "back_ms_p99": rounded(hurt.back(0.99)),
        "doubled_messages": any.map(|()| all.doubled),
    })
}
