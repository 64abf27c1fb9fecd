// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The thread that trains: frames in, messages and new weights out.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;
use splitinfer_graph::Model;
use splitinfer_inference::{LoadedModel, load_library};
use splitinfer_trainer::{Adaptation, Outcome, Sample, Trainable, Trainer};

use super::augment::Augment;
use super::checkpoint::Checkpoints;
use super::example::Examples;
use super::goals::goals;
use super::publish::{Published, Publisher};
use super::queue::{Next, Queue};
use super::settings::Settings;
use super::stats::Counts;
use crate::mark::{self, Mark};
use crate::report::Report;
use splitinfer_quality::Training as Reported;

/// So much of what training has gained may be lost to the rounding of weights on their way.
const LOST_TO_ROUNDING: f32 = 0.1;

/// Owns the thread. Dropping it gives up a training that is under way, after the step it is at.
pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Loads the student; the thread then prepares its training.
    ///
    /// # Errors
    /// One message for the bus.
    pub(super) fn start(
        element: &super::FineTune,
        settings: Settings,
        counts: Arc<Mutex<Counts>>,
    ) -> Result<Self, gst::ErrorMessage> {
        let Some(path) = settings.model.clone() else {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("no student: set the property 'model' to the ONNX file that the edge runs")
            ));
        };
        load_library("adapt")
            .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("ONNX Runtime: {e}")))?;
        let student = LoadedModel::load(Path::new(&path))?;
        settings
            .trainer()
            .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("{e}")))?;
        let queue = Arc::<Queue>::default();
        let (frames, weak) = (Arc::clone(&queue), element.downgrade());
        let work = move || {
            lower_priority();
            let run = || Training::new(student, &settings, &weak, counts)?.run(&frames, &weak);
            if let Err(problem) = run()
                && let Some(element) = weak.upgrade()
            {
                gst::element_error!(element, gst::LibraryError::Failed, ("{path}: {problem}"));
            }
        };
        let thread = std::thread::Builder::new()
            .name("finetune".into())
            .spawn(work)
            .map_err(|e| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}")))?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Inference comes first; but a training that gets no turn at all beside other work helps nobody, and `cpu-share`
/// limits it already.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    const NICE: libc::c_int = 5;
    #[cfg(target_os = "linux")]
    // SAFETY: plain system calls; on Linux a thread has a priority of its own.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, NICE);
    }
}

/// What the thread works with.
struct Training {
    adaptation: Adaptation,
    examples: Examples,
    publisher: Publisher,
    checkpoints: Option<Checkpoints>,
    counts: Arc<Mutex<Counts>>,
    /// The weights of an earlier process have not been sent yet.
    resumed: bool,
    /// The gate has sent all that is to be learnt from together.
    complete: bool,
    /// A frame that cannot be learnt from is told of once, not every time.
    told: Option<String>,
}

type Element = gst::glib::WeakRef<super::FineTune>;

impl Training {
    fn new(
        student: LoadedModel,
        settings: &Settings,
        element: &Element,
        counts: Arc<Mutex<Counts>>,
    ) -> Result<Self, String> {
        let words = |e: splitinfer_trainer::TrainError| e.to_string();
        let goals =
            goals(&student.sized, &student.info, settings.loss.as_deref()).map_err(words)?;
        let losses = goals.iter().map(|g| g.term.clone()).collect();
        let trainable = Trainable::parse(&settings.trainable);
        let trainer = settings.trainer().map_err(words)?;
        let trainer = Trainer::new(&student.sized, &trainable, losses, trainer).map_err(words)?;
        let publisher = Publisher::new(student.file);
        let folder = settings.checkpoint_dir.as_deref().map(Path::new);
        let checkpoints = folder
            .map(|f| {
                Checkpoints::new(f, publisher.base())
                    .map_err(|e| format!("checkpoint-dir {}: {e}", f.display()))
            })
            .transpose()?;
        let varies = settings.augment && trainer.takes_inputs();
        let shapes = trainer.target_shapes();
        let augment = varies
            .then(|| Augment::new(&student.info, &goals, shapes, settings.seed))
            .flatten();
        let mut adaptation = Adaptation::new(trainer, settings.adaptation()).map_err(words)?;
        if let Some(augment) = augment {
            adaptation.vary(Box::new(augment));
        }
        let mut training = Self {
            adaptation,
            examples: Examples::new(&student.info, goals),
            publisher,
            checkpoints,
            counts,
            resumed: false,
            complete: false,
            told: None,
        };
        training.resume(element);
        Ok(training)
    }

