// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How soon `svdgate` notices that the student has become worse, by kind of drift: the real elements without a trainer.
//! Every round is answered as one whose training changed nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::pace::{count, stats};
use super::plan::{Case, RATE, Task};
use super::run::Playing;

/// Frames until the drift, and after it.
const BEFORE: u64 = 300;
const AFTER: u64 = 180;
/// Seconds that a gradual change takes.
const GRADUALLY: u64 = 5;
/// Neither a frame nor an answer takes longer.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// A way to become worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing happens: what is noticed is a false alarm.
    Quiet,
    /// Day turns into night at once, or in some seconds.
    Sudden,
    Gradual,
    Fault(Fault),
}

impl Kind {
    /// Those that can befall a task's results: boxes have no left and right.
    pub fn of(task: Task) -> Vec<Self> {
        let faults = [
            Fault::Bias,
            Fault::Freeze,
            Fault::Jitter,
            Fault::Swaps,
            Fault::Misses,
        ];
        let mut kinds = vec![Self::Quiet, Self::Sudden, Self::Gradual];
        let can = |f: &Fault| *f != Fault::Swaps || task == Task::Walker;
        kinds.extend(faults.into_iter().filter(can).map(Self::Fault));
        kinds
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "none",
            Self::Sudden => "sudden night",
            Self::Gradual => "gradual night",
            Self::Fault(fault) => fault.name(),
        }
    }

    /// Frames in which it is noticed in time: 2 s, and 5 s for what looks plausible, so that only the teacher can tell;
    /// from the end of a gradual change on.
    pub fn limit(self) -> u64 {
        let seconds = match self {
            Self::Fault(Fault::Bias | Fault::Freeze | Fault::Swaps | Fault::Misses) => 5,
            Self::Gradual => GRADUALLY + 2,
            _ => 2,
        };
        seconds * u64::from(RATE)
    }

    fn domain(self) -> String {
        let at = BEFORE as f64 / f64::from(RATE);
        match self {
            Self::Sudden => format!("day; {at:.3} night"),
            Self::Gradual => format!("day; {at:.3}~{GRADUALLY} night"),
            _ => "day".into(),
        }
    }
}

/// What a run showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watched {
    /// Frames from which on the drift shows until a round began; `None`: it was not noticed.
    pub delay: Option<u64>,
    /// Whether the drift shows at all: there was something to see soon enough.
    pub shows: bool,
    /// What the gate took for a drift before there was one, the first look apart, and the stretches of half a window in
    /// which it could have.
    pub false_alarms: usize,
    pub stretches: u64,
    /// The student was not good enough at first.
    pub first_look: bool,
    /// Of all frames, percent.
    pub teacher_pct: f64,
}

/// Rounds by frame and cause.
type Rounds = Arc<Mutex<Vec<(u64, String)>>>;

/// Runs a scene with one drift.
///
/// # Errors
/// When the pipeline fails or hangs.
pub fn watch(task: Task, kind: Kind, seed: u64, gate: &str) -> Result<Watched> {
    let case = Case {
        task,
        scenario: "semi-repetitive",
        seed,
        frames: BEFORE + AFTER,
        domains: [kind.domain(), String::new()],
    };
    let launch = case.watch(gate);
    let playing = Playing::new(&launch, |_| true)?;
    let element = |name: &str| {
        playing
            .pipeline
            .by_name(name)
            .with_context(|| format!("no {name}"))
    };
    let shows = match kind {
        Kind::Fault(fault) => {
            let pad = element("fault")?.static_pad("src").context("no pad")?;
            Some(fault.inject(&pad, BEFORE, seed))
        }
        _ => None,
    };
    let answers = answer(&element("teacher")?)?;
    log_looks(&element("gate")?)?;
    let rounds = rounds(&playing.pipeline)?;
    let sink = element("out")?
        .downcast::<gst_app::AppSink>()
        .ok()
        .context("no appsink")?;
    playing.pipeline.set_state(gst::State::Playing)?;
    let mut objects = Vec::new();
    while let Some(sample) = sink.try_pull_sample(PATIENCE) {
        objects.push(has_objects(sample.buffer().context("no picture")?)?);
    }
    if objects.len() as u64 != case.frames {
        bail!(
            "{} of {} frames came through {launch}",
            objects.len(),
            case.frames
        );
    }
    let labelled = count(&stats(&element("teacher")?), "labelled-frames");
    drop(playing);
    let rounds = rounds.lock().unwrap_or_else(|e| e.into_inner()).clone();
    if rounds.len() > answers.load(Ordering::SeqCst) + 1 {
        bail!(
            "{} rounds began, {} were answered",
            rounds.len(),
            answers.load(Ordering::SeqCst)
        );
    }
    let onset = match shows {
        Some(shows) => *shows.lock().unwrap_or_else(|e| e.into_inner()),
        // The change of the scene shows where there is somebody to be found.
        None => (BEFORE..)
            .zip(&objects[BEFORE as usize..])
            .find(|(_, o)| **o)
            .map(|(f, _)| f),
    };
    Ok(judged(
        &rounds,
        onset,
        labelled as f64 * 100.0 / case.frames as f64,
    ))
}

