// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Fine-tuning as a command: data in, a model of the same graph with other weights out.

mod args;
mod arrays;
mod by_head;
mod curve;
mod data;
mod drawn;
mod examples;
mod files;
mod goals;
mod inspect;
mod log;
mod obstacle;
mod peak;
mod pictures;
mod plan;
mod run;
mod student;
mod summary;
mod teacher;
mod truth;

pub use args::Args;
pub use goals::WeighBy;
pub use inspect::Inspection;
pub use run::finetune;
pub use summary::Summary;
pub use truth::Reading;

use crate::cuts::InputShape;
use splitinfer_trainer::{LossTerm, Schedule, Trainable, TrainerSettings};
use std::fmt;
use std::path::PathBuf;

/// What to train, on what, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    pub model: PathBuf,
    /// Shapes for inputs that have symbolic dimensions.
    pub shapes: Vec<InputShape>,
    pub data: Vec<PathBuf>,
    pub anchors: Vec<PathBuf>,
    /// Share of a batch that is drawn from the anchors.
    pub anchor_share: f64,
    pub teacher: Option<PathBuf>,
    /// Of each `data` of pictures, then perhaps of each of the anchors, what is truly there.
    pub truth: Vec<PathBuf>,
    pub reading: Reading,
    /// Frames taken of each video, evenly spread.
    pub frames: usize,
    /// Empty: what suits the outputs.
    pub losses: Vec<LossTerm>,
    /// `None`: what suits the head.
    pub weigh_by: Option<Vec<WeighBy>>,
    pub trainable: Trainable,
    pub trainer: TrainerSettings,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub steps: usize,
    pub target_loss: Option<f32>,
    pub patience: Option<usize>,
    /// Steps between two looks at what is held back; `None`: so that looking takes a fifth of the time.
    pub validate_every: Option<usize>,
    pub validation_share: f64,
    pub seed: u64,
    pub files: Files,
    /// Tell what would be trained, and train nothing.
    pub inspect: bool,
}

/// What is written, and what is read besides data.
#[derive(Clone, Debug)]
pub struct Files {
    pub output: PathBuf,
    /// Overwrite the output.
    pub force: bool,
    /// Write the output also if it is no better.
    pub keep: bool,
    pub log: Option<PathBuf>,
    pub plot: Option<PathBuf>,
    pub delta: Option<PathBuf>,
    pub resume: Option<PathBuf>,
    pub save_state: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    Inspected(Inspection),
    Trained(Summary),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inspected(found) => found.fmt(f),
            Self::Trained(summary) => summary.fmt(f),
        }
    }
}

/// A remark to the person who waits.
fn note(text: &str) {
    eprintln!("onnx-finetune: {text}");
}
