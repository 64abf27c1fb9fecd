// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The log: one JSON object a step, and one about the whole.

use super::summary::Summary;
use anyhow::{Context, Result};
use serde::Serialize;
use splitinfer_trainer::Progress;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

pub(super) struct Log(Option<BufWriter<File>>);

#[derive(Serialize)]
struct Line {
    /// From 1.
    step: usize,
    steps: usize,
    learning_rate: f64,
    /// Of the batch, before the step.
    train_loss: f32,
    /// Where it was looked at after this step.
    validation_loss: Option<f32>,
    /// Before clipping.
    gradient_norm: f32,
    /// Since the training began.
    seconds: f64,
}

#[derive(Serialize)]
struct LastLine<'a> {
    outcome: &'static str,
    /// Whether the loss was no number any more.
    diverged: bool,
    steps: usize,
    best_step: usize,
    loss_before: f32,
    loss_after: f32,
    seconds: f64,
    written: Vec<std::borrow::Cow<'a, str>>,
}

impl Log {
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let create =
            |p: &Path| File::create(p).with_context(|| format!("cannot write {}", p.display()));
        Ok(Self(path.map(create).transpose()?.map(BufWriter::new)))
    }

    pub fn none() -> Self {
        Self(None)
    }

    /// # Errors
    /// When the disk is full.
    pub fn step(&mut self, progress: &Progress, seconds: f64) -> Result<()> {
        self.line(&Line {
            step: progress.step,
            steps: progress.steps,
            learning_rate: progress.learning_rate,
            train_loss: progress.train_loss,
            validation_loss: progress.validation_loss,
            gradient_norm: progress.gradient_norm,
            seconds,
        })
    }

    /// # Errors
    /// When the disk is full.
    pub fn end(&mut self, summary: &Summary) -> Result<()> {
        let written = summary.written.iter();
        self.line(&LastLine {
            outcome: summary.outcome(),
            diverged: summary.diverged(),
            steps: summary.steps,
            best_step: summary.best_step,
            loss_before: summary.before,
            loss_after: summary.after,
            seconds: summary.time.as_secs_f64(),
            written: written.map(|p| p.to_string_lossy()).collect(),
        })
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let Some(file) = &mut self.0 else {
            return Ok(());
        };
        serde_json::to_writer(&mut *file, line).context("the log")?;
        file.write_all(b"\n")
            .and_then(|()| file.flush())
            .context("the log")
    }
}