fn judged(rounds: &[(u64, String)], onset: Option<u64>, teacher_pct: f64) -> Watched {
    let first_look = |cause: &str| cause == "first-look";
    let before = rounds.iter().filter(|(frame, _)| *frame < BEFORE);
    let onset_in_time = onset.filter(|o| *o < BEFORE + AFTER / 3);
    let noticed = rounds
        .iter()
        .find(|(frame, _)| onset.is_some_and(|o| *frame >= o));
    Watched {
        delay: noticed.and_then(|(frame, _)| Some(frame - onset?)),
        shows: onset_in_time.is_some(),
        false_alarms: before
            .clone()
            .filter(|(_, cause)| !first_look(cause))
            .count(),
        stretches: BEFORE / STRETCH,
        first_look: before.clone().any(|(_, cause)| first_look(cause)),
        teacher_pct,
    }
}

/// Half a window.
const STRETCH: u64 = 10;

fn has_objects(buffer: &gst::BufferRef) -> Result<bool> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferTruth")
        .context("a frame without its truth")?;
    let json: &str = meta.structure().get("json").context("the scene's truth")?;
    let (_, _, actual) = splitinfer_evaluate::truth::read_scene_frame(json)?;
    Ok(!actual.is_empty())
}

/// Rounds as the gate tells of them, of whichever thread posts the message.
fn rounds(pipeline: &gst::Pipeline) -> Result<Rounds> {
    let rounds = Rounds::default();
    let told = Arc::clone(&rounds);
    let bus = pipeline.bus().context("no bus")?;
    bus.set_sync_handler(move |_, message| {
        let structure = message.structure().filter(|s| s.name() == "svdgate-drift");
        if let Some((Ok(frame), Ok(cause))) = structure.map(|s| (s.get("frame"), s.get("cause")))
            // Then nothing is wrong.
            && cause != "review"
        {
            told.lock()
                .unwrap_or_else(|e| e.into_inner())
                .push((frame, cause));
        }
        gst::BusSyncReply::Drop
    });
    Ok(rounds)
}

/// Answers each complete round like a trainer that could do nothing; how many there were.
fn answer(teacher: &gst::Element) -> Result<Arc<AtomicUsize>> {
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&answers);
    let pad = teacher.static_pad("src").context("no pad")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let complete = info.buffer().is_some_and(|b| {
            gst::meta::CustomMeta::from_buffer(b, "SplitInferGate")
                .is_ok_and(|m| m.structure().get("complete") == Ok(true))
        });
        if complete {
            counted.fetch_add(1, Ordering::SeqCst);
            let told = gst::Structure::builder("splitinfer-training").field("changed", false);
            let event = gst::event::CustomUpstream::new(told.build());
            pad.send_event(event);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(answers)
}

/// Prints what the teacher said of each look, for whoever looks into a row.
fn log_looks(gate: &gst::Element) -> Result<()> {
    if std::env::var_os("ADAPTATION_LOG").is_none() {
        return Ok(());
    }
    let pad = gate.static_pad("adapt").context("no adapt pad")?;
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
        if let Some(structure) = info.event().and_then(|e| e.structure()) {
            eprintln!("{structure}");
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_before_the_drift_are_false_alarms_but_for_the_first_look() {
        let round = |frame, cause: &str| (frame, cause.to_owned());
        let rounds = [
            round(30, "first-look"),
            round(200, "objects"),
            round(312, "canary"),
            round(350, "canary"),
        ];
        let watched = judged(&rounds, Some(302), 5.0);
        assert_eq!(
            (watched.delay, watched.false_alarms, watched.first_look),
            (Some(10), 1, true)
        );
        let blind = judged(&rounds[..2], Some(302), 5.0);
        assert_eq!((blind.delay, blind.shows), (None, true));
        assert!(!judged(&rounds, None, 5.0).shows);
    }
}
