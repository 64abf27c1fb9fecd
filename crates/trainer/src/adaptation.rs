// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model that keeps learning while its scene changes: when to train, what is good enough to be used, and
//! which earlier weights fit again.

use std::collections::VecDeque;

use crate::error::TrainError;
use crate::fit::{FitSettings, Progress, Stopped, fit};
use crate::replay::Replay;
use crate::sample::Sample;
use crate::state::State;
use crate::trainer::Trainer;

/// How a model adapts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptationSettings {
    /// Examples to train on, besides anchors.
    pub replay: usize,
    /// Of so many new examples one is held back, to judge new weights by.
    pub hold_every: usize,
    /// So many of the newest examples that are held back count.
    pub held_back: usize,
    /// New examples before training starts again.
    pub new_examples: usize,
    /// New weights must lower the loss on what is held back by this share at least.
    pub least_gain: f32,
    /// Earlier weights that are remembered, besides those that the model came with.
    pub remembered: usize,
    pub fit: FitSettings,
    pub seed: u64,
}

impl Default for AdaptationSettings {
    fn default() -> Self {
        Self {
            replay: 256,
            hold_every: 5,
            held_back: 16,
            new_examples: 20,
            least_gain: 0.02,
            remembered: 4,
            fit: FitSettings::default(),
            seed: 0,
        }
    }
}

/// What came of an attempt to adapt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// New weights, better on what is held back.
    Accepted {
        before: f32,
        after: f32,
        steps: usize,
    },
    /// Weights of an earlier scene fit again; no step was made.
    Recalled { before: f32, after: f32 },
    /// Nothing better was found; the weights are as before.
    Rejected {
        before: f32,
        after: f32,
        steps: usize,
    },
    /// The caller wanted no more; the weights are as before.
    Abandoned,
}

impl Outcome {
    /// Whether the model has other weights now.
    pub fn changed(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Recalled { .. })
    }
}

/// A trainer, the examples it has seen, and the weights it has had.
pub struct Adaptation {
    trainer: Trainer,
    replay: Replay,
    held_back: VecDeque<Sample>,
    /// The first are those that the model came with.
    remembered: VecDeque<State>,
    settings: AdaptationSettings,
    seen: usize,
    new: usize,
}

impl Adaptation {
    /// # Errors
    /// When the trainer's weights cannot be read.
    pub fn new(trainer: Trainer, settings: AdaptationSettings) -> Result<Self, TrainError> {
        Ok(Self {
            replay: Replay::new(settings.replay, settings.seed),
            remembered: [trainer.state()?].into(),
            held_back: VecDeque::new(),
            trainer,
            settings,
            seen: 0,
            new: 0,
        })
    }

    /// The model as it is now.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// An example of the scene as it is now.
    pub fn add(&mut self, sample: Sample) {
        self.seen += 1;
        self.new += 1;
        if self.seen.is_multiple_of(self.settings.hold_every.max(2)) {
            self.held_back.push_back(sample);
            if self.held_back.len() > self.settings.held_back.max(1) {
                self.held_back.pop_front();
            }
        } else {
            self.replay.push(sample);
        }
    }

    /// An example of the domain that the model comes from, to be trained on for ever.
    pub fn add_anchor(&mut self, sample: Sample) {
        self.replay.push_anchor(sample);
    }

    /// Whether enough is new.
    pub fn is_due(&self) -> bool {
        self.new >= self.settings.new_examples.max(1)
            && !self.held_back.is_empty()
            && !self.replay.is_empty()
    }

    /// Examples to train on, and examples held back.
    pub fn examples(&self) -> (usize, usize) {
        (self.replay.len(), self.held_back.len())
    }

    /// Looks for better weights: among those it has had, and then by training. `progress` is called after each
    /// step; an `Err` gives up.
    ///
    /// # Errors
    /// When nothing is held back yet, or training fails. The weights are then as before.
    pub fn adapt(
        &mut self,
        mut progress: impl FnMut(&Progress) -> Result<(), ()>,
    ) -> Result<Outcome, TrainError> {
        self.new = 0;
        let held_back: Vec<&Sample> = self.held_back.iter().collect();
        let before = self.trainer.loss(&held_back)?;
        if let Some(after) = recall(
            &mut self.trainer,
            &self.remembered,
            &held_back,
            before,
            self.settings.least_gain,
        )? {
            return Ok(Outcome::Recalled { before, after });
        }
        let start = self.trainer.state()?;
        let report = fit(
            &mut self.trainer,
            &mut self.replay,
            &held_back,
            &self.settings.fit,
            &mut progress,
        );
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                self.trainer.restore(&start)?;
                return Err(error);
            }
        };
        let after = report.after.unwrap_or(before);
        if report.stopped == Stopped::Caller {
            self.trainer.restore(&start)?;
            return Ok(Outcome::Abandoned);
        }
        let steps = report.steps;
        if !is_gain(before, after, self.settings.least_gain) {
            self.trainer.restore(&start)?;
            return Ok(Outcome::Rejected {
                before,
                after,
                steps,
            });
        }
        self.remember()?;
        Ok(Outcome::Accepted {
            before,
            after,
            steps,
        })
    }

    fn remember(&mut self) -> Result<(), TrainError> {
        self.remembered.push_back(self.trainer.state()?);
        if self.remembered.len() > self.settings.remembered + 1 {
            // The oldest but the first.
            self.remembered.remove(1);
        }
        Ok(())
    }

    /// Takes up weights from an earlier run of the program.
    ///
    /// # Errors
    /// When the state is of another training.
    pub fn resume(&mut self, state: &State) -> Result<(), TrainError> {
        self.trainer.restore(state)?;
        self.remember()
    }
}

/// Whether a loss is lower by a share at least, and lower at all.
fn is_gain(before: f32, after: f32, least: f32) -> bool {
    after < before && after <= before * (1.0 - least)
}

/// Takes the best of the remembered weights if they are better by `least_gain`; gives their loss.
fn recall(
    trainer: &mut Trainer,
    remembered: &VecDeque<State>,
    held_back: &[&Sample],
    before: f32,
    least_gain: f32,
) -> Result<Option<f32>, TrainError> {
    let now = trainer.state()?;
    let mut best: Option<(f32, &State)> = None;
    for state in remembered {
        trainer.restore(state)?;
        let loss = trainer.loss(held_back)?;
        if is_gain(before, loss, least_gain) && best.is_none_or(|(b, _)| loss < b) {
            best = Some((loss, state));
        }
    }
    match best {
        Some((loss, state)) => {
            trainer.restore(state)?;
            Ok(Some(loss))
        }
        None => {
            trainer.restore(&now)?;
            Ok(None)
        }
    }
}
