// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Training until it is good enough: steps on drawn batches, the loss on examples held back, the best weights
//! kept.

use crate::error::TrainError;
use crate::replay::Replay;
use crate::sample::Sample;
use crate::schedule::Schedule;
use crate::state::State;
use crate::trainer::Trainer;

/// When to stop, and how to get there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitSettings {
    /// Most steps.
    pub steps: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    /// Stops when the loss (on what is held back, if anything is) is no larger.
    pub target_loss: Option<f32>,
    /// Steps between two looks at what is held back.
    pub validate_every: usize,
    /// Stops after so many looks that were no better than the best.
    pub patience: Option<usize>,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self {
            steps: 200,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            target_loss: None,
            validate_every: 10,
            patience: None,
        }
    }
}

/// Where a training stands, after each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps made in this training.
    pub step: usize,
    pub steps: usize,
    pub learning_rate: f64,
    /// Of the batch, before the step.
    pub train_loss: f32,
    /// Of what is held back, when it was looked at after this step.
    pub validation_loss: Option<f32>,
    pub gradient_norm: f32,
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All steps were made.
    Steps,
    /// The target was reached.
    Target,
    /// It got no better.
    Patience,
    /// The caller wanted no more.
    Caller,
    /// The loss or its gradient was no number any more: the learning rate is too high, or a sample holds values that
    /// are not numbers.
    Diverged,
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct FitReport {
    pub steps: usize,
    pub stopped: Stopped,
    /// Of the last batch.
    pub train_loss: f32,
    /// Of what is held back, before.
    pub before: Option<f32>,
    /// Of what is held back, with the weights that were kept.
    pub after: Option<f32>,
    /// Whether the weights are better on what is held back than they were; if not, the trainer has the old
    /// ones again. Without anything held back the last weights are kept, or where they are no numbers the old ones.
    pub improved: bool,
}

/// Trains on batches from `replay`. `held_back`: examples that are not trained on. `progress` is called after
/// each step; an `Err` ends the training there, with the best weights so far, those of that step among them. A
/// training that diverges ends too, with the best weights of before: see [`Stopped::Diverged`].
///
/// # Errors
/// When there is nothing to train on, a sample does not fit, or ONNX Runtime fails: the trainer then has the best
/// weights so far, without anything held back those before.
pub fn fit(
    trainer: &mut Trainer,
    replay: &mut Replay,
    held_back: &[&Sample],
    settings: &FitSettings,
    progress: impl FnMut(&Progress) -> Result<(), ()>,
) -> Result<FitReport, TrainError> {
    if replay.is_empty() {
        return Err(TrainError::NoSamples("the replay buffer is empty".into()));
    }
    let mut best = Best::of(trainer, held_back)?;
    let before = best.loss;
    let made = steps(trainer, replay, settings, &mut best, progress);
    let last_counts =
        before.is_none() && made.as_ref().is_ok_and(|m| m.stopped != Stopped::Diverged);
    if !last_counts {
        trainer.restore(&best.state)?;
    }
    let made = made?;
    Ok(FitReport {
        steps: made.steps,
        stopped: made.stopped,
        train_loss: made.train_loss,
        before,
        after: best.loss,
        improved: last_counts || best.loss < before,
    })
}

/// Steps that were made.
struct Made {
    steps: usize,
    stopped: Stopped,
    train_loss: f32,
}

/// Leaves the trainer with the weights of the last step.
fn steps(
    trainer: &mut Trainer,
    replay: &mut Replay,
    settings: &FitSettings,
    best: &mut Best<'_>,
    mut progress: impl FnMut(&Progress) -> Result<(), ()>,
) -> Result<Made, TrainError> {
    let mut made = Made {
        steps: 0,
        stopped: Stopped::Steps,
        train_loss: f32::NAN,
    };
    for step in 1..=settings.steps {
        let rate = settings.learning_rate * settings.schedule.share(step - 1, settings.steps);
        let batch = replay.draw(trainer.batch());
        let batch: Vec<&Sample> = batch.iter().map(AsRef::as_ref).collect();
        let report = match trainer.step(&batch, rate) {
            Ok(report) => report,
            Err(TrainError::Diverged { .. }) => {
                made.stopped = Stopped::Diverged;
                break;
            }
            Err(error) => return Err(error),
        };
        (made.steps, made.train_loss) = (step, report.loss);
        let due = step == settings.steps || step.is_multiple_of(settings.validate_every.max(1));
        let looked = if due { best.look(trainer)? } else { None };
        let told = progress(&Progress {
            step,
            steps: settings.steps,
            learning_rate: rate,
            train_loss: report.loss,
            validation_loss: looked,
            gradient_norm: report.gradient_norm,
        });
        let judged = looked.or(best.held_back.is_empty().then_some(report.loss));
        if let Some(stopped) = settings.stopped(told, judged, best.looks_since) {
            made.stopped = stopped;
            // What was not looked at yet may be the best.
            if looked.is_none() {
                best.look(trainer)?;
            }
            break;
        }
    }
    Ok(made)
}

impl FitSettings {
    /// Whether a training ends here. `judged`: the loss that the target is about, where it is known.
    fn stopped(
        &self,
        told: Result<(), ()>,
        judged: Option<f32>,
        looks_since: usize,
    ) -> Option<Stopped> {
        let reached = |target| judged.is_some_and(|loss| loss <= target);
        if told.is_err() {
            Some(Stopped::Caller)
        } else if self.target_loss.is_some_and(reached) {
            Some(Stopped::Target)
        } else if self.patience.is_some_and(|p| looks_since >= p.max(1)) {
            Some(Stopped::Patience)
        } else {
            None
        }
    }
}

/// The best weights so far.
struct Best<'a> {
    held_back: &'a [&'a Sample],
    /// `None` when nothing is held back.
    loss: Option<f32>,
    state: State,
    looks_since: usize,
}

impl<'a> Best<'a> {
    /// The weights that the trainer has.
    fn of(trainer: &Trainer, held_back: &'a [&'a Sample]) -> Result<Self, TrainError> {
        Ok(Self {
            held_back,
            loss: match held_back {
                [] => None,
                _ => Some(trainer.loss(held_back)?),
            },
            state: trainer.state()?,
            looks_since: 0,
        })
    }

    /// Judges the trainer's weights, if anything is held back.
    fn look(&mut self, trainer: &Trainer) -> Result<Option<f32>, TrainError> {
        let Some(best) = self.loss else {
            return Ok(None);
        };
        let loss = trainer.loss(self.held_back)?;
        self.looks_since += 1;
        if loss < best {
            self.loss = Some(loss);
            self.state = trainer.state()?;
            self.looks_since = 0;
        }
        Ok(Some(loss))
    }
}
