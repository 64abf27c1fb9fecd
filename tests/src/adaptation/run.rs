// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One method on one scene: every frame's result and truth, and what it cost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use splitinfer_evaluate::truth::read_scene_frame;
use splitinfer_evaluate::{Found, Frame};
use splitinfer_meta::Object;

use super::pace::{Pace, count, stats};
use super::plan::{Case, Method, Task, Tuning};
use super::policy::Policy;
use crate::spread::mean;

/// Neither a frame nor a training takes longer.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(600);

/// A frame as it left the pipeline.
pub struct Seen {
    /// What does not count is marked.
    pub frame: Frame,
    /// Mean of the qualities that the gate gave to objects.
    pub quality: Option<f64>,
    pub version: u64,
}

/// What the gate said of an object's window.
#[derive(Clone, Copy)]
pub struct Window {
    pub last_frame: u64,
    pub bad: bool,
    pub gated: bool,
}

/// What adaptation has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Frames that the teacher saw.
    pub labelled: u64,
    pub steps: u64,
    /// Weights that were trained, or known from before.
    pub accepted: u64,
    pub recalled: u64,
}

impl Spent {
    fn so_far(pipeline: &gst::Pipeline) -> Self {
        let of = |name: &str| pipeline.by_name(name).map(|e| stats(&e));
        let (teacher, finetune) = (of("teacher"), of("finetune"));
        let labelled = teacher.map_or(0, |s| count(&s, "labelled-frames"));
        let count = |field| finetune.as_ref().map_or(0, |s| count(s, field));
        Self {
            labelled,
            steps: count("steps"),
            accepted: count("accepted"),
            recalled: count("recalled"),
        }
    }
}

/// What one run showed.
#[derive(Default)]
pub struct Run {
    pub seen: Vec<Seen>,
    /// All that had been spent when each of these frames came out.
    pub spent: Vec<Spent>,
    pub windows: Vec<Window>,
    /// Frames that the teacher saw.
    pub labelled: u64,
    /// A frame's.
    pub label: Duration,
    pub trainings: u64,
    pub accepted: u64,
    pub recalled: u64,
    pub rejected: u64,
    pub steps: u64,
    pub training: Duration,
    pub update_bytes: u64,
    pub rounds: u64,
    pub swaps: u64,
    pub lost: u64,
    /// Processor time of the whole process, drawing and judging included.
    pub cpu: Duration,
    /// Objects on the old domain with the last weights.
    pub back: Vec<Frame>,
}

/// Runs a method. `budget`: share of the frames that the teacher sees, for methods that have one.
///
/// # Errors
/// When a pipeline fails, hangs, or gives other frames than were asked for.
pub fn run(case: &Case, method: Method, budget: f64, tuning: &Tuning) -> Result<Run> {
    let folder = tempfile::tempdir()?;
    let begun = cpu();
    let mut run = Run::default();
    let launch = case.launch(method, folder.path(), tuning);
    let policy = method.policy(case, budget);
    play(&launch, case.task, policy, &mut run)
        .with_context(|| format!("{}: {launch}", method.name()))?;
    run.cpu = cpu().saturating_sub(begun);
    if run.seen.len() as u64 != case.frames {
        bail!(
            "{} of {} frames came through {launch}",
            run.seen.len(),
            case.frames
        );
    }
    let model = match (method, newest(folder.path(), &case.model("student"))?) {
        (Method::Teacher, _) => case.model("teacher"),
        (_, Some(model)) => model,
        (_, None) => case.model("student"),
    };
    let mut back = Run::default();
    play(&case.look_back(&model), case.task, Policy::All, &mut back).context("a look back")?;
    run.back = back.seen.into_iter().map(|s| s.frame).collect();
    Ok(run)
}

/// The last weights that were accepted, with a sidecar; `None` if there were none.
fn newest(folder: &Path, student: &Path) -> Result<Option<PathBuf>> {
    let files = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut models = files.iter().map(std::fs::DirEntry::path);
    let Some(model) = models.find(|f| f.extension().is_some_and(|e| e == "onnx")) else {
        return Ok(None);
    };
    let sidecar = |model: &Path| {
        let mut name = model.as_os_str().to_owned();
        name.push(".modelinfo");
        PathBuf::from(name)
    };
    std::fs::copy(sidecar(student), sidecar(&model)).context("the student's sidecar")?;
    Ok(Some(model))
}

/// Stops the pipeline however its use ends; the source is released before.
pub(super) struct Playing {
    pub(super) pipeline: gst::Pipeline,
    pace: Option<Pace>,
}

