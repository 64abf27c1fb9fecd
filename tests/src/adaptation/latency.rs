// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a training costs the frames that pass meanwhile: a camera's pace, all properties at their defaults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::pace::{count, stats};
use super::plan::{Case, Task};

/// Frames a second of the camera.
pub const RATE: u32 = 30;
/// Frames while nothing is trained that count, after some to warm up.
const WARM: u64 = 60;
const IDLE: u64 = 600;
/// Frames that are labelled then; a training begins with them.
const LABELLED: u64 = 24;
/// Neither takes longer.
const PATIENCE: Duration = Duration::from_secs(240);

/// Milliseconds from a frame's entry into the edge to its result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latencies {
    pub idle: Vec<f64>,
    /// While a training was under way, and no teacher ran.
    pub training: Vec<f64>,
}

/// Runs a student at a camera's pace, without training and then with.
///
/// # Errors
/// When the pipeline fails, or no training begins or ends.
pub fn latencies(task: Task) -> Result<Latencies> {
    let case = Case {
        task,
        scenario: "repetitive",
        seed: 0,
        frames: u64::from(u32::MAX / 2),
        domains: ["night".into(), String::new()],
    };
    let pipeline = gst::parse::launch(&case.live(RATE))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("not a pipeline"))?;
    let stopped = Stopped(pipeline.clone());
    let admitted = admit(&pipeline)?;
    let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>();
    let sink = sink.context("no appsink")?;
    let of = |name: &str| pipeline.by_name(name).with_context(|| format!("no {name}"));
    let (teacher, finetune) = (of("teacher")?, of("finetune")?);
    pipeline.set_state(gst::State::Playing)?;
    let begun = Instant::now();
    let mut latencies = Latencies::default();
    for frame in 0u64.. {
        let sample = sink
            .try_pull_sample(gst::ClockTime::from_seconds(10))
            .context("no frame")?;
        let result = sample
            .buffer()
            .and_then(splitinfer_meta::read)
            .context("a frame without a result")?;
        let ms = result.latency.nseconds() as f64 / 1e6;
        let labelled = count(&stats(&teacher), "labelled-frames");
        let training = !stats(&finetune).get::<bool>("idle").unwrap_or(true);
        match frame {
            f if f < WARM => {}
            f if f < WARM + IDLE => latencies.idle.push(ms),
            f if f == WARM + IDLE => admitted.store(LABELLED, Ordering::SeqCst),
            _ if labelled == LABELLED && training => latencies.training.push(ms),
            _ if count(&stats(&finetune), "trainings") > 0 => break,
            _ => {}
        }
        if begun.elapsed() > PATIENCE {
            bail!("no training came to its end");
        }
    }
    drop(stopped);
    Ok(latencies)
}

/// Lets as many frames through to the branch as the counter says, which counts them down.
fn admit(pipeline: &gst::Pipeline) -> Result<Arc<AtomicU64>> {
    let left = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&left);
    let pad = pipeline
        .by_name("branch")
        .and_then(|e| e.static_pad("sink"));
    let pad = pad.context("no branch")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let down = |n: u64| n.checked_sub(1);
        let admitted = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down);
        if admitted.is_ok() {
            return gst::PadProbeReturn::Ok;
        }
        info.data = None;
        gst::PadProbeReturn::Handled
    });
    Ok(left)
}

/// Stops a pipeline however its use ends.
struct Stopped(gst::Pipeline);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// The least value that so many percent are not above; `None` of nothing.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Latencies {
    /// p99 while training over p99 without.
    pub fn ratio(&self) -> Option<f64> {
        Some(percentile(&self.training, 99.0)? / percentile(&self.idle, 99.0)?)
    }
}

/// Prints a row a task.
pub fn print(rows: &[(Task, Latencies)]) {
    println!("### Inference while a training is under way\n");
    println!(
        "| task | frames idle | p50 ms | p99 ms | frames while training | p50 ms | p99 ms | ratio of p99 |"
    );
    println!("|---|{}", "---:|".repeat(7));
    for (task, l) in rows {
        let of =
            |values: &[f64], p| percentile(values, p).map_or("–".into(), |v| format!("{v:.2}"));
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            task.name(),
            l.idle.len(),
            of(&l.idle, 50.0),
            of(&l.idle, 99.0),
            l.training.len(),
            of(&l.training, 50.0),
            of(&l.training, 99.0),
            l.ratio().map_or("–".into(), |r| format!("{r:.2}")),
        );
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_values_themselves() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 99.0), Some(198.0));
        assert_eq!(percentile(&values, 50.0), Some(100.0));
        assert_eq!(percentile(&values[..1], 99.0), Some(200.0));
        assert_eq!(percentile(&[], 99.0), None);
    }
}
