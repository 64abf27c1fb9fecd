// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edges that send as fast as a server answers, to one that computes their frames together and to one that does not.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gst::prelude::*;
use splitinfer_meta::Completed;

use crate::measure::quantile;
use crate::pipeline::Numbered;
use crate::process::Server;

/// What all edges together saw.
#[derive(Default)]
pub struct Seen {
    pub frames_a_second: f64,
    pub mean_ms: f64,
    pub p99_ms: f64,
    /// Processor time of the server for one frame.
    pub server_cpu_ms: f64,
    /// The edge that got least, over the one that got most.
    pub fairness: f64,
    /// Of all frames.
    pub by_server: f64,
}

/// `edges` pipelines, each with two frames under way, for so long; `most` frames are computed together.
///
/// # Errors
/// When the server ends early.
pub fn run(model: &Path, edges: usize, most: u32, time: Duration) -> Result<Seen> {
    let most = format!("max-batch={most}");
    let server = Server::start(&[&most, "threads=1", "accept-models=true"]);
    let mut pipelines: Vec<_> = (0..edges)
        .map(|_| {
            Numbered::start(false, |edge| {
                edge.set_property("model", model.to_str());
                edge.set_property("server", server.address());
                edge.set_property("split", "0");
                edge.set_property("threads", 1u32);
                edge.set_property("max-in-flight", 2u32);
                edge.set_property_from_str("on-deadline", "skip");
                edge.set_property("latency-budget", 20_000u32);
            })
        })
        .collect();
    pipelines.iter().for_each(Numbered::wait_until_connected);
    // Time for the server to find out what pays.
    stream(&mut pipelines, Duration::from_secs(3));
    let before = processor_time(server.id())?;
    let begun = Instant::now();
    let frames = stream(&mut pipelines, time);
    let (elapsed, after) = (begun.elapsed(), processor_time(server.id())?);
    let all: Vec<&(bool, f64)> = frames.iter().flatten().collect();
    let latencies: Vec<f64> = all.iter().filter(|f| f.0).map(|f| f.1).collect();
    let count = latencies.len().max(1) as f64;
    let of_each = frames.iter().map(Vec::len);
    Ok(Seen {
        frames_a_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        mean_ms: latencies.iter().sum::<f64>() / count,
        p99_ms: quantile(&latencies, 0.99),
        server_cpu_ms: (after - before).as_secs_f64() * 1e3 / count,
        fairness: of_each.clone().min().unwrap_or(0) as f64
            / of_each.max().unwrap_or(1).max(1) as f64,
        by_server: latencies.len() as f64 / all.len().max(1) as f64,
    })
}

/// Of each pipeline its frames: whether the server completed it, and its latency in ms.
fn stream(pipelines: &mut [Numbered], time: Duration) -> Vec<Vec<(bool, f64)>> {
    std::thread::scope(|scope| {
        let edges: Vec<_> = pipelines
            .iter_mut()
            .map(|pipeline| scope.spawn(move || one(pipeline, time)))
            .collect();
        let joined = edges.into_iter().map(|edge| edge.join());
        joined
            .map(|frames| frames.expect("an edge streams"))
            .collect()
    })
}

fn one(pipeline: &mut Numbered, time: Duration) -> Vec<(bool, f64)> {
    let begun = Instant::now();
    let mut pushed = 0;
    while begun.elapsed() < time {
        pipeline.push(pushed);
        pushed += 1;
    }
    let results = (0..pushed).filter_map(|_| pipeline.next().result);
    let seen = results.map(|result| {
        let there = result.completed == Completed::Server;
        (there, result.latency.nseconds() as f64 / 1e6)
    });
    seen.collect()
}

fn processor_time(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).context(path)?;
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<u64>().ok();
    let (user, system) = ticks(11).zip(ticks(12)).context("no times in stat")?;
    // SAFETY: it reads a constant of the system.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok(Duration::from_secs_f64(
        (user + system) as f64 / a_second.max(1) as f64,
    ))
}