impl Playing {
    /// In NULL, its source held.
    /// `admits`: whether the branch gets a frame.
    pub(super) fn new(
        launch: &str,
        admits: impl FnMut(&gst::BufferRef) -> bool + Send + 'static,
    ) -> Result<Self> {
        let pipeline = gst::parse::launch(launch)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| anyhow::anyhow!("not a pipeline"))?;
        let pace = Some(Pace::hold(&pipeline, admits));
        Ok(Self { pipeline, pace })
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.pace = None;
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Plays a pipeline to its end, and notes what came out of it.
///
/// # Errors
/// When it fails, hangs, or warns.
pub(super) fn play(launch: &str, task: Task, mut policy: Policy, run: &mut Run) -> Result<()> {
    // What cannot be read here fails at the sink.
    let admits = move |frame: &gst::BufferRef| seen(frame, task).is_ok_and(|f| policy.admits(&f));
    let playing = Playing::new(launch, admits)?;
    let sink = playing
        .pipeline
        .by_name("out")
        .and_downcast::<gst_app::AppSink>()
        .context("no appsink")?;
    let bus = playing.pipeline.bus().context("no bus")?;
    playing.pipeline.set_state(gst::State::Playing)?;
    let mut last = std::time::Instant::now();
    loop {
        messages(&bus, run)?;
        match sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
            Some(sample) => {
                let frame = sample.buffer().context("no picture")?;
                run.seen.push(seen(frame, task)?);
                run.spent.push(Spent::so_far(&playing.pipeline));
                last = std::time::Instant::now();
            }
            None if sink.is_eos() => break,
            None if last.elapsed() > Duration::from(PATIENCE) => bail!("it hangs"),
            None => {}
        }
    }
    let settled = playing.pace.as_ref().is_some_and(Pace::settle);
    messages(&bus, run)?;
    if !settled {
        bail!("a training hangs");
    }
    costs(&playing.pipeline, run);
    Ok(())
}

/// Windows; warnings and errors end the run, as nothing here is to go wrong.
fn messages(bus: &gst::Bus, run: &mut Run) -> Result<()> {
    while let Some(message) = bus.pop() {
        match message.view() {
            gst::MessageView::Error(e) => bail!("{} {:?}", e.error(), e.debug()),
            gst::MessageView::Warning(e) => bail!("{} {:?}", e.error(), e.debug()),
            gst::MessageView::Element(m) => {
                let Some(s) = m.structure() else { continue };
                if s.name() == "svdgate" {
                    run.windows.push(window(s)?);
                }
                // What became of each training, for whoever looks into a cell.
                let told = matches!(s.name().as_str(), "finetune" | "svdgate-drift");
                if told && std::env::var_os("ADAPTATION_LOG").is_some() {
                    eprintln!("frame {}: {s}", run.seen.len());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn window(s: &gst::StructureRef) -> Result<Window> {
    Ok(Window {
        last_frame: s.get("last-frame")?,
        bad: s.get("bad")?,
        gated: s.get("gated")?,
    })
}

fn seen(buffer: &gst::BufferRef, task: Task) -> Result<Seen> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferTruth")
        .context("a frame without its truth")?;
    let json: &str = meta.structure().get("json").context("the scene's truth")?;
    let (number, _, actual) = read_scene_frame(json)?;
    let result = splitinfer_meta::read(buffer).context("a frame without a result")?;
    let qualities = result.objects.iter().filter_map(|o| o.quality);
    let qualities: Vec<f64> = qualities.map(f64::from).collect();
    let mut frame = Frame {
        number,
        found: result.objects.iter().map(found).collect(),
        actual,
    };
    task.rules().1.apply(&mut frame);
    Ok(Seen {
        quality: mean(&qualities),
        version: result.model_version,
        frame,
    })
}

fn found(object: &Object) -> Found {
    Found {
        label: object.label.clone(),
        score: f64::from(object.score),
        bbox: object.box_.map(f64::from),
        keypoints: object.keypoints.iter().map(|k| k.map(f64::from)).collect(),
        ..Found::default()
    }
}

/// What the elements counted.
fn costs(pipeline: &gst::Pipeline, run: &mut Run) {
    let of = |name: &str| pipeline.by_name(name).map(|e| stats(&e));
    if let Some(edge) = of("edge") {
        run.swaps = count(&edge, "swaps");
        run.lost = count(&edge, "lost-buffers");
    }
    if let Some(gate) = of("gate") {
        run.rounds = count(&gate, "rounds");
    }
    let ms = |s: &gst::Structure, field: &str| {
        Duration::from_secs_f64(s.get::<f64>(field).unwrap_or(0.0).max(0.0) / 1e3)
    };
    if let Some(teacher) = of("teacher") {
        run.labelled = count(&teacher, "labelled-frames");
        run.label = ms(&teacher, "label-ms");
    }
    if let Some(finetune) = of("finetune") {
        run.trainings = count(&finetune, "trainings");
        run.accepted = count(&finetune, "accepted");
        run.recalled = count(&finetune, "recalled");
        run.rejected = count(&finetune, "rejected");
        run.steps = count(&finetune, "steps");
        run.update_bytes = count(&finetune, "update-bytes");
        run.training = ms(&finetune, "training-ms");
    }
}

/// Processor time of this process so far, all threads, those that ended too.
fn cpu() -> Duration {
    // SAFETY: a plain system call that fills the structure.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::new(
            u64::try_from(t.tv_sec).unwrap_or(0),
            u32::try_from(t.tv_usec).unwrap_or(0) * 1000,
        )
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}
