// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What swaps do to a stream of frames, with the real elements in two processes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_runtime::SessionOptions;
use splitinfer_weights::Encoding;

use crate::measure::{Subject, median};
use crate::model::LocalModel;
use crate::process::Server;
use crate::trainer::{Trainer, nudged};

const FPS: u64 = 30;

/// Of one student.
pub struct Swapped {
    pub lost: u64,
    pub total_ms: f64,
}

/// A stream's latencies, and the messages of its swaps.
struct Run {
    latencies: Vec<f64>,
    swaps: Vec<gst::Structure>,
    by_server: usize,
    lost: u64,
}

/// Prints a row for each student.
///
/// # Errors
/// When the pipeline does not run.
pub fn table(students: &[&Subject], quick: bool) -> Result<Vec<Swapped>> {
    let seconds = if quick { 4 } else { 20 };
    println!(
        "## Swaps\n\nA live scene of {FPS} frames a second, cut in the middle, edge and server on this machine, for {seconds} s \
         without new weights and for {seconds} s with an update (change 2 %) as soon as the one before is in use and a second \
         has passed. Times of a swap are medians: *decode*, *build* on the edge, then the wait for the *server*. Latency is that \
         of frames, from arrival to result.\n"
    );
    println!(
        "| model | `update-bitrate` | swaps | decode ms | build ms | server ms | total ms | lost buffers | by server % | latency p50 / p99 idle | while swapping |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut rows = Vec::new();
    for subject in students {
        let idle = run(subject, seconds, None)?;
        for bitrate in [300, 0] {
            let busy = run(subject, seconds, Some(bitrate))?;
            rows.push(row(subject, bitrate, &idle, &busy));
        }
    }
    Ok(rows)
}

fn row(subject: &Subject, bitrate: u32, idle: &Run, busy: &Run) -> Swapped {
    let of = |field: &str| {
        let values = busy.swaps.iter().filter_map(|s| s.get::<f64>(field).ok());
        median(&values.collect::<Vec<_>>())
    };
    let total_ms = of("total-ms");
    println!(
        "| {} | {bitrate} | {} | {:.1} | {:.1} | {:.1} | {total_ms:.1} | {} | {:.1} | {:.1} / {:.1} | {:.1} / {:.1} |",
        subject.name,
        busy.swaps.len(),
        of("decode-ms"),
        of("build-ms"),
        of("server-ms"),
        busy.lost,
        100.0 * busy.by_server as f64 / busy.latencies.len() as f64,
        quantile(&idle.latencies, 0.5),
        quantile(&idle.latencies, 0.99),
        quantile(&busy.latencies, 0.5),
        quantile(&busy.latencies, 0.99),
    );
    Swapped {
        lost: busy.lost + idle.lost,
        total_ms,
    }
}

/// `bitrate`: of updates; `None`: there are none.
fn run(subject: &Subject, seconds: u64, bitrate: Option<u32>) -> Result<Run> {
    let server = Server::start(&[&format!("model={}", subject.model.display())]);
    let local = LocalModel::load(&subject.model, &SessionOptions::default())?;
    let cuts = local.split.candidates();
    let split = cuts
        .get(cuts.len() / 2)
        .context("the student can be cut")?
        .name
        .clone();
    let scene = subject
        .source
        .replacen("scenesrc", "scenesrc is-live=true", 1);
    let text = format!(
        "{scene},framerate={FPS}/1 ! splitinfer-edge name=edge model={} server={} split={split} update-bitrate={} ! appsink name=sink sync=false",
        subject.model.display(),
        server.address(),
        bitrate.unwrap_or_default()
    );
    let pipeline = gst::parse::launch(&text)?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("not a pipeline"))?;
    let edge = pipeline.by_name("edge").context("no edge")?;
    let sink = pipeline
        .by_name("sink")
        .and_downcast::<gst_app::AppSink>()
        .context("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let base = Model::load(&subject.model)?;
    let mut trainer = Trainer::new(base.clone());
    let begun = Instant::now();
    let mut next = Duration::from_millis(1500);
    let mut run = Run {
        latencies: Vec::new(),
        swaps: Vec::new(),
        by_server: 0,
        lost: 0,
    };
    while begun.elapsed() < Duration::from_secs(seconds + 1) {
        let sample = sink.pull_sample()?;
        let result = sample
            .buffer()
            .and_then(splitinfer_meta::read)
            .context("a frame without result")?;
        if begun.elapsed() > Duration::from_secs(1) {
            run.latencies.push(result.latency.useconds() as f64 / 1e3);
            run.by_server += usize::from(result.completed == splitinfer_meta::Completed::Server);
        }
        let newest = trainer.versions.newest().0;
        if bitrate.is_some() && begun.elapsed() > next && result.model_version == newest {
            let event = trainer.publish(&nudged(&base, 0.02, newest + 1), &Encoding::default());
            anyhow::ensure!(
                sink.send_event(event),
                "the element does not take an update"
            );
            next = begun.elapsed() + Duration::from_secs(1);
        }
    }
    let stats: gst::Structure = edge.property("stats");
    run.lost = stats.get("lost-buffers")?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Element]) {
        let structure = message.structure().map(gst::StructureRef::to_owned);
        run.swaps
            .extend(structure.filter(|s| s.name() == "splitinfer-model"));
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(run)
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
