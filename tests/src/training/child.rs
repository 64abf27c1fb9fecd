// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Workers seen from the measurement: started, asked for steps in turn, and asked what memory they took.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Job;
use super::python::{self, Waiting};
use super::study::Time;
use super::worker::ARGUMENT;

/// Threads that wait for more work after a step may spin for some milliseconds; the next step is another process's.
const CALM: Duration = Duration::from_millis(10);

/// A process that makes steps; it ends when dropped.
pub struct Child {
    process: Process,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _job: NamedTempFile,
}

/// Bytes of memory that a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub peak: u64,
    /// With its libraries loaded and nothing else.
    pub at_rest: u64,
}

impl Child {
    /// Our worker: this program once more.
    ///
    /// # Errors
    /// When it does not start or cannot do the job.
    pub fn ours(job: &Job) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT);
        Self::start(command, &serde_json::to_vec(job)?)
    }

    /// A worker in PyTorch, a module of crates/grad/tests/fixtures; `None` where there is no PyTorch.
    ///
    /// # Errors
    /// When it does not start or cannot do the job.
    pub fn pytorch(module: &str, job: &impl Serialize, waiting: Waiting) -> Result<Option<Self>> {
        let command = python::module(module, waiting);
        let job = serde_json::to_vec(job)?;
        command
            .map(|command| Self::start(command, &job))
            .transpose()
    }

    fn start(mut command: Command, job: &[u8]) -> Result<Self> {
        let mut file = NamedTempFile::new()?;
        file.write_all(job)?;
        let mut process = command
            .arg(file.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a worker does not start")?;
        let mut child = Self {
            orders: process.stdin.take().context("a worker takes no orders")?,
            answers: BufReader::new(process.stdout.take().context("a worker gives no answers")?),
            process,
            _job: file,
        };
        let ready = child.answer()?;
        ensure!(ready == "ready", "a worker says '{ready}'");
        Ok(child)
    }

    /// Makes a step; seconds, and the loss before it.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn step(&mut self) -> Result<(f64, f64)> {
        std::thread::sleep(CALM);
        let answer = self.ask("step")?;
        let (seconds, loss) = answer
            .split_once(' ')
            .context("a worker answers something else")?;
        Ok((seconds.parse()?, loss.parse()?))
    }

    /// Does something that it has a name for; seconds.
    ///
    /// # Errors
    /// When the worker has ended.
    pub fn time(&mut self, order: &str) -> Result<f64> {
        std::thread::sleep(CALM);
        Ok(self.ask(order)?.parse()?)
    }

    /// # Errors
    /// When the worker has ended.
    pub fn memory(&mut self) -> Result<Memory> {
        let answer = self.ask("peak")?;
        let (peak, at_rest) = answer
            .split_once(' ')
            .context("a worker answers something else")?;
        Ok(Memory {
            peak: peak.parse()?,
            at_rest: at_rest.parse()?,
        })
    }

    fn ask(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        ensure!(read > 0, "a worker has ended; its message is above");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How workers compare.
pub struct Turns {
    /// Seconds a step of each.
    pub times: Vec<Time>,
    /// The losses before each step of each.
    pub losses: Vec<Vec<f64>>,
}

/// Rounds that are counted however long they take.
const LEAST: usize = 5;

/// Steps in turn: one of each worker, then again, so that a change of clock frequency falls on all alike. Ends after
/// `rounds`, or when `limit` is over.
///
/// # Errors
/// When a worker ends.
pub fn take_turns(
    workers: &mut [&mut Child],
    warm_up: usize,
    rounds: usize,
    limit: Duration,
    bar: &ProgressBar,
) -> Result<Turns> {
    let start = Instant::now();
    let mut seconds = vec![Vec::new(); workers.len()];
    let mut losses = vec![Vec::new(); workers.len()];
    for round in 0..warm_up + rounds {
        if start.elapsed() > limit && round >= warm_up + LEAST {
            break;
        }
        for (i, worker) in workers.iter_mut().enumerate() {
            let (time, loss) = worker.step()?;
            losses[i].push(loss);
            if round >= warm_up {
                seconds[i].push(time);
            }
        }
        bar.tick();
    }
    let time = |s: &Vec<f64>| Time {
        median: crate::measure::median(s),
        fastest: s.iter().copied().fold(f64::INFINITY, f64::min),
    };
    let times = seconds.iter().map(time).collect();
    Ok(Turns { times, losses })
}
