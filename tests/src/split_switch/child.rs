// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! This program once more, in a process of its own for one task: so that memory is that of one way, and nothing of what
//! was before.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::files::Files;
use super::holding::{Ground, Held};
use super::memory::{self, Memory};
use super::{edge_memory, turns};
use crate::measure::ms;

/// The argument that makes the measurement's program a child; the job follows.
const ARGUMENT: &str = "--child";

/// Frames at each split, before the memory is looked at.
pub const FRAMES: usize = 5;

/// How a model that can be cut is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Uncut, and nothing else.
    Whole,
    /// As the product does.
    ChainAndWhole,
    Chain,
    /// The whole, and a pair for each candidate.
    Pairs,
    /// The same, with weights that ONNX Runtime shares.
    SharedPairs {
        layout: bool,
    },
    /// The whole, and one pair, made when the split changes.
    OnePair,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// What the way takes.
    Hold { way: Way, rounds: usize },
    /// What frames take.
    Time { shared: Option<bool>, rounds: usize },
    /// What the element takes.
    Edge(edge_memory::Job),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    pub task: Task,
    pub model: PathBuf,
    pub files: Files,
    /// ONNX Runtime's.
    pub library: PathBuf,
}

/// What a way takes, once all splits have been used.
#[derive(Debug, Serialize, Deserialize)]
pub struct Holding {
    /// Before any session is made.
    pub before: Memory,
    /// With all sessions made that are made in advance.
    pub made: Memory,
    pub used: Memory,
    /// Of what lay in memory.
    pub peak: f64,
    /// Of all that are made in advance.
    pub make_ms: f64,
    /// First and second frame of each split that follows another one.
    pub switches: Vec<[f64; 2]>,
}

/// Does what it was started for, if it was; says whether.
///
/// # Errors
/// When that cannot be done.
pub fn work_if_asked() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return Ok(false);
    }
    let job: Job = serde_json::from_str(&arguments.next().context("a child needs a job")?)?;
    let answer = match &job.task {
        Task::Hold { way, rounds } => serde_json::to_string(&hold(&job, *way, *rounds)?),
        Task::Time { shared, rounds } => {
            serde_json::to_string(&turns::run(&job, *shared, *rounds)?)
        }
        Task::Edge(edge) => serde_json::to_string(&edge_memory::run(&job.model, edge)?),
    };
    println!("{}", answer?);
    Ok(true)
}

/// Has a child do it.
///
/// # Errors
/// When it cannot; its own message has gone to stderr.
pub fn ask<T: DeserializeOwned>(job: &Job) -> Result<T> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ARGUMENT).arg(serde_json::to_string(job)?);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "a child failed at {:?}", job.task);
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(
        text.lines().last().context("a child said nothing")?,
    )?)
}

fn hold(job: &Job, way: Way, rounds: usize) -> Result<Holding> {
    let ground = Ground::new(way, &job.model, &job.files, &job.library)?;
    let before = Memory::settled()?;
    memory::reset_peak()?;
    let begun = Instant::now();
    let mut held = ground.hold(way)?;
    let make_ms = ms(begun.elapsed());
    let made = Memory::settled()?;
    let mut switches = Vec::new();
    for _ in 0..rounds {
        use_all(held.as_mut(), way, job.files.names.len(), &mut switches)?;
    }
    Ok(Holding {
        before,
        made,
        used: Memory::settled()?,
        peak: memory::peak()? - before.resident,
        make_ms,
        switches,
    })
}

fn use_all(
    held: &mut dyn Held,
    way: Way,
    candidates: usize,
    switches: &mut Vec<[f64; 2]>,
) -> Result<()> {
    for _ in 0..FRAMES {
        held.whole()?;
    }
    if way == Way::Whole {
        return Ok(());
    }
    for candidate in 0..candidates {
        let mut time = || {
            let begun = Instant::now();
            held.split(candidate)?;
            anyhow::Ok(ms(begun.elapsed()))
        };
        switches.push([time()?, time()?]);
        for _ in 2..FRAMES {
            time()?;
        }
    }
    Ok(())
}

impl Way {
    pub const ALL: [Self; 7] = [
        Self::Whole,
        Self::ChainAndWhole,
        Self::Chain,
        Self::Pairs,
        Self::SharedPairs { layout: true },
        Self::SharedPairs { layout: false },
        Self::OnePair,
    ];

    /// As tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::ChainAndWhole => "chain and whole (in use)",
            Self::Chain => "chain",
            Self::Pairs => "pairs and whole",
            Self::SharedPairs { layout: true } => "the same, weights shared",
            Self::SharedPairs { layout: false } => "the same, shared, no layout",
            Self::OnePair => "one pair on demand, and whole",
        }
    }
}

impl Job {
    pub fn new(task: Task, model: &Path, files: &Files, library: &Path) -> Self {
        Self {
            task,
            model: model.to_path_buf(),
            files: files.clone(),
            library: library.to_path_buf(),
        }
    }
}
