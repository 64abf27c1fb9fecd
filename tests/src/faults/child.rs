// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A part of the measurement in a process of its own, which is this program again: lines of JSON come from it, lines of text
//! go to it. Ends when dropped.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// See the module's documentation.
pub struct Child<T> {
    process: std::process::Child,
    orders: ChildStdin,
    lines: Option<Receiver<Result<T>>>,
}

impl<T: DeserializeOwned + Send + 'static> Child<T> {
    /// Starts this program with an argument and a job that it understands.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(argument: &str, job: &impl Serialize) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([argument, &serde_json::to_string(job)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = process.stdout.take().context("it was asked for")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let line = line.map_err(anyhow::Error::from);
                let line = line.and_then(|l| serde_json::from_str(&l).context(l));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            orders: process.stdin.take().context("it was asked for")?,
            process,
            lines: Some(lines),
        })
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// # Errors
    /// When it has ended.
    pub fn order(&mut self, text: &str) -> Result<()> {
        Ok(writeln!(self.orders, "{text}")?)
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes in time or it is none of these.
    pub fn next(&self, patience: Duration) -> Result<T> {
        let lines = self.lines.as_ref().context("somebody else reads")?;
        let line = lines.recv_timeout(patience);
        line.map_err(|e| anyhow!("a process ended or hangs: {e}"))?
    }

    /// All lines from now on, for another thread.
    ///
    /// # Errors
    /// The second time.
    pub fn take_lines(&mut self) -> Result<Receiver<Result<T>>> {
        self.lines.take().context("somebody else reads")
    }

    /// Ends it without giving it a chance to say so.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the process writes.
///
/// # Errors
/// When nobody reads.
pub fn say(line: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(line)?)?;
    out.flush()?;
    Ok(())
}
