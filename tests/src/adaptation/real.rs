// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The loop on real videos, at their pace, with models that other people trained: does a student become more like its teacher on
//! frames that it was never trained on, and does nothing stall? There is no truth but the teacher's answers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use serde::{Deserialize, Serialize};
use splitinfer_evaluate::{Actual, Found, Frame, Rules, evaluate};
use splitinfer_meta::Object;

use super::pace::{count, stats};

/// No frame takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// The video is told in so many parts.
pub const PARTS: usize = 4;

/// A model of somebody else's, and how it is read.
#[derive(Clone, Copy, Debug)]
struct Model {
    file: &'static str,
    head: &'static str,
    labels: &'static str,
}

/// Finds people, from afar and quickly.
const PERSON: Model = Model {
    file: "light_person_detector_192.onnx",
    head: "yolox",
    labels: "person",
};
const FASTESTDET: Model = Model {
    file: "FastestDet.onnx",
    head: "fastestdet",
    labels: "coco80",
};
const YOLOX: Model = Model {
    file: "yolox_nano_416.onnx",
    head: "yolox",
    labels: "coco80",
};

/// A student, a larger teacher, and a video that neither was trained on.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    student: Model,
    teacher: Model,
    video: &'static str,
    /// What both sidecars say of the classes that count.
    student_classes: &'static str,
    teacher_classes: &'static str,
}

/// From above cars look like other things to COCO's classes; what they are called is not the question here.
pub const PAIRS: [Pair; 3] = [
    Pair {
        student: FASTESTDET,
        teacher: YOLOX,
        video: "bottle-detection.mp4",
        student_classes: "classes=39\n",
        teacher_classes: "classes=39\n",
    },
    Pair {
        student: FASTESTDET,
        teacher: YOLOX,
        video: "car-detection.mp4",
        student_classes: CARS,
        teacher_classes: CARS,
    },
    Pair {
        student: PERSON,
        teacher: YOLOX,
        video: "one-by-one-person-detection.mp4",
        student_classes: "",
        teacher_classes: "classes=0\n",
    },
];
const CARS: &str = "remap=5:2,7:2,67:2\nclasses=2\n";

impl Pair {
    pub fn name(&self) -> String {
        let stem = |file: &str| file.split('.').next().unwrap_or(file).to_owned();
        format!("{}-{}", stem(self.student.file), stem(self.video))
    }
}

/// How like the teacher a student is, on frames of one part of the video that it was not trained on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Likeness {
    pub frames: usize,
    /// Objects of the teacher's there.
    pub objects: usize,
    /// Whatever the class, of all that the student says from its threshold on.
    pub ap50: Option<f64>,
    pub box_mae: Option<f64>,
}

/// What a run of a pair showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    pub frames: u64,
    /// Frames that the teacher saw in the loop.
    pub labelled: u64,
    pub trainings: u64,
    pub accepted: u64,
    pub steps: u64,
    pub rounds: u64,
    /// How long after its time the latest frame came out of the loop, and how long it took the student alone; milliseconds.
    pub latest_ms: f64,
    pub latest_alone_ms: f64,
    /// By part of the video: the student as it came, and in the loop.
    pub parts: Vec<[Likeness; 2]>,
}

/// Plays a pair's video three times: the teacher alone, the student alone, and the loop; the last two at the video's pace. `None`
/// where a file is not at hand.
///
/// # Errors
/// When a pipeline fails, hangs or warns, or frames are missing.
pub fn run(pair: &Pair, tuning: &super::plan::Tuning) -> Result<Option<Shown>> {
    let folder = tempfile::tempdir()?;
    let files = [
        (pair.student, pair.student_classes),
        (pair.teacher, pair.teacher_classes),
    ];
    let mut models = Vec::new();
    for (model, classes) in files {
        let Some(path) = provide(&model, classes, folder.path())? else {
            return Ok(None);
        };
        models.push(path);
    }
    let Some(video) = crate::data::find(&format!("videos/{}", pair.video)) else {
        return Ok(None);
    };
    let [student, teacher] = &models[..] else {
        bail!("two models are needed");
    };
    let truth = play(&inference(&video, teacher, ""), false)?;
    let alone = play(&inference(&video, student, "mirror-check=5"), true)?;
    let adapted = play(&the_loop(&video, student, teacher, tuning), true)?;
    let frames = truth.found.len();
    if alone.found.len() != frames || adapted.found.len() != frames {
        bail!(
            "{frames} frames of the teacher, {} and {} of the student",
            alone.found.len(),
            adapted.found.len()
        );
    }
    let parts = (0..PARTS).map(|part| {
        let range = part * frames / PARTS..(part + 1) * frames / PARTS;
        let unseen: Vec<usize> = range
            .filter(|i| !adapted.labelled.contains(&truth.times[*i]))
            .collect();
        [&alone, &adapted].map(|student| likeness(student, &truth, &unseen))
    });
    Ok(Some(Shown {
        frames: frames as u64,
        parts: parts.collect(),
        latest_alone_ms: alone.latest.as_secs_f64() * 1e3,
        latest_ms: adapted.latest.as_secs_f64() * 1e3,
        ..adapted.shown
    }))
}

