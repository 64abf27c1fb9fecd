// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model that keeps learning while its scene changes: when to train, what is good enough to be used, and
//! which earlier weights fit again.

use std::collections::VecDeque;

use splitinfer_graph::Model;

use crate::error::TrainError;
use crate::fit::{FitSettings, Progress, Stopped, fit};
use crate::replay::{Age, Replay};
use crate::sample::Sample;
use crate::state::State;
use crate::trainer::Trainer;
use crate::vary::Vary;

/// Earlier weights fit again if they take away this share of what the loss is above the least there can be; if they are a
/// little better only, training is better still.
const RECALLED: f32 = 0.5;

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
    /// New weights must take away at least this share of what the loss on what is held back is above the least
    /// there can be: soft labels cost something even when they are met.
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
            hold_every: 4,
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
    /// New weights, better on what is held back. `diverged`: those of before the loss was no number any more.
    Accepted {
        before: f32,
        after: f32,
        steps: usize,
        diverged: bool,
    },
    /// Weights of an earlier scene fit again; no step was made.
    Recalled { before: f32, after: f32 },
    /// Nothing better was found; the weights are as before.
    Rejected {
        before: f32,
        after: f32,
        steps: usize,
        diverged: bool,
    },
    /// The caller wanted no more; the weights are as before.
    Abandoned,
}

impl Outcome {
    /// Whether the model has other weights now.
    pub fn changed(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Recalled { .. })
    }

    /// Whether the training ended because the loss was no number any more.
    pub fn diverged(&self) -> bool {
        match self {
            Self::Accepted { diverged, .. } | Self::Rejected { diverged, .. } => *diverged,
            Self::Recalled { .. } | Self::Abandoned => false,
        }
    }
}

/// An example to judge by.
struct HeldBack {
    sample: Sample,
    age: Age,
}

