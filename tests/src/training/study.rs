// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One model's step, whole and of its tail alone, by us and by PyTorch, the forward passes beside them.

use std::time::Duration;

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use splitinfer_graph::Cut;
use tempfile::TempDir;

use super::child::{Memory, take_turns};
use super::job::Jobs;
use super::{Child, Subject};
use splitinfer_grad_reference::Trainee;

/// How long a comparison takes.
#[derive(Clone, Copy)]
pub struct Sample {
    pub warm_up: usize,
    pub rounds: usize,
    /// No new round begins after this, once there are a few.
    pub limit: Duration,
}

/// A model made ready to be trained.
pub struct Study {
    pub trainee: Trainee,
    pub cut: Cut,
    pub jobs: Jobs,
    tail_jobs: Jobs,
    _folders: [TempDir; 2],
}

/// Seconds, and memory of the processes that make whole steps.
pub struct Comparison {
    pub ours: Time,
    pub pytorch: Option<Time>,
    pub memory: Memory,
    pub pytorch_memory: Option<Memory>,
    pub tail: Time,
    pub pytorch_tail: Option<Time>,
    /// The whole model, as inference has it.
    pub forward: Time,
    /// What comes after the cut, likewise.
    pub tail_forward: Time,
}

#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub median: f64,
    pub fastest: f64,
}

/// Before the first step, our loss and PyTorch's differ by less, relative to the loss. Later ones may part ways: Adam's
/// first step is as long for a gradient that is nothing but rounding as for any other.
const AGREEMENT: f64 = 1e-3;

impl Study {
    /// # Errors
    /// When the model cannot be trained, or has no late cut.
    pub fn new(subject: &Subject, batch: usize) -> Result<Self> {
        let trainee = Trainee::load(&subject.path, batch)?;
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let cut = trainee.late_cut()?;
        Ok(Self {
            jobs: Jobs::new(&trainee, folders[0].path())?,
            tail_jobs: Jobs::new(&trainee.tail(&cut)?, folders[1].path())?,
            trainee,
            cut,
            _folders: folders,
        })
    }

    /// # Errors
    /// When a worker ends, or we and PyTorch do not train alike.
    pub fn compare(&self, threads: usize, sample: Sample, bar: &ProgressBar) -> Result<Comparison> {
        let (jobs, tail_jobs) = (
            self.jobs.with_threads(threads),
            self.tail_jobs.with_threads(threads),
        );
        let mut ours = Child::ours(&jobs.ours)?;
        let mut tail = Child::ours(&tail_jobs.ours)?;
        let mut forward = Child::ours(&jobs.forward)?;
        let mut tail_forward = Child::ours(&tail_jobs.forward)?;
        let mut pytorch = Child::pytorch("pytorch.worker", &jobs.pytorch)?;
        let mut pytorch_tail = Child::pytorch("pytorch.worker", &tail_jobs.pytorch)?;
        let mut all = vec![&mut ours, &mut tail, &mut forward, &mut tail_forward];
        all.extend(pytorch.as_mut());
        all.extend(pytorch_tail.as_mut());
        let turns = take_turns(&mut all, sample.warm_up, sample.rounds, sample.limit, bar)?;
        if let [ours, tail, _, _, theirs, their_tail] = turns.losses.as_slice() {
            same_loss(ours, theirs)?;
            same_loss(tail, their_tail)?;
        }
        let time = |i: usize| turns.times.get(i).copied();
        Ok(Comparison {
            ours: turns.times[0],
            tail: turns.times[1],
            forward: turns.times[2],
            tail_forward: turns.times[3],
            pytorch: time(4),
            pytorch_tail: time(5),
            memory: ours.memory()?,
            pytorch_memory: pytorch.as_mut().map(Child::memory).transpose()?,
        })
    }
}

fn same_loss(ours: &[f64], theirs: &[f64]) -> Result<()> {
    if let (Some(a), Some(b)) = (ours.first(), theirs.first()) {
        let near = (a - b).abs() <= AGREEMENT * b.abs();
        ensure!(near, "our loss is {a} and PyTorch's {b}");
    }
    Ok(())
}