/// A link to the model beside a sidecar that says how it is read.
fn provide(model: &Model, classes: &str, folder: &Path) -> Result<Option<PathBuf>> {
    let Some(file) = crate::data::find(&format!("models/{}", model.file)) else {
        return Ok(None);
    };
    let path = folder.join(model.file);
    std::os::unix::fs::symlink(file, &path)?;
    let text = format!(
        "[modelinfo]\nversion=1.0\n[splitinfer]\nhead={}\nlabels={}\n{classes}",
        model.head, model.labels
    );
    std::fs::write(folder.join(format!("{}.modelinfo", model.file)), text)?;
    Ok(Some(path))
}

fn inference(video: &Path, model: &Path, edge: &str) -> String {
    format!(
        "filesrc location=\"{}\" ! decodebin ! videoconvert \
         ! splitinfer-edge name=edge model=\"{}\" {edge} ! appsink name=out max-buffers=8",
        video.display(),
        model.display()
    )
}

fn the_loop(video: &Path, student: &Path, teacher: &Path, tuning: &super::plan::Tuning) -> String {
    format!(
        "filesrc location=\"{}\" ! decodebin ! videoconvert \
         ! splitinfer-edge name=edge model=\"{student}\" mirror-check=5 ! svdgate name=gate {} ! appsink name=out max-buffers=8 \
         gate.adapt ! queue leaky=downstream ! teacherlabel name=teacher model=\"{}\" labels=decoded {} \
         ! finetune name=finetune model=\"{student}\" async=false {}",
        video.display(),
        tuning.gate,
        teacher.display(),
        tuning.teacher,
        tuning.finetune,
        student = student.display(),
    )
}

/// What came out of a pipeline.
#[derive(Default)]
struct Played {
    times: Vec<gst::ClockTime>,
    found: Vec<Vec<Object>>,
    /// Frames that the teacher saw in the loop.
    labelled: HashSet<gst::ClockTime>,
    /// How long after its time the latest frame came.
    latest: Duration,
    shown: Shown,
}

/// `paced`: each frame at its time.
fn play(launch: &str, paced: bool) -> Result<Played> {
    let pipeline = gst::parse::launch(launch)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("not a pipeline"))?;
    let stopped = Stopped(pipeline.clone());
    let sink = pipeline
        .by_name("out")
        .and_downcast::<gst_app::AppSink>()
        .context("no appsink")?;
    sink.set_property("sync", paced);
    let labelled = note_labelled(&pipeline);
    let bus = pipeline.bus().context("no bus")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut played = Played::default();
    let mut last = Instant::now();
    loop {
        problems(&bus, launch)?;
        match sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
            Some(sample) => {
                played.add(&pipeline, &sample)?;
                last = Instant::now();
            }
            None if sink.is_eos() => break,
            None if last.elapsed() > PATIENCE => bail!("it hangs: {launch}"),
            None => {}
        }
    }
    if let [Some(gate), Some(teacher), Some(finetune)] =
        ["gate", "teacher", "finetune"].map(|name| pipeline.by_name(name).map(|e| stats(&e)))
    {
        played.shown = Shown {
            labelled: count(&teacher, "labelled-frames"),
            trainings: count(&finetune, "trainings"),
            accepted: count(&finetune, "accepted"),
            steps: count(&finetune, "steps"),
            rounds: count(&gate, "rounds"),
            ..Shown::default()
        };
    }
    played.labelled = std::mem::take(&mut *lock(&labelled));
    problems(&bus, launch)?;
    drop(stopped);
    Ok(played)
}

