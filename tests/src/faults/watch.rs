// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An edge's process as the measurement watches it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::child::Child;
use super::edge::{self, ARGUMENT, Frame, Job, Line, Notice};

/// Of this many frames in a row…
const ROW: usize = 15;
/// …the server completes this many while all is well.
const MOST: usize = 12;
/// How long the end of a stream may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// All that an edge has said.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub frames: Vec<Frame>,
    pub notices: Vec<Notice>,
    /// Frames that went in, once the stream has ended.
    pub pushed: Option<u64>,
    pub stats: String,
    /// Why nothing more comes.
    pub failure: Option<String>,
}

/// See the module's documentation. Ends when dropped.
pub struct Watched {
    child: Child<Line>,
    seen: Arc<Mutex<Seen>>,
}

impl Watched {
    /// # Errors
    /// When the process cannot be started.
    pub fn start(properties: Vec<(String, String)>) -> Result<Self> {
        let mut child = Child::start(ARGUMENT, &Job { properties })?;
        let lines = child.take_lines()?;
        let seen = Arc::<Mutex<Seen>>::default();
        let noted = seen.clone();
        std::thread::spawn(move || {
            for line in lines {
                noted.lock().expect("no panic").note(line);
            }
            let mut seen = noted.lock().expect("no panic");
            seen.failure
                .get_or_insert_with(|| "the edge's process has ended".into());
        });
        Ok(Self { child, seen })
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server completes its frames. `false`: it does not.
    ///
    /// # Errors
    /// When the edge ends.
    pub fn wait_until_steady(&self, patience: Duration) -> Result<bool> {
        let steady = |seen: &Seen| {
            let last = seen.frames.iter().rev().take(ROW);
            let there = last.filter(|f| f.by_server()).count();
            (there >= MOST).then_some(())
        };
        Ok(self.wait(patience, steady)?.is_some())
    }

    /// Waits for the first frame that came out after a moment and was completed by the server, and tells when that was.
    ///
    /// # Errors
    /// When the edge ends.
    pub fn wait_for_server(&self, after: f64, patience: Duration) -> Result<Option<f64>> {
        self.wait(patience, |seen| {
            let since = seen.frames.partition_point(|f| f.out < after);
            let first = seen.frames[since..].iter().find(|f| f.by_server());
            first.map(|f| f.out)
        })
    }

    fn wait<T>(
        &self,
        patience: Duration,
        reached: impl Fn(&Seen) -> Option<T>,
    ) -> Result<Option<T>> {
        let begun = Instant::now();
        loop {
            {
                let seen = self.seen.lock().expect("no panic");
                if let Some(found) = reached(&seen) {
                    return Ok(Some(found));
                }
                if let Some(failure) = &seen.failure {
                    bail!("{failure}");
                }
            }
            if begun.elapsed() > patience {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Ends the stream and gives all that was seen of it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn finish(mut self) -> Result<Seen> {
        self.child.order("end")?;
        let ended = self.wait(PATIENCE, |seen| seen.pushed)?;
        if ended.is_none() {
            bail!("the stream does not end");
        }
        Ok(std::mem::take(&mut *self.seen.lock().expect("no panic")))
    }
}

impl Seen {
    fn note(&mut self, line: Result<Line>) {
        match line {
            Ok(Line::Frame(frame)) => self.frames.push(frame),
            Ok(Line::Notice(notice)) => self.notices.push(notice),
            Ok(Line::Done { pushed, stats }) => {
                self.pushed = Some(pushed);
                self.stats = stats;
            }
            Err(e) => self.failure = Some(format!("{e:#}")),
        }
    }
}

/// The process itself.
///
/// # Errors
/// As [`edge::work`].
pub fn work(job: &str) -> Result<()> {
    edge::work(&serde_json::from_str(job)?)
}
