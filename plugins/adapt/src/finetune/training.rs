// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the trainer's thread does: frames become examples, examples new weights, and these go upstream.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gst::subclass::prelude::*;
use splitinfer_graph::Model;
use splitinfer_inference::LoadedModel;
use splitinfer_quality::Training as Reported;
use splitinfer_trainer::{Adaptation, Outcome, Sample, Trainable, Trainer};
use splitinfer_weights::Coded;

use super::augment::Augment;
use super::checkpoint::Checkpoints;
use super::example::Examples;
use super::goals::goals;
use super::messages::{Element, diverged, message, post, report, sink, warn};
use super::publish::{Published, Publisher};
use super::queue::{Next, Queue};
use super::settings::Settings;
use super::stats::Counts;
use crate::mark::{self, Mark};

/// So much of what training has gained may be lost to the rounding of weights on their way.
const LOST_TO_ROUNDING: f32 = 0.1;

/// What the thread works with.
pub(super) struct Training {
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

impl Training {
    pub(super) fn new(
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
        let examples = Examples::new(&student, goals.clone(), &trainer.session)?;
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
            examples,
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
    pub(super) fn run(mut self, queue: &Queue, element: &Element) -> Result<(), String> {
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
        // What an earlier process has sent may be in use.
        if let Some(result) = splitinfer_meta::read(&buffer) {
            self.publisher.after(result.model_version);
        }
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
        if let Some(mark) = mark.filter(|m| m.complete) {
            self.complete = true;
            if !mark.teaches {
                // What was kept for later is what the gate wants to be learnt from.
                self.adaptation.freshen();
            }
        }
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
        let coded = weights
            .map_err(|e| e.to_string())
            .and_then(|weights| self.publisher.next(weights, serves));
        let coded = match coded {
            Ok(coded) => coded,
            Err(problem) => {
                warn(element, &format!("new weights cannot be sent: {problem}"));
                return false;
            }
        };
        // First kept, then sent: whoever is killed in between must not give the same number to other weights later.
        if let Err(problem) = self.keep(&coded) {
            warn(element, &format!("no checkpoint was written: {problem}"));
        }
        let sent = self.publisher.send(coded, &pad);
        self.tell(element, what, outcome, &sent);
        sent.taken
    }

    /// Writes a checkpoint, if there is a place for it.
    fn keep(&self, coded: &Coded) -> Result<(), String> {
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(());
        };
        let state = self.adaptation.trainer().state();
        let state = state
            .and_then(|s| s.to_bytes())
            .map_err(|e| e.to_string())?;
        checkpoints
            .save(coded.header.to, &state, &coded.model)
            .map_err(|e| e.to_string())
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
