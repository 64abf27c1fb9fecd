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
    /// ones again. Without anything held back the last weights are kept.
    pub improved: bool,
}

/// The best weights so far.
struct Best {
    loss: f32,
    state: State,
    looks_since: usize,
}

/// Trains on batches from `replay`. `held_back`: examples that are not trained on. `progress` is called after
/// each step; an `Err` ends the training there, with the best weights so far, those of that step among them.
///
/// # Errors
/// When there is nothing to train on, or the loss is no number any more: the trainer then has the best weights
/// so far, without anything held back those before.
pub fn fit(
    trainer: &mut Trainer,
    replay: &mut Replay,
    held_back: &[&Sample],
    settings: &FitSettings,
    mut progress: impl FnMut(&Progress) -> Result<(), ()>,
) -> Result<FitReport, TrainError> {
    if replay.is_empty() {
        return Err(TrainError::NoSamples("the replay buffer is empty".into()));
    }
    let start = trainer.state()?;
    let before = match held_back {
        [] => None,
        _ => Some(trainer.loss(held_back)?),
    };
    let mut best = Best {
        loss: before.unwrap_or(f32::INFINITY),
        state: start,
        looks_since: 0,
    };
    let mut report = FitReport {
        steps: 0,
        stopped: Stopped::Steps,
        train_loss: f32::NAN,
        before,
        after: before,
        improved: false,
    };
    for step in 0..settings.steps {
        let rate = settings.learning_rate * settings.schedule.share(step, settings.steps);
        let batch = replay.draw(trainer.batch());
        let made = match trainer.step(&batch, rate) {
            Ok(made) => made,
            Err(error) => {
                trainer.restore(&best.state)?;
                return Err(error);
            }
        };
        report.steps = step + 1;
        report.train_loss = made.loss;
        let last = step + 1 == settings.steps;
        let look =
            !held_back.is_empty() && (last || (step + 1) % settings.validate_every.max(1) == 0);
        let validation_loss = look.then(|| trainer.loss(held_back)).transpose()?;
        if let Some(loss) = validation_loss {
            best.look(loss, trainer)?;
        }
        let told = progress(&Progress {
            step: step + 1,
            steps: settings.steps,
            learning_rate: rate,
            train_loss: made.loss,
            validation_loss,
            gradient_norm: made.gradient_norm,
        });
        let judged = if held_back.is_empty() {
            Some(made.loss)
        } else {
            validation_loss
        };
        let stopped = match told {
            Err(()) => Some(Stopped::Caller),
            Ok(()) if judged.is_some_and(|l| settings.target_loss.is_some_and(|t| l <= t)) => {
                Some(Stopped::Target)
            }
            Ok(())
                if settings
                    .patience
                    .is_some_and(|p| best.looks_since >= p.max(1)) =>
            {
                Some(Stopped::Patience)
            }
            Ok(()) => None,
        };
        if let Some(stopped) = stopped {
            report.stopped = stopped;
            // What was not looked at yet may be the best.
            if !held_back.is_empty() && validation_loss.is_none() {
                best.look(trainer.loss(held_back)?, trainer)?;
            }
            break;
        }
    }
    match held_back {
        [] => report.improved = true,
        _ => {
            trainer.restore(&best.state)?;
            report.after = Some(best.loss);
            report.improved = before.is_some_and(|b| best.loss < b);
        }
    }
    Ok(report)
}

impl Best {
    fn look(&mut self, loss: f32, trainer: &Trainer) -> Result<(), TrainError> {
        self.looks_since += 1;
        if loss < self.loss {
            *self = Self {
                loss,
                state: trainer.state()?,
                looks_since: 0,
            };
        }
        Ok(())
    }
}
