// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The whole of it: look, prepare, train, write.

use super::curve::Curve;
use super::examples::{Examples, Maker};
use super::inspect::Inspection;
use super::log::Log;
use super::obstacle::explained;
use super::peak::peak_bytes;
use super::plan::Plan;
use super::summary::{Summary, digits};
use super::{Outcome, Request, files, note};
use crate::progress::Progress as Bar;
use anyhow::{Context, Result, bail};
use splitinfer_runtime::load_library;
use splitinfer_trainer::{FitReport, FitSettings, Progress, Replay, Sample, Trainer, fit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Examples that are trained on and judged by all the same, where none are held back.
const MOST_JUDGED: usize = 64;

/// What looking at the examples that are held back may take for each unit that a step takes.
const LOOK_SHARE: f64 = 0.25;

/// A step goes forward and back, which takes about so many times what the loss takes.
const STEP_COST: f64 = 3.0;

const DIVERGED: &str = "the loss was no number any more, so the training ended: the learning rate is too high, or too \
                        little is clipped (--learning-rate, --clip-norm)";

/// Trains as it is asked to. `stop` ends the training after the step at hand; what was best by then is written, also
/// where the training diverges.
///
/// # Errors
/// When something cannot be used: all that can be known before is found before training starts.
pub fn finetune(request: &Request, stop: &AtomicBool) -> Result<Outcome> {
    load_library(None)?;
    let mut plan = Plan::new(request)?;
    if !request.inspect {
        request.files.check(&plan.student)?;
    }
    let state = request.files.state()?;
    let trainer = Trainer::new(
        &plan.student.model,
        &request.trainable,
        plan.goals.terms(),
        request.trainer.clone(),
    )
    .map_err(|e| {
        explained(
            e,
            &plan.student.model,
            &plan.goals.terms(),
            &request.trainer.session,
        )
    });
    if request.inspect {
        return Ok(Outcome::Inspected(Inspection::new(
            request, &plan, &trainer,
        )));
    }
    let mut trainer = trainer?;
    for loss in plan.goals.words() {
        note(&format!("loss: {loss}"));
    }
    let (examples, anchors) = prepare(request, &mut plan, &trainer, stop)?;
    let (training, judged) = Judged::apart(examples);
    let judged_by: Vec<&Sample> = judged.samples.iter().collect();
    // Better than the model as it is, also where an earlier training is gone on with.
    let before = trainer.loss(&judged_by)?;
    if let Some(state) = &state {
        trainer.restore(state).context("--resume")?;
    }
    let (trained_on, anchor_count) = (training.len(), anchors.len());
    let mut replay = Replay::new(trained_on, request.seed.wrapping_add(trainer.steps()));
    replay.anchor_share = request.anchor_share;
    training.into_iter().for_each(|s| replay.push(s));
    anchors.into_iter().for_each(|s| replay.push_anchor(s));
    let mut run = Run::new(request, stop, before)?;
    let report = run.train(request, &mut trainer, &mut replay, &judged_by)?;
    let after = report.after.context("nothing was judged")?;
    let improved = after < before;
    let mut summary = Summary {
        trained_on,
        anchors: anchor_count,
        judged_by: judged_by.len(),
        held_back: judged.held_back,
        before,
        after,
        improved,
        best_step: run.best.0,
        steps: report.steps,
        stopped: report.stopped,
        time: run.started.elapsed(),
        step_time: run.step_time(),
        peak_memory: peak_bytes(),
        written: vec![],
    };
    if summary.diverged() {
        note(DIVERGED);
    }
    let only_state = !improved && !request.files.keep;
    summary.written = files::write(request, &plan.student, &trainer, only_state)?;
    if let Some(path) = &request.files.plot {
        run.curve.save(path, judged.name())?;
        summary.written.push(path.clone());
    }
    summary.written.extend(request.files.log.clone());
    run.log.end(&summary)?;
    Ok(Outcome::Trained(summary))
}

/// All examples, as the trainer takes them, and the anchors.
fn prepare(
    request: &Request,
    plan: &mut Plan,
    trainer: &Trainer,
    stop: &AtomicBool,
) -> Result<(Examples, Vec<Sample>)> {
    let (sources, anchors) = (plan.sources.clone(), plan.anchors.clone());
    let mut maker = Maker::new(plan, trainer, stop)?;
    maker.check_answers()?;
    let examples = maker.examples(&sources, request.validation_share, request.frames)?;
    let anchors = maker.examples(&anchors, 0.0, request.frames)?;
    if examples.training.is_empty() {
        bail!("there are no examples to train on");
    }
    Ok((examples, anchors.training))
}

/// What the weights are judged by.
struct Judged {
    samples: Vec<Sample>,
    held_back: bool,
}

impl Judged {
    /// What is trained on, and what is judged by.
    fn apart(examples: Examples) -> (Vec<Sample>, Self) {
        let held_back = !examples.held_back.is_empty();
        let samples = match held_back {
            true => examples.held_back,
            false => {
                let every = examples.training.len().div_ceil(MOST_JUDGED);
                examples.training.iter().step_by(every).cloned().collect()
            }
        };
        (examples.training, Self { samples, held_back })
    }

    fn name(&self) -> &'static str {
        if self.held_back {
            "held back"
        } else {
            "trained on"
        }
    }
}

