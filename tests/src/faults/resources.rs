// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a process holds: threads, open files and sockets, memory. Linux tells.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long what is left of a fault may take to go: connections, and threads without work, which GLib keeps for 15 seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(50);
/// Long enough for what comes and goes by itself to have gone once.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    pub threads: usize,
    /// Files and sockets.
    pub files: usize,
    /// Memory that no file stands for, kB.
    pub memory: f64,
}

impl Resources {
    /// What a process holds just now.
    ///
    /// # Errors
    /// When there is no such process, or no Linux.
    pub fn of(process: u32) -> Result<Self> {
        let folder = format!("/proc/{process}");
        let count = |what: &str| -> Result<usize> {
            let path = format!("{folder}/{what}");
            Ok(fs::read_dir(&path).context(path)?.count())
        };
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
        let memory = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
        Ok(Self {
            threads: count("task")?,
            files: count("fd")?,
            memory: memory.context("no RssAnon")?,
        })
    }

    /// The least that it holds within half a second.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn least(process: u32) -> Result<Self> {
        let begun = Instant::now();
        let mut least = Self::of(process)?;
        while begun.elapsed() < LOOK {
            std::thread::sleep(INTERVAL);
            least = least.min(Self::of(process)?);
        }
        Ok(least)
    }

    /// What it holds once it holds no more threads and files than it did, or when it still does after [`PATIENCE`].
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn settled(process: u32, before: Self) -> Result<Self> {
        let begun = Instant::now();
        let mut least = Self::of(process)?;
        while least.left_over(before) > 0 && begun.elapsed() < PATIENCE {
            std::thread::sleep(INTERVAL);
            least = least.min(Self::of(process)?);
        }
        Ok(least)
    }

    /// Threads and files beyond those of before.
    pub fn left_over(self, before: Self) -> usize {
        self.threads.saturating_sub(before.threads) + self.files.saturating_sub(before.files)
    }

    fn min(self, other: Self) -> Self {
        Self {
            threads: self.threads.min(other.threads),
            files: self.files.min(other.files),
            memory: other.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_a_file_show_and_go() {
        let own = std::process::id();
        let before = Resources::of(own).unwrap();
        assert!(before.memory > 0.0);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _file = fs::File::open("/proc/self/status").unwrap();
            let _ = ended.recv();
        });
        let mut with = before;
        // Tests beside this one come and go, too.
        while with.left_over(before) < 2 {
            with = Resources::of(own).unwrap();
        }
        drop(end);
        thread.join().unwrap();
    }
}