    /// Goes on from the last checkpoint, if there is one; its weights are sent once a stream has begun. One that does not fit is told of and left alone.
    fn resume(&mut self, element: &Element) {
        let Some(checkpoints) = &self.checkpoints else {
            return;
        };
        let resumed = match checkpoints.newest() {
            Ok(None) => return,
            Ok(Some((version, state))) => {
                self.publisher.after(version);
                self.adaptation.resume(&state).map_err(|e| e.to_string())
            }
            Err(problem) => Err(problem),
        };
        match resumed {
            Ok(()) => self.resumed = true,
            Err(problem) => warn(
                element,
                &format!("the last checkpoint is not used: {problem}"),
            ),
        }
    }

    /// What the gate looked at is a reason to train when the gate says so, by a round that is complete.
    fn add(&mut self, sample: Sample, mark: Option<Mark>) {
        match mark {
            Some(mark) if !mark.teaches => self.adaptation.add_aside(sample),
            Some(mark) if mark.canary => self.adaptation.add_in_time(sample),
            _ => self.adaptation.add(sample),
        }
    }

    /// Until the queue is stopped.
    fn run(mut self, queue: &Queue, element: &Element) -> Result<(), String> {
        while let Some(next) = queue.next() {
            match next {
                Next::Stream => self.stream(element),
                Next::Frame(buffer, video) => self.frame(buffer, &video, queue, element),
            }
        }
        Ok(())
    }

    /// Whoever sends a stream is there, and may have the student's file alone: an edge that was started anew behind a
    /// server, or that was away when weights were sent.
    fn stream(&mut self, element: &Element) {
        if std::mem::take(&mut self.resumed) {
            self.publish(element, "resumed", None);
            return;
        }
        let Some(pad) = sink(element) else {
            return;
        };
        match self.publisher.repeat(&pad) {
            Ok(None) => {}
            Ok(Some(published)) => self.tell(element, "again", None, &published),
            Err(problem) => warn(element, &format!("weights cannot be sent again: {problem}")),
        }
    }

    fn frame(
        &mut self,
        buffer: gst::Buffer,
        video: &gst_video::VideoInfo,
        queue: &Queue,
        element: &Element,
    ) {
        let trainer = self.adaptation.trainer();
        let mark = mark::read(&buffer);
        match self.examples.of_frame(&buffer, video, trainer) {
            Ok(Some(sample)) => self.add(sample, mark),
            Ok(None) => self.counts.lock().unwrap().unlabelled += 1,
            Err(problem) => {
                self.counts.lock().unwrap().refused += 1;
                if self.told.as_ref() != Some(&problem) {
                    warn(element, &format!("a frame is not learnt from: {problem}"));
                    self.told = Some(problem);
                }
            }
        }
        drop(buffer);
        self.complete |= mark.is_some_and(|m| m.complete);
        if queue.is_empty() && (self.complete || self.adaptation.is_due()) {
            self.complete = false;
            let training = match self.adaptation.can_train() {
                true => self.adapt(queue, element),
                false => Some(Reported::Unchanged),
            };
            if let Some(training) = training {
                report(element, training);
            }
        }
    }

