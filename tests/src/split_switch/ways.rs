// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables of the ways to hold a model, without GStreamer.

use std::path::Path;

use anyhow::Result;
use splitinfer_runtime::load_library;

use super::child::{self, Holding, Job, Task, Way};
use super::files::Files;
use super::options;
use super::turns::Times;
use crate::measure::{self, Subject, median, quantile};
use crate::model::SizedModel;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Processes of each way.
    pub processes: usize,
    /// Rounds through all candidates, of each process.
    pub switches: usize,
    /// Rounds through all candidates, timed in turns.
    pub turns: usize,
}

/// All about one model.
struct Study {
    name: String,
    candidates: Vec<String>,
    held: Vec<(Way, Vec<Holding>)>,
    /// Whole, chain, pairs.
    turns: Vec<Times>,
    /// Whole, pairs; with and without optimised layout.
    shared: [Vec<Times>; 2],
}

/// Prints them.
///
/// # Errors
/// When a process fails.
pub fn tables(subjects: &[Subject], effort: Effort) -> Result<()> {
    let library = load_library(Some(&crate::build_folder()))?.path;
    let bar = measure::progress(subjects.len() * (Way::ALL.len() * effort.processes + 3));
    let mut studies = Vec::new();
    for subject in subjects {
        bar.set_message(subject.name.clone());
        studies.push(study(subject, effort, &library, &bar)?);
    }
    bar.finish_and_clear();
    held(&studies, effort);
    times(&studies, effort);
    switches(&studies, effort);
    Ok(())
}

fn study(
    subject: &Subject,
    effort: Effort,
    library: &Path,
    bar: &indicatif::ProgressBar,
) -> Result<Study> {
    let folder = tempfile::tempdir()?;
    let files = Files::write(
        &SizedModel::load(&subject.model, &options())?,
        folder.path(),
    )?;
    let job = |task| Job::new(task, &subject.model, &files, library);
    let mut held: Vec<(Way, Vec<Holding>)> = Way::ALL.map(|way| (way, Vec::new())).into();
    for _ in 0..effort.processes {
        for (way, holdings) in &mut held {
            let task = Task::Hold {
                way: *way,
                rounds: effort.switches,
            };
            holdings.push(child::ask(&job(task))?);
            bar.inc(1);
        }
    }
    let time = |shared| {
        let rounds = effort.turns;
        let times = child::ask::<Vec<Times>>(&job(Task::Time { shared, rounds }))?;
        bar.inc(1);
        anyhow::Ok(times)
    };
    Ok(Study {
        name: subject.name.clone(),
        turns: time(None)?,
        shared: [time(Some(true))?, time(Some(false))?],
        candidates: files.names,
        held,
    })
}

fn held(studies: &[Study], effort: Effort) {
    println!(
        "## Ways to hold a model\n\nEach way in a process of its own without GStreamer, that uses each split {} times; medians of \
         {} processes. *made*: memory of the sessions made in advance (the chain alone has run \
         once by then), *used*: after all splits were used, both of pages that \
         only this process has written to, given back what can be; *of whole*: of what the whole model alone takes, used; \
         *peak*: what more lay in memory at most than before the sessions were made.\n",
        effort.switches * child::FRAMES,
        effort.processes
    );
    println!("| model | way | make ms | made MB | used MB | of whole | peak MB |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    for study in studies {
        let whole = used(&study.held[0].1);
        for (way, holdings) in &study.held {
            let of = |value: &dyn Fn(&Holding) -> f64| {
                median(&holdings.iter().map(value).collect::<Vec<_>>())
            };
            println!(
                "| {} | {} | {:.0} | {:.1} | {:.1} | {:.2} | {:.1} |",
                study.name,
                way.name(),
                of(&|h| h.make_ms),
                of(&|h| h.made.private - h.before.private),
                used(holdings),
                used(holdings) / whole,
                of(&|h| h.peak),
            );
        }
    }
}

fn used(holdings: &[Holding]) -> f64 {
    let used = holdings.iter().map(|h| h.used.private - h.before.private);
    median(&used.collect::<Vec<_>>())
}

fn times(studies: &[Study], effort: Effort) {
    println!(
        "\n## Head and tail against the whole model\n\nThe processor's time of one thread, {} rounds in turns within one process; \
         frames at a split but the first. Ratios are taken round by round; medians. Pairs with shared weights are in a process of \
         their own, beside their own whole model.\n",
        effort.turns
    );
    println!(
        "| model | split | whole ms | chain % | pair % | shared weights % | shared, no layout % |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for study in studies {
        for (i, name) in study.candidates.iter().enumerate() {
            let over = |times: &[Times], way: usize| {
                let rounds = times[way].frames[i].iter().zip(&times[0].frames[i]);
                let ratios = rounds.map(|([_, way], [_, whole])| 100.0 * (way / whole - 1.0));
                median(&ratios.collect::<Vec<_>>())
            };
            let whole: Vec<f64> = study.turns[0].frames[i].iter().map(|f| f[1]).collect();
            println!(
                "| {} | `{}` | {:.2} | {:+.1} | {:+.1} | {:+.1} | {:+.1} |",
                study.name,
                measure::short(name),
                median(&whole),
                over(&study.turns, 1),
                over(&study.turns, 2),
                over(&study.shared[0], 1),
                over(&study.shared[1], 1),
            );
        }
    }
    let all = studies.iter().flat_map(|s| {
        let shared = s.shared.iter().flatten();
        s.turns.iter().chain(shared).map(|t| t.difference)
    });
    println!(
        "\nLargest difference from an output of the whole model, relative to the largest output: {:.1e}.",
        all.fold(0.0, f32::max)
    );
}

fn switches(studies: &[Study], effort: Effort) {
    println!(
        "\n## A switch, without GStreamer\n\nWhat the first frame after a switch takes more than the median of the next four, p50 / \
         p99 in microseconds of the processor; the whole model's frames are counted as if it switched, too. *on demand*: from \
         the wish for another pair to its first result, p50 / p99 in milliseconds of the clock, {} switches.\n",
        effort.processes * effort.switches * studies.first().map_or(0, |s| s.candidates.len())
    );
    println!("| model | whole µs | chain µs | pairs µs | on demand ms |");
    println!("|---|---:|---:|---:|---:|");
    for study in studies {
        let added = |times: &Times| {
            let frames = times.frames.iter().flatten();
            both(
                &frames
                    .map(|[first, later]| 1e3 * (first - later))
                    .collect::<Vec<_>>(),
                0,
            )
        };
        let demand = study.held.iter().find(|(way, _)| *way == Way::OnePair);
        let demand = demand.map(|(_, holdings)| {
            let switches = holdings.iter().flat_map(|h| &h.switches);
            switches.map(|[first, _]| *first).collect::<Vec<_>>()
        });
        println!(
            "| {} | {} | {} | {} | {} |",
            study.name,
            added(&study.turns[0]),
            added(&study.turns[1]),
            added(&study.turns[2]),
            both(&demand.unwrap_or_default(), 1),
        );
    }
}

/// Median and 99th percentile.
pub fn both(values: &[f64], digits: usize) -> String {
    let (p50, p99) = (median(values), quantile(values, 0.99));
    format!("{p50:.digits$} / {p99:.digits$}")
}
