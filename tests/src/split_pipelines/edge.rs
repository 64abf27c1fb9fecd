// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The process of an edge: camera, `splitinfer-edge`, and a note of when each frame came out. It tells by lines of JSON on
//! its standard output, and begins when it is sent a line.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::camera::Camera;
use super::control::{self, Known, Left};

/// How long the connection may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an edge is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub film: PathBuf,
    pub rate: u32,
    /// Properties of `splitinfer-edge`.
    pub properties: Vec<(String, String)>,
    /// Who sets the split, where it is not the element or fixed.
    pub control: Option<Known>,
    /// Where to write one's own number so as to get only a part of a processor.
    pub quota: Option<PathBuf>,
}

/// What an edge says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The pipeline plays, and the server is there if one is named.
    Ready,
    Frame(Frame),
    Done(Done),
}

/// A frame as it came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub number: u64,
    /// From its capture until it came out, ms.
    pub latency: f64,
    pub split: String,
    /// `edge`, `server`, or `none`.
    pub completed: String,
}

/// Of all frames.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    pub sent_bytes: u64,
    pub monitor_bytes: u64,
    pub switches: u64,
    /// Why the split changed: seconds since the camera began, and the reason.
    pub reasons: Vec<(f64, String)>,
    /// All of `stats`, to read.
    pub stats: String,
}

/// Runs the job.
///
/// # Errors
/// When the pipeline does not run or the server is not there in time.
pub fn work(job: &Job) -> Result<()> {
    let camera = Camera::open(&job.film, job.rate)?;
    if let Some(members) = &job.quota {
        std::fs::write(members, std::process::id().to_string())
            .with_context(|| members.display().to_string())?;
    }
    crate::init();
    let pipeline = Pipeline::start(job, &camera)?;
    pipeline.wait_for_server()?;
    say(&Line::Ready)?;
    std::io::stdin().read_line(&mut String::new())?;
    let start = Instant::now();
    let _ = pipeline.start.set(start);
    camera.run(start, &pipeline.source)?;
    pipeline.wait_for_end()?;
    for frame in pipeline.frames.lock().unwrap().drain(..) {
        say(&Line::Frame(frame))?;
    }
    say(&Line::Done(pipeline.done()))
}

fn say(line: &Line) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(line)?)?;
    out.flush()?;
    Ok(())
}

struct Pipeline {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    edge: gst::Element,
    start: Arc<OnceLock<Instant>>,
    frames: Arc<Mutex<Vec<Frame>>>,
    reasons: Arc<Mutex<Vec<(f64, String)>>>,
}

impl Pipeline {
    fn start(job: &Job, camera: &Camera) -> Result<Self> {
        // As a camera: while the element is busy only the newest picture is kept.
        let text = "appsrc name=camera is-live=true format=time max-buffers=0 max-bytes=0 \
             ! queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 \
             ! splitinfer-edge name=edge ! appsink name=out sync=false qos=false";
        let pipeline = gst::parse::launch(text)?
            .downcast::<gst::Pipeline>()
            .ok()
            .context("not a pipeline")?;
        let named = |name| pipeline.by_name(name).context("no such element");
        let edge = named("edge")?;
        for (name, value) in &job.properties {
            edge.set_property_from_str(name, value);
        }
        let source = named("camera")?.downcast::<gst_app::AppSrc>();
        let source = source.ok().context("no appsrc")?;
        source.set_caps(Some(&camera.caps()));
        let out = named("out")?.downcast::<gst_app::AppSink>();
        let start = Arc::<OnceLock<Instant>>::default();
        let frames = Arc::<Mutex<Vec<Frame>>>::default();
        let note = (start.clone(), frames.clone(), camera.interval);
        let controller = job.control.as_ref().map(|c| control::start(&edge, c));
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let (start, frames, interval) = &note;
            let frame = sample
                .buffer()
                .zip(start.get())
                .and_then(|(buffer, start)| Frame::new(buffer, start.elapsed(), *interval));
            if let Some((controller, (frame, inside))) = controller.as_ref().zip(frame.as_ref()) {
                // It is there as long as this is.
                let _ = controller.send(frame.left(*inside));
            }
            frames.lock().unwrap().extend(frame.map(|f| f.0));
            Ok(gst::FlowSuccess::Ok)
        });
        out.ok()
            .context("no appsink")?
            .set_callbacks(callbacks.build());
        let reasons = Arc::<Mutex<Vec<(f64, String)>>>::default();
        let note = (start.clone(), reasons.clone());
        let bus = pipeline.bus().context("no bus")?;
        bus.set_sync_handler(move |_, message| {
            let since = note.0.get().map_or(0.0, |s| s.elapsed().as_secs_f64());
            note.1
                .lock()
                .unwrap()
                .extend(reason(message).map(|r| (since, r)));
            gst::BusSyncReply::Pass
        });
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            pipeline,
            source,
            edge,
            start,
            frames,
            reasons,
        })
    }

    fn stats(&self) -> gst::Structure {
        self.edge.property("stats")
    }

    fn wait_for_server(&self) -> Result<()> {
        let begun = Instant::now();
        while self.edge.property::<Option<String>>("server").is_some() {
            let stats = self.stats();
            if stats.get("connected") == Ok(true) {
                break;
            }
            self.check()?;
            if begun.elapsed() > PATIENCE {
                bail!("the server is not there: {stats}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn wait_for_end(&self) -> Result<()> {
        let bus = self.pipeline.bus().context("no bus")?;
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        match bus.timed_pop_filtered(patience, &kinds) {
            Some(m) if m.type_() == gst::MessageType::Eos => Ok(()),
            Some(m) => bail!("{m:?}"),
            None => bail!("the stream does not end"),
        }
    }

    /// # Errors
    /// That of the pipeline.
    fn check(&self) -> Result<()> {
        let bus = self.pipeline.bus().context("no bus")?;
        match bus.pop_filtered(&[gst::MessageType::Error]) {
            Some(m) => bail!("{m:?}"),
            None => Ok(()),
        }
    }

    fn done(&self) -> Done {
        let stats = self.stats();
        let number = |name| stats.get::<u64>(name).unwrap_or_default();
        Done {
            sent_bytes: number("sent-bytes"),
            monitor_bytes: number("monitor-sent-bytes"),
            switches: number("switches"),
            reasons: std::mem::take(&mut self.reasons.lock().unwrap()),
            stats: stats.to_string(),
        }
    }
}

/// Of a message that tells of a change of the split.
fn reason(message: &gst::MessageRef) -> Option<String> {
    let plan = message
        .structure()
        .filter(|s| s.has_name("splitinfer-plan"))?;
    let reason: String = plan.get("reason").ok()?;
    let measured: f64 = plan.get("measured-ms").ok()?;
    Some(format!("{reason}; {measured:.1} ms before"))
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Frame {
    /// And how long it was in the element. `now`: since the camera began.
    fn new(buffer: &gst::BufferRef, now: Duration, interval: Duration) -> Option<(Self, Duration)> {
        let number = buffer.offset();
        let captured = interval * u32::try_from(number).ok()?;
        let result = splitinfer_meta::read(buffer)?;
        let frame = Self {
            number,
            latency: crate::measure::ms(now.saturating_sub(captured)),
            split: result.split,
            completed: result.completed.as_str().to_owned(),
        };
        Some((frame, result.latency.into()))
    }

    fn left(&self, inside: Duration) -> Left {
        Left {
            split: self.split.clone(),
            by_server: self.completed == "server",
            latency: Duration::from_secs_f64(self.latency / 1e3),
            inside,
        }
    }
}