impl Played {
    fn add(&mut self, pipeline: &gst::Pipeline, sample: &gst::Sample) -> Result<()> {
        let buffer = sample.buffer().context("no picture")?;
        let result = splitinfer_meta::read(buffer).context("a frame without a result")?;
        let time = buffer.pts().context("a frame without a time")?;
        if let (Some(now), Some(segment)) = (
            pipeline.current_running_time(),
            sample
                .segment()
                .and_then(|s| s.downcast_ref::<gst::ClockTime>()),
        ) && let Some(due) = segment.to_running_time(time)
        {
            self.latest = self.latest.max(now.saturating_sub(due).into());
        }
        self.times.push(time);
        self.found.push(result.objects);
        Ok(())
    }
}

/// Times of the frames that leave the teacher.
fn note_labelled(pipeline: &gst::Pipeline) -> Arc<Mutex<HashSet<gst::ClockTime>>> {
    let times = Arc::new(Mutex::new(HashSet::new()));
    let noted = Arc::clone(&times);
    let teacher = pipeline.by_name("teacher");
    if let Some(pad) = teacher.and_then(|e| e.static_pad("src")) {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(time) = info.buffer().and_then(|b| b.pts()) {
                lock(&noted).insert(time);
            }
            gst::PadProbeReturn::Ok
        });
    }
    times
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Nothing here is to go wrong.
fn problems(bus: &gst::Bus, launch: &str) -> Result<()> {
    while let Some(message) =
        bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning])
    {
        match message.view() {
            gst::MessageView::Error(e) => bail!("{} {:?}: {launch}", e.error(), e.debug()),
            gst::MessageView::Warning(e) => bail!("{} {:?}: {launch}", e.error(), e.debug()),
            _ => {}
        }
    }
    Ok(())
}

/// Stops a pipeline however its use ends.
struct Stopped(gst::Pipeline);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

fn likeness(student: &Played, teacher: &Played, frames: &[usize]) -> Likeness {
    let actual = |o: &Object| Actual {
        label: o.label.clone(),
        bbox: o.box_.map(f64::from),
        ..Actual::default()
    };
    let found = |o: &Object| Found {
        label: o.label.clone(),
        score: f64::from(o.score),
        bbox: o.box_.map(f64::from),
        ..Found::default()
    };
    let frames: Vec<Frame> = frames
        .iter()
        .map(|i| Frame {
            number: *i as u64,
            found: student.found[*i].iter().map(found).collect(),
            actual: teacher.found[*i].iter().map(actual).collect(),
        })
        .collect();
    let figures = evaluate(&frames, &Rules::default()).detection;
    Likeness {
        frames: frames.len(),
        objects: frames.iter().map(|f| f.actual.len()).sum(),
        ap50: figures.any_label.ap50,
        box_mae: figures.boxes.mae,
    }
}

pub fn print(rows: &[(Pair, Shown)]) {
    println!("### Real videos\n");
    println!(
        "| student | teacher | video | frames | teacher, % of frames | rounds | trainings | accepted | steps | latest frame ms, alone | \
         in the loop |"
    );
    println!("|---|---|---|{}", "---:|".repeat(8));
    for (pair, s) in rows {
        println!(
            "| {} | {} | {} | {} | {:.1} | {} | {} | {} | {} | {:.0} | {:.0} |",
            pair.student.file,
            pair.teacher.file,
            pair.video,
            s.frames,
            s.labelled as f64 * 100.0 / s.frames.max(1) as f64,
            s.rounds,
            s.trainings,
            s.accepted,
            s.steps,
            s.latest_alone_ms,
            s.latest_ms,
        );
    }
    println!(
        "\n| student | video | quarter | frames never trained on | the teacher's objects | AP50 alone | in the loop | box MAE px alone | \
         in the loop |"
    );
    println!("|---|---|{}", "---:|".repeat(7));
    let number =
        |v: Option<f64>, digits: usize| v.map_or("–".into(), |v| format!("{v:.digits$}"));
    for (pair, s) in rows {
        for (i, [alone, adapted]) in s.parts.iter().enumerate() {
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                pair.student.file,
                pair.video,
                i + 1,
                alone.frames,
                alone.objects,
                number(alone.ap50, 3),
                number(adapted.ap50, 3),
                number(alone.box_mae, 1),
                number(adapted.box_mae, 1),
            );
        }
    }
    println!();
}
