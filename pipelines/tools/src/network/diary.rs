// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What held from when on, one line of JSON each, so that others can draw it beside what they saw.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use splitinfer_link::{Step, Trace};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A step of the trace as it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub unix_s: f64,
    pub up_kbit: f64,
    pub down_kbit: f64,
    /// One way, upwards.
    pub delay_ms: f64,
    /// Upwards.
    pub loss_percent: f64,
    pub cut: bool,
}

impl Entry {
    /// `start`: when the trace began.
    pub fn new(step: &Step, start: SystemTime) -> Self {
        let since = start.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            unix_s: (since.unwrap_or_default() + step.at).as_secs_f64(),
            up_kbit: step.up.rate as f64 / 1e3,
            down_kbit: step.down.rate as f64 / 1e3,
            delay_ms: step.up.delay.as_secs_f64() * 1e3,
            loss_percent: step.up.loss * 100.0,
            cut: step.up.cut,
        }
    }
}

/// The steps of a trace with their times, over and over where it repeats.
pub fn steps(trace: &Trace) -> impl Iterator<Item = Step> + '_ {
    let rounds = if trace.length().is_some() {
        u32::MAX
    } else {
        1
    };
    (0..rounds).flat_map(|round| {
        let begin = trace
            .length()
            .unwrap_or(Duration::ZERO)
            .saturating_mul(round);
        trace.steps().iter().map(move |step| Step {
            at: begin + step.at,
            ..step.clone()
        })
    })
}

/// # Errors
/// When the file cannot be read or holds anything else; the message names it and the line.
pub fn read(file: &Path) -> Result<Vec<Entry>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| name.to_string())?;
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{name}, line {}", i + 1))
    };
    text.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_with_an_end_is_told_again() {
        let trace: Trace = "0s rate=1Mbit/s\n2s up.rate=500kbit/s\n3s end"
            .parse()
            .unwrap();
        let times: Vec<_> = steps(&trace).take(5).map(|s| s.at.as_secs()).collect();
        assert_eq!(times, [0, 2, 3, 5, 6]);
        let once: Trace = "0s rate=1Mbit/s\n2s up.rate=500kbit/s".parse().unwrap();
        assert_eq!(steps(&once).count(), 2);
    }

    #[test]
    fn what_was_written_is_read_and_what_is_wrong_is_named() {
        let trace: Trace = "0s up.rate=1Mbit/s delay=30ms loss=2%".parse().unwrap();
        // A time whose last bit a reader of numbers loses that rounds for speed.
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1_795_915_359.507_351_9);
        let entry = Entry::new(trace.at(Duration::ZERO), start);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network.jsonl");
        let line = serde_json::to_string(&entry).unwrap();
        std::fs::write(&file, format!("{line}\n")).unwrap();
        assert_eq!(read(&file).unwrap(), [entry]);
        std::fs::write(&file, format!("{line}\nx\n")).unwrap();
        let refused = format!("{:#}", read(&file).unwrap_err());
        assert!(refused.contains("network.jsonl, line 2"), "{refused}");
    }
}