    /// What came of it; `None` when it was given up.
    fn adapt(&mut self, queue: &Queue, element: &Element) -> Option<Reported> {
        let mut begun = Instant::now();
        let counts = Arc::clone(&self.counts);
        let outcome = self.adaptation.adapt(|progress| {
            let busy = begun.elapsed();
            {
                let mut counts = counts.lock().unwrap();
                counts.busy += busy;
                counts.now = progress.copied().or(counts.now);
            }
            let share = element.upgrade().map_or(1.0, |e| e.imp().cpu_share());
            let goes_on = queue.rest(busy.mul_f64(1.0 / share - 1.0));
            begun = Instant::now();
            if goes_on { Ok(()) } else { Err(()) }
        });
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                warn(
                    element,
                    &format!("training failed, the weights stay: {error}"),
                );
                return Some(Reported::Unchanged);
            }
        };
        self.counts.lock().unwrap().add(&outcome);
        if outcome.diverged() {
            warn(element, &diverged(&outcome));
        }
        let what = match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Recalled { .. } => "recalled",
            Outcome::Rejected { .. } => "rejected",
            Outcome::Abandoned => return None,
        };
        let taken = match outcome.changed() {
            true => self.publish(element, what, Some(outcome)),
            false => {
                post(element, message(what, Some(outcome)));
                false
            }
        };
        Some(match taken {
            true => Reported::Changed,
            false => Reported::Unchanged,
        })
    }

    /// Whether anything upstream took the weights.
    fn publish(&mut self, element: &Element, what: &str, outcome: Option<Outcome>) -> bool {
        let Some(pad) = sink(element) else {
            return false;
        };
        let weights = self.adaptation.trainer().weights();
        // What arrives is rounded: it is judged too, not only what was trained.
        let serves = |model: &Model| match (outcome, self.adaptation.judge(model)) {
            (
                Some(Outcome::Accepted { before, after, .. } | Outcome::Recalled { before, after }),
                Ok(Some(loss)),
            ) => loss - after <= LOST_TO_ROUNDING * (before - after),
            _ => true,
        };
        let published = weights
            .map_err(|e| e.to_string())
            .and_then(|weights| self.publisher.publish(weights, &pad, serves));
        let published = match published {
            Ok(published) => published,
            Err(problem) => {
                warn(element, &format!("new weights cannot be sent: {problem}"));
                return false;
            }
        };
        self.tell(element, what, outcome, &published);
        if let Some(checkpoints) = &self.checkpoints {
            let state = self
                .adaptation
                .trainer()
                .state()
                .and_then(|s| s.to_bytes())
                .map_err(|e| e.to_string());
            let saved = state.and_then(|s| {
                checkpoints
                    .save(published.version, &s, &published.model)
                    .map_err(|e| e.to_string())
            });
            if let Err(problem) = saved {
                warn(element, &format!("no checkpoint was written: {problem}"));
            }
        }
        published.taken
    }

    /// Counts what was sent, and says what became of it.
    fn tell(&self, element: &Element, what: &str, outcome: Option<Outcome>, sent: &Published) {
        {
            let mut counts = self.counts.lock().unwrap();
            counts.version = sent.version;
            counts.update_bytes += sent.bytes as u64;
        }
        let mut structure = message(what, outcome);
        structure.set("model-version", sent.version);
        structure.set("bytes", sent.bytes as u64);
        structure.set("taken", sent.taken);
        post(element, structure);
        if !sent.taken {
            warn(
                element,
                "nothing upstream takes new weights; is there a splitinfer-edge or -server before the gate?",
            );
        }
    }
}

fn sink(element: &Element) -> Option<gst::Pad> {
    element.upgrade()?.static_pad("sink")
}

/// Tells the gate.
fn report(element: &Element, training: Reported) {
    if let Some(pad) = sink(element) {
        pad.push_event(Report::Training(training).event());
    }
}

fn message(what: &str, outcome: Option<Outcome>) -> gst::Structure {
    let mut structure = gst::Structure::builder("finetune")
        .field("outcome", what)
        .build();
    if let Some(
        Outcome::Accepted { before, after, .. }
        | Outcome::Recalled { before, after }
        | Outcome::Rejected { before, after, .. },
    ) = outcome
    {
        structure.set("loss-before", f64::from(before));
        structure.set("loss-after", f64::from(after));
    }
    if let Some(Outcome::Accepted { steps, .. } | Outcome::Rejected { steps, .. }) = outcome {
        structure.set("steps", steps as u64);
        structure.set("diverged", outcome.is_some_and(|o| o.diverged()));
    }
    structure
}

/// That a training ended early, and what became of it.
fn diverged(outcome: &Outcome) -> String {
    let kept = match outcome.changed() {
        true => "the best weights before that are taken",
        false => "the weights stay",
    };
    format!(
        "a training diverged, its loss was no number any more: {kept}; lower 'learning-rate' if that happens again, and \
         see that the teacher's outputs are numbers"
    )
}

fn post(element: &Element, structure: gst::Structure) {
    if let Some(element) = element.upgrade() {
        gst::info!(super::imp::CAT, obj = element, "{structure}");
        let message = gst::message::Element::builder(structure)
            .src(&element)
            .build();
        let _ = element.post_message(message);
    }
}

fn warn(element: &Element, problem: &str) {
    if let Some(element) = element.upgrade() {
        gst::element_warning!(element, gst::StreamError::Failed, ("{problem}"));
    }
}
