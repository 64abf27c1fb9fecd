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
use super::job::{Job, Jobs};
use super::python::Waiting;
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
    jobs: Jobs,
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
        let single = Trainee::load(&subject.path, 1)?;
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let cut = trainee.late_cut()?;
        Ok(Self {
            jobs: Jobs::new(&trainee, &single, folders[0].path())?,
            tail_jobs: Jobs::new(&trainee.tail(&cut)?, &single.tail(&cut)?, folders[1].path())?,
            trainee,
            cut,
            _folders: folders,
        })
    }

    /// # Errors
    /// When a worker ends, or we and PyTorch do not train alike.
    pub fn compare(&self, threads: usize, sample: Sample, bar: &ProgressBar) -> Result<Comparison> {
        let jobs = self.jobs.with_threads(threads);
        let tail_jobs = self.tail_jobs.with_threads(threads);
        let mut ours = [
            &jobs.ours,
            &tail_jobs.ours,
            &jobs.forward,
            &tail_jobs.forward,
        ]
        .into_iter()
        .map(Child::ours)
        .collect::<Result<Vec<_>>>()?;
        let mut pytorch = pytorch_workers(&jobs.pytorch)?;
        let mut pytorch_tail = pytorch_workers(&tail_jobs.pytorch)?;
        let (first, second) = (ours.len(), ours.len() + pytorch.len());
        let mut all: Vec<&mut Child> = ours
            .iter_mut()
            .chain(&mut pytorch)
            .chain(&mut pytorch_tail)
            .collect();
        let turns = take_turns(&mut all, sample.warm_up, sample.rounds, sample.limit, bar)?;
        for theirs in &turns.losses[first..second] {
            same_loss(&turns.losses[0], theirs)?;
        }
        for theirs in &turns.losses[second..] {
            same_loss(&turns.losses[1], theirs)?;
        }
        let [whole, tail, forward, tail_forward] = [0, 1, 2, 3].map(|i| turns.times[i]);
        Ok(Comparison {
            ours: whole,
            tail,
            forward,
            tail_forward,
            pytorch: Time::best(&turns.times[first..second]),
            pytorch_tail: Time::best(&turns.times[second..]),
            memory: ours[0].memory()?,
            pytorch_memory: pytorch.first_mut().map(Child::memory).transpose()?,
        })
    }
}

impl Time {
    /// The better median and the better fastest of some.
    fn best(times: &[Self]) -> Option<Self> {
        let better = |a: Self, b: &Self| Self {
            median: a.median.min(b.median),
            fastest: a.fastest.min(b.fastest),
        };
        let (first, rest) = times.split_first()?;
        Some(rest.iter().fold(*first, better))
    }
}

/// A worker for each way of waiting that makes a difference; none where there is no PyTorch.
fn pytorch_workers(job: &Job) -> Result<Vec<Child>> {
    let ways = match job.threads {
        1 => &[Waiting::Default][..],
        _ => &[Waiting::Default, Waiting::Asleep],
    };
    let workers = ways
        .iter()
        .map(|way| Child::pytorch("pytorch.worker", job, *way));
    Ok(workers
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

fn same_loss(ours: &[f64], theirs: &[f64]) -> Result<()> {
    if let (Some(a), Some(b)) = (ours.first(), theirs.first()) {
        let near = (a - b).abs() <= AGREEMENT * b.abs();
        ensure!(near, "our loss is {a} and PyTorch's {b}");
    }
    Ok(())
}
