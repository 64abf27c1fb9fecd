// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the measurements share: models and frames to measure with, medians, progress, and the closing line of JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use gst::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};

/// A model with frames that suit it.
pub struct Subject {
    pub name: String,
    pub model: PathBuf,
    /// The beginning of a pipeline that gives video frames.
    pub source: String,
}

/// The shipped students on their scenes, and real models on real videos where those are at hand.
pub fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for scene in ["walker", "traffic"] {
        let model = crate::repository().join(format!("models/{scene}-student.onnx"));
        if model.exists() {
            subjects.push(Subject {
                name: format!("{scene}-student"),
                model,
                source: format!("scenesrc scene={scene} ! video/x-raw,width=640,height=360"),
            });
        }
    }
    for (model, video) in [
        ("yolox_nano_416", "car-detection.mp4"),
        ("FastestDet", "car-detection.mp4"),
        (
            "movenet_lightning_f32_192",
            "one-by-one-person-detection.mp4",
        ),
    ] {
        let found = crate::data::find(&format!("models/{model}.onnx"))
            .zip(crate::data::find(&format!("videos/{video}")));
        if let Some((model_file, video)) = found {
            subjects.push(Subject {
                name: model.to_owned(),
                model: model_file,
                source: format!("filesrc location={} ! decodebin", video.display()),
            });
        }
    }
    subjects
}

/// The first frames of a source, as I420.
///
/// # Errors
/// When the pipeline does not run.
pub fn frames(source: &str, count: usize) -> Result<(gst::Caps, Vec<gst::Buffer>)> {
    let source = format!("{source} ! videoconvert ! video/x-raw,format=I420");
    frames_as_they_are(&source, count)
}

/// The first frames of a source, in the format that it gives.
///
/// # Errors
/// When the pipeline does not run.
pub fn frames_as_they_are(source: &str, count: usize) -> Result<(gst::Caps, Vec<gst::Buffer>)> {
    let text = format!("{source} ! appsink name=sink sync=false max-buffers=4");
    let pipeline = gst::parse::launch(&text)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("not a pipeline"))?;
    let sink = pipeline
        .by_name("sink")
        .and_downcast::<gst_app::AppSink>()
        .context("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut caps = None;
    let mut buffers = Vec::new();
    while buffers.len() < count {
        let Ok(sample) = sink.pull_sample() else {
            break;
        };
        caps = sample.caps_owned().or(caps);
        buffers.extend(sample.buffer_owned());
    }
    pipeline.set_state(gst::State::Null)?;
    let caps = caps.with_context(|| format!("`{source}` gives no frame"))?;
    Ok((caps, buffers))
}

/// A split's name as it fits into a table.
pub fn short(name: &str) -> String {
    let count = name.split('+').count();
    let first: String = name
        .split('+')
        .next()
        .unwrap_or_default()
        .chars()
        .rev()
        .take(24)
        .collect();
    let first: String = first.chars().rev().collect();
    match (name.len() <= 32, count) {
        (true, _) => name.to_owned(),
        (false, 1) => format!("…{first}"),
        (false, n) => format!("…{first} and {} more", n - 1),
    }
}

/// The middle one; the mean of the two middle ones.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Nearest rank.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// The processor's time of this thread.
pub fn processor_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The processor's time of all threads of this program.
pub fn processor_time_of_all() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Since some moment that is the same for all programs of this machine.
pub fn monotonic() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is there to be written to.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A bar on the terminal; silent where there is none.
pub fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// The processor and the versions that the figures belong to.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split(':').nth(1))
        .map_or("unknown processor", str::trim);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let runtime = splitinfer_runtime::load_library(Some(Path::new(&crate::build_folder())))
        .map_or_else(|e| e.to_string(), |l| l.version);
    format!(
        "{model}, {cores} cores; ONNX Runtime {runtime}; {}",
        gst::version_string()
    )
}