/// A training that is under way.
struct Run<'a> {
    stop: &'a AtomicBool,
    log: Log,
    curve: Curve,
    bar: Bar,
    started: Instant,
    /// Since when the step at hand runs.
    step_began: Instant,
    /// Steps after which nothing was judged, and how long they took.
    alone: (u32, Duration),
    /// Step and loss.
    best: (usize, f32),
}

impl<'a> Run<'a> {
    fn new(request: &Request, stop: &'a AtomicBool, before: f32) -> Result<Self> {
        let bar = Bar::of_steps();
        bar.expect(request.steps);
        let now = Instant::now();
        Ok(Self {
            stop,
            log: Log::create(request.files.log.as_deref())?,
            curve: Curve::from(before),
            bar,
            started: now,
            step_began: now,
            alone: (0, Duration::ZERO),
            best: (0, before),
        })
    }

    fn train(
        &mut self,
        request: &Request,
        trainer: &mut Trainer,
        replay: &mut Replay,
        judged: &[&Sample],
    ) -> Result<FitReport> {
        let settings = FitSettings {
            steps: request.steps,
            learning_rate: request.learning_rate,
            schedule: request.schedule,
            target_loss: request.target_loss,
            validate_every: request
                .validate_every
                .unwrap_or_else(|| every(judged.len(), request)),
            patience: request.patience,
        };
        self.step_began = Instant::now();
        let report = fit(trainer, replay, judged, &settings, |progress| {
            self.follow(progress)
        })?;
        // A look after the last step, which nobody was told of.
        if let Some(after) = report.after.filter(|after| *after < self.best.1) {
            self.best = (report.steps, after);
            self.curve.judge(report.steps, after);
        }
        Ok(report)
    }

    /// # Errors
    /// Ends the training: the user wants no more.
    fn follow(&mut self, progress: &Progress) -> Result<(), ()> {
        let took = self.step_began.elapsed();
        self.curve.train(progress.step, progress.train_loss);
        match progress.validation_loss {
            Some(loss) => {
                self.curve.judge(progress.step, loss);
                if loss < self.best.1 {
                    self.best = (progress.step, loss);
                }
            }
            None => self.alone = (self.alone.0 + 1, self.alone.1 + took),
        }
        self.bar.say(&format!(
            "loss {}, best {}",
            digits(progress.train_loss),
            digits(self.best.1)
        ));
        self.bar.step();
        if let Err(error) = self
            .log
            .step(progress, self.started.elapsed().as_secs_f64())
        {
            // What was learned is worth more.
            note(&format!("{error:#}; it ends here, the training goes on"));
            self.log = Log::none();
        }
        self.step_began = Instant::now();
        match self.stop.load(Ordering::Relaxed) {
            true => Err(()),
            false => Ok(()),
        }
    }

    /// Of a step alone; with looking where every step was looked at.
    fn step_time(&self) -> Duration {
        match self.alone {
            (0, _) => self.started.elapsed() / (self.curve.steps() as u32).max(1),
            (count, time) => time / count,
        }
    }
}

/// Steps between two looks.
fn every(judged: usize, request: &Request) -> usize {
    let step = STEP_COST * request.trainer.batch as f64;
    let steps = (judged as f64 / (LOOK_SHARE * step)).ceil() as usize;
    // Often enough to find a good place to stop.
    steps.clamp(1, (request.steps / 10).max(1))
}
