// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables of the elements, live.

use anyhow::{Context, Result};
use splitinfer_runtime::load_library;

use super::child::{self, Job, Task};
use super::edge_memory::{self, Taken};
use super::files::Files;
use super::frames;
use super::stages::NAMES;
use super::stream::{self, Excess, Kind, Stream};
use super::ways::both;
use super::{THREADS, edge, options};
use crate::measure::{Subject, median, quantile};
use crate::model::SizedModel;
use crate::process::Server;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds through all splits.
    pub rounds: usize,
    /// Frames that carry their number.
    pub numbered: u64,
    /// Processes of each kind of edge.
    pub processes: usize,
}

/// The worst of all models.
pub struct Figures {
    pub lost: u64,
    pub added_ms_p99: f64,
    pub memory_ratio: f64,
}

/// The settings of `tensor-bits` that are compared: the code that predicts, and one in which each frame stands alone.
const CODES: [(u32, &str); 2] = [(0, "predicted"), (16, "16 bits")];

/// Prints them.
///
/// # Errors
/// When a pipeline does not run.
pub fn tables(subjects: &[Subject], effort: Effort) -> Result<Figures> {
    let fate = frames::run(effort.numbered)?;
    println!(
        "\n## Frames\n\nA model that reads each frame's number off it, switches after every third frame, as fast as frames go, four \
         in flight: {} frames, {} switches, {} frames completed by the server, **{} lost** or with another's result.",
        fate.frames, fate.switches, fate.by_server, fate.lost
    );
    let mut streams = Vec::new();
    for subject in subjects {
        for (bits, code) in CODES {
            let stream = stream::run(subject, bits, effort.rounds)?;
            streams.push((subject.name.as_str(), code, stream));
        }
    }
    latencies(&streams);
    parts(&streams);
    let ratio = memory(subjects, effort)?;
    let live: u64 = streams.iter().map(|(_, _, stream)| stream.lost).sum();
    let added = streams
        .iter()
        .filter(|(_, code, _)| *code == CODES[0].1)
        .map(|(_, _, stream)| quantile(&excesses(stream, true, None), 0.99));
    Ok(Figures {
        lost: fate.lost + live,
        added_ms_p99: added.fold(f64::NEG_INFINITY, f64::max),
        memory_ratio: ratio,
    })
}

fn excesses(stream: &Stream, first: bool, kind: Option<Kind>) -> Vec<f64> {
    stream.excess(first, kind).iter().map(|e| e.ms).collect()
}

fn latencies(streams: &[(&str, &str, Stream)]) {
    println!(
        "\n## The first frame after a switch\n\nA camera of {} frames a second, edge and server on this machine, the split changes \
         every five frames through all candidates, `server` and `edge`. What a frame takes more than the median of later frames \
         (third to fifth) at its split, p50 / p99 in milliseconds: first frames, at all splits and by where the split leads; and \
         later frames, for what the machine does by itself. *predicted* is the code as it comes, in which the first frame of a cut \
         stands alone and those after it do not; with *16 bits* each stands alone, so that nothing is left but the switch.\n",
        edge::FPS
    );
    println!(
        "| model | code | switches | lost | by server % | first | to `edge` | to `server` | to a cut | later frames |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (model, code, stream) in streams {
        let added = |first, kind| both(&excesses(stream, first, kind), 2);
        println!(
            "| {model} | {code} | {} | {} of {} | {:.1} | {} | {} | {} | {} | {} |",
            stream.switches,
            stream.lost,
            stream.frames,
            stream.by_server(),
            added(true, None),
            added(true, Some(Kind::Edge)),
            added(true, Some(Kind::Server)),
            added(true, Some(Kind::Cut)),
            added(false, None),
        );
    }
}

fn parts(streams: &[(&str, &str, Stream)]) {
    println!(
        "\n## Where it goes\n\nFirst frames at a cut against the median of later ones at the same cut, medians in milliseconds, and \
         the bytes that cross. *rest*: the network, and waiting for the processor.\n"
    );
    println!(
        "| model | code | bytes first / later | {} |",
        NAMES.join(" | ")
    );
    println!("|---|---|---:|{}", "---:|".repeat(NAMES.len()));
    for (model, code, stream) in streams {
        let first = stream.excess(true, Some(Kind::Cut));
        let of =
            |value: &dyn Fn(&Excess) -> f64| median(&first.iter().map(value).collect::<Vec<_>>());
        let stages = (0..NAMES.len()).map(|i| format!("{:+.2}", of(&|e| e.stages.ms[i])));
        println!(
            "| {model} | {code} | {:.0} / {:.0} | {} |",
            of(&|e| e.bytes),
            of(&|e| e.usual_bytes),
            stages.collect::<Vec<_>>().join(" | "),
        );
    }
}

/// The worst ratio of an edge that can split anywhere to one that can split at one place.
fn memory(subjects: &[Subject], effort: Effort) -> Result<f64> {
    println!(
        "\n## Memory of the edge\n\nPages that only the edge's process has written to, MB, medians of {} processes each: an element \
         without a server; one that knows one candidate (`split-candidates`), after frames at it; one that knows all, after \
         frames at one, and after frames at all of them, `server` and `edge`. *of*: all used over the other two. *peak*: in memory at \
         most, of the three.\n",
        effort.processes
    );
    println!(
        "| model | never splits | one candidate | all: one used | all: all used | of one candidate | of never | peak |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut worst = f64::NEG_INFINITY;
    for subject in subjects {
        let [never, one, all] = three(subject, effort)?;
        let of = |taken: &[Taken], value: &dyn Fn(&Taken) -> f64| {
            median(&taken.iter().map(value).collect::<Vec<_>>())
        };
        let first = |taken: &[Taken]| of(taken, &|t| t.one.private);
        let used = of(&all, &|t| t.all.private);
        worst = worst.max(used / first(&one));
        let peak = |taken: &[Taken]| of(taken, &|t| t.peak);
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {used:.1} | {:.2} | {:.2} | {:.0} / {:.0} / {:.0} |",
            subject.name,
            first(&never),
            first(&one),
            first(&all),
            used / first(&one),
            used / first(&never),
            peak(&never),
            peak(&one),
            peak(&all),
        );
    }
    Ok(worst)
}

/// Without a server, with one candidate, with all.
fn three(subject: &Subject, effort: Effort) -> Result<[Vec<Taken>; 3]> {
    let library = load_library(Some(&crate::build_folder()))?.path;
    let sized = SizedModel::load(&subject.model, &options())?;
    let names: Vec<String> = sized.candidates.iter().map(|c| c.name.clone()).collect();
    let middle = names.get(names.len() / 2).context("there is a candidate")?;
    let folder = tempfile::tempdir()?;
    let files = Files::write(&sized, folder.path())?;
    let model = format!("model={}", subject.model.display());
    let mut taken = [const { Vec::new() }; 3];
    for _ in 0..effort.processes {
        for (i, taken) in taken.iter_mut().enumerate() {
            let server = Server::start(&[&model, &format!("threads={THREADS}")]);
            let task = Task::Edge(edge_memory::Job {
                source: subject.source.clone(),
                server: (i > 0).then(|| server.address()),
                only: (i == 1).then(|| middle.clone()),
            });
            taken.push(child::ask(&Job::new(
                task,
                &subject.model,
                &files,
                &library,
            ))?);
        }
    }
    Ok(taken)
}
