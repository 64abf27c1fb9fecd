// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What lost packets do to a stream, with completion from parts and without it: `tests/measure.sh loss [--quick]`.

use std::collections::HashMap;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use splitinfer_tests::loss::figures::Figures;
use splitinfer_tests::loss::film::Film;
use splitinfer_tests::loss::play::{Play, Run, play};
use splitinfer_tests::loss::setting::{HEADLINES, SUBJECTS, Subject, WAYS, Way};
use splitinfer_tests::measure;

/// Plays films through an edge and a server, over a link that loses packets in bursts.
#[derive(Parser)]
#[command(name = "measure.sh loss")]
struct Args {
    /// What the last line is about, one run, eight seconds.
    #[arg(long)]
    quick: bool,
    /// Of these models only, such as walker-teacher.
    #[arg(long)]
    models: Option<String>,
    /// Runs of each way, each with other losses; the ways take turns.
    #[arg(long, default_value_t = 2)]
    runs: u64,
    /// Seconds of a film.
    #[arg(long, default_value_t = 16)]
    seconds: usize,
}

/// Frames a second.
const RATE: u32 = 20;

fn main() -> Result<()> {
    let mut args = Args::parse();
    splitinfer_tests::init();
    println!("# Lost packets\n\n{}\n", measure::machine());
    let mut subjects: Vec<&Subject> = SUBJECTS.iter().collect();
    if args.quick {
        (args.runs, args.seconds) = (1, 8);
        // Those of the last line.
        subjects.truncate(HEADLINES);
    }
    if let Some(models) = &args.models {
        subjects.retain(|s| models.split(',').any(|m| m == s.name));
    }
    let mut films = HashMap::new();
    let mut headlines = Vec::new();
    head();
    for subject in subjects {
        if !films.contains_key(subject.scene) {
            let film = Film::draw(subject.scene, RATE, args.seconds * RATE as usize)?;
            films.insert(subject.scene, film);
        }
        let film = films.get(subject.scene).context("it was just drawn")?;
        for &budget in subject.budgets {
            let figures = ways(subject, film, budget, args.runs)?;
            for (way, of_way) in WAYS.iter().zip(&figures) {
                print(subject, budget, way, of_way, &figures[way.base()]);
            }
            if budget == subject.budgets[0] && headlines.len() < HEADLINES {
                headlines.push(figures);
            }
        }
    }
    println!("\n{}", last_line(&headlines));
    Ok(())
}

/// Figures of each way. They take turns, so that whatever else the machine does meanwhile concerns them all.
fn ways(subject: &Subject, film: &Film, budget: u32, runs: u64) -> Result<Vec<Figures>> {
    let mut all: Vec<Vec<Run>> = WAYS.iter().map(|_| Vec::new()).collect();
    for seed in 0..runs {
        for (way, runs) in WAYS.iter().zip(&mut all) {
            let played = Play {
                model: subject.model(),
                properties: way.properties(subject, budget),
                links: way.links(),
                seed,
            };
            let run = play(film, &played);
            runs.push(run.with_context(|| format!("{}, {}", subject.name, way.name))?);
        }
    }
    let figures = |runs: &Vec<Run>| Figures::new(runs, film, f64::from(budget));
    Ok(all.iter().map(figures).collect())
}

fn head() {
    println!(
        "| model, cut, bits | kB/frame | budget ms | way | p50 ms | p99 ms | p99 over no loss | by server: whole % | in part % | of its bytes % | here % | late % | no result % | dropped % | accuracy | points lost |"
    );
    println!("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
}

fn print(subject: &Subject, budget: u32, way: &Way, figures: &Figures, base: &Figures) {
    let Subject {
        name, cut, bits, ..
    } = subject;
    let percent = |count| format!("{:.1}", figures.percent(count));
    let cells = [
        format!("{name}, {cut}, {bits}"),
        format!("{:.1}", figures.bytes_a_frame as f64 / 1e3),
        budget.to_string(),
        way.name.to_owned(),
        format!("{:.1}", figures.p50),
        format!("{:.1}", figures.p99),
        format!("{:.2}", figures.p99 / base.p99),
        percent(figures.whole),
        percent(figures.part),
        match figures.part {
            0 => String::new(),
            _ => format!("{:.0}", figures.share * 100.0),
        },
        percent(figures.here),
        percent(figures.late),
        percent(figures.none),
        format!(
            "{:.1}",
            figures.dropped as f64 / figures.shown.max(1) as f64 * 100.0
        ),
        format!("{:.3}", figures.accuracy),
        format!("{:.2}", points(figures, base)),
    ];
    println!("| {} |", cells.join(" | "));
}

/// Of accuracy that loss costs.
fn points(figures: &Figures, base: &Figures) -> f64 {
    (base.accuracy - figures.accuracy) * 100.0
}

/// Of the way that completes frames from parts and never here, which has nothing else to fall back on: the worst, where a
/// retransmission is too late.
fn last_line(all: &[Vec<Figures>]) -> serde_json::Value {
    let at = WAYS.iter().position(Way::is_headline).unwrap_or_default();
    let worst = |of: &dyn Fn(&Figures, &Figures) -> f64| {
        let values = all.iter().map(|f| of(&f[at], &f[WAYS[at].base()]));
        values.max_by(f64::total_cmp)
    };
    json!({
        "loss5_accuracy_points": worst(&points),
        "loss5_latency_ratio_p99": worst(&|f, base| f.p99 / base.p99),
    })
}