/// A trainer, the examples it has seen, and the weights it has had.
pub struct Adaptation {
    trainer: Trainer,
    replay: Replay,
    held_back: VecDeque<HeldBack>,
    /// The first are those that the model came with.
    remembered: VecDeque<State>,
    settings: AdaptationSettings,
    seen: usize,
    new: usize,
    /// What was fresh has been trained on.
    trained: bool,
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
            trained: false,
        })
    }

    /// The model as it is now.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// An example of the scene as it is now, and a reason to train.
    pub fn add(&mut self, sample: Sample) {
        self.new += 1;
        self.add_in_time(sample);
    }

    /// An example of the scene as it is now, of which somebody else says when it is time to train.
    pub fn add_in_time(&mut self, sample: Sample) {
        self.keep(sample, Age::Fresh);
    }

    /// An example that is no reason to train: one of a scene that the model knows.
    pub fn add_aside(&mut self, sample: Sample) {
        self.keep(sample, Age::Aside);
    }

    /// What was put aside since the last training is to be learnt from, and judged by, like what is new.
    pub fn freshen(&mut self) {
        self.replay.freshen();
        let aside = self.held_back.iter_mut().filter(|h| h.age == Age::Aside);
        aside.for_each(|h| h.age = Age::Fresh);
    }

    /// Of so many examples one is held back.
    fn keep(&mut self, sample: Sample, age: Age) {
        if std::mem::take(&mut self.trained) {
            self.replay.settle();
            self.held_back.iter_mut().for_each(|h| h.age = Age::Old);
        }
        self.seen += 1;
        if !self.seen.is_multiple_of(self.settings.hold_every.max(2)) {
            return self.replay.keep(sample, age);
        }
        self.held_back.push_back(HeldBack { sample, age });
        if self.held_back.len() > self.settings.held_back.max(1) {
            self.held_back.pop_front();
        }
    }

    /// An example of the domain that the model comes from, to be trained on for ever.
    pub fn add_anchor(&mut self, sample: Sample) {
        self.replay.push_anchor(sample);
    }

    /// Examples vary each time that they are trained on; those that are held back do not.
    pub fn vary(&mut self, by: Box<dyn Vary>) {
        self.replay.vary = Some(by);
    }

    /// Whether enough is new.
    pub fn is_due(&self) -> bool {
        self.new >= self.settings.new_examples.max(1) && self.can_train()
    }

    /// Whether there is something to train on, and something to judge by.
    pub fn can_train(&self) -> bool {
        !self.held_back.is_empty() && !self.replay.is_empty()
    }

    /// Examples to train on, and examples held back.
    pub fn examples(&self) -> (usize, usize) {
        (self.replay.len(), self.held_back.len())
    }

    /// Looks for better weights: among those it has had, and then by training. `progress` is called after each
    /// step, and without a step after each look at earlier weights; an `Err` gives up.
    ///
    /// # Errors
    /// When nothing is held back yet, or training fails. The weights are then as before.
    pub fn adapt(
        &mut self,
        mut progress: impl FnMut(Option<&Progress>) -> Result<(), ()>,
    ) -> Result<Outcome, TrainError> {
        let start = self.trainer.state()?;
        let outcome = self.try_to(&mut progress);
        self.trained = true;
        if !outcome.as_ref().is_ok_and(Outcome::changed) {
            self.trainer.restore(&start)?;
        }
        outcome
    }

    /// Leaves any weights behind where nothing better was found.
    fn try_to(
        &mut self,
        progress: &mut impl FnMut(Option<&Progress>) -> Result<(), ()>,
    ) -> Result<Outcome, TrainError> {
        self.new = 0;
        let held_back = judges(&self.held_back);
        let before = self.trainer.loss(&held_back)?;
        let need = Need {
            floor: self.trainer.floor(&held_back),
            share: self.settings.least_gain,
        };
        let recall = Need {
            share: need.share.max(RECALLED),
            ..need
        };
        let start = self.trainer.state()?;
        let mut best: Option<(f32, &State)> = None;
        for state in &self.remembered {
            self.trainer.restore(state)?;
            let loss = self.trainer.loss(&held_back)?;
            if recall.is_met(before, loss) && best.is_none_or(|(b, _)| loss < b) {
                best = Some((loss, state));
            }
            if progress(None).is_err() {
                return Ok(Outcome::Abandoned);
            }
        }
        if let Some((after, state)) = best {
            self.trainer.restore(state)?;
            return Ok(Outcome::Recalled { before, after });
        }
        self.trainer.restore(&start)?;
        let report = fit(
            &mut self.trainer,
            &mut self.replay,
            &held_back,
            &self.settings.fit,
            |made| progress(Some(made)),
        )?;
        let after = report.after.unwrap_or(before);
        let (steps, diverged) = (report.steps, report.stopped == Stopped::Diverged);
        if report.stopped == Stopped::Caller {
            return Ok(Outcome::Abandoned);
        }
        if !need.is_met(before, after) {
            return Ok(Outcome::Rejected {
                before,
                after,
                steps,
                diverged,
            });
        }
        self.remember()?;
        Ok(Outcome::Accepted {
            before,
            after,
            steps,
            diverged,
        })
    }

    /// The loss that a model with other weights has on what is held back; `None` when nothing is.
    ///
    /// # Errors
    /// When it is another model.
    pub fn judge(&self, model: &Model) -> Result<Option<f32>, TrainError> {
        let held_back = judges(&self.held_back);
        match held_back.is_empty() {
            true => Ok(None),
            false => self.trainer.loss_of(model, &held_back).map(Some),
        }
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

/// What weights are judged by: what is fresh, and as many of the newest others, so that neither the scene as it is now nor
/// what came before counts for nothing. Without anything fresh all that there is.
fn judges(held_back: &VecDeque<HeldBack>) -> Vec<&Sample> {
    let (fresh, old): (Vec<_>, Vec<_>) = held_back.iter().partition(|h| h.age == Age::Fresh);
    let others = match fresh.len() {
        0 => old.len(),
        n => n.min(old.len()),
    };
    let others = old.iter().rev().take(others);
    fresh.iter().chain(others).map(|h| &h.sample).collect()
}

/// How much better weights must be.
#[derive(Clone, Copy)]
struct Need {
    /// The least loss there is.
    floor: f32,
    /// Of what can be gained.
    share: f32,
}

impl Need {
    fn is_met(self, before: f32, after: f32) -> bool {
        after < before && before - after >= self.share * (before - self.floor)
    }
}
