// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The table of what was noticed, and the two figures of it.

use super::drifts::{Kind, Watched};
use super::plan::{RATE, Task};
use crate::measure::median;
use crate::spread::mean;

/// One kind of drift in all scenes of a task.
pub struct Row {
    pub task: Task,
    pub kind: Kind,
    pub runs: Vec<Watched>,
}

impl Row {
    /// Delays of the runs in which there was something to notice; infinite where it was not.
    fn delays(&self) -> Vec<f64> {
        let runs = self
            .runs
            .iter()
            .filter(|r| r.shows && self.kind != Kind::Quiet);
        runs.map(|r| r.delay.map_or(f64::INFINITY, |d| d as f64))
            .collect()
    }

    fn in_time(&self) -> usize {
        let limit = self.kind.limit() as f64;
        self.delays().iter().filter(|d| **d <= limit).count()
    }
}

/// Drifts that were noticed in time, percent; `None` where there was none.
pub fn recall(rows: &[Row]) -> Option<f64> {
    let drifts: usize = rows.iter().map(|r| r.delays().len()).sum();
    let in_time: usize = rows.iter().map(Row::in_time).sum();
    (drifts > 0).then(|| in_time as f64 * 100.0 / drifts as f64)
}

/// Stretches of half a window without a drift in which a round began, percent.
pub fn false_alarms(rows: &[Row]) -> Option<f64> {
    let runs = rows.iter().flat_map(|r| &r.runs);
    let stretches: u64 = runs.clone().map(|r| r.stretches).sum();
    let alarms: usize = runs.map(|r| r.false_alarms).sum();
    (stretches > 0).then(|| alarms as f64 * 100.0 / stretches as f64)
}

pub fn print(rows: &[Row]) {
    println!("### Drifts that are noticed\n");
    println!(
        "| task | drift | scenes in which it shows | in time | limit s | median s | worst s | false alarms before it | \
         taken for bad at first | teacher, % of frames |"
    );
    println!("|---|---|{}", "---:|".repeat(8));
    for row in rows {
        let delays = row.delays();
        let seconds = |frames: f64| match frames {
            f if f.is_finite() => format!("{:.1}", f / f64::from(RATE)),
            _ => "never".into(),
        };
        let some = |value: f64| {
            if delays.is_empty() {
                "–".into()
            } else {
                seconds(value)
            }
        };
        let teacher: Vec<f64> = row.runs.iter().map(|r| r.teacher_pct).collect();
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} |",
            row.task.name(),
            row.kind.name(),
            delays.len(),
            row.in_time(),
            if row.kind == Kind::Quiet {
                "–".into()
            } else {
                seconds(row.kind.limit() as f64)
            },
            some(median(&delays)),
            some(delays.iter().copied().fold(0.0, f64::max)),
            row.runs.iter().map(|r| r.false_alarms).sum::<usize>(),
            row.runs.iter().filter(|r| r.first_look).count(),
            mean(&teacher).unwrap_or(f64::NAN),
        );
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_and_never_do_not_count_and_what_does_not_show_is_no_drift() {
        let run = |delay, shows| Watched {
            delay,
            shows,
            false_alarms: 1,
            stretches: 50,
            ..Watched::default()
        };
        let row = |kind, runs| Row {
            task: Task::Walker,
            kind,
            runs,
        };
        let rows = [
            row(Kind::Sudden, vec![run(Some(30), true), run(Some(31), true)]),
            row(Kind::Gradual, vec![run(None, true), run(None, false)]),
            row(Kind::Quiet, vec![run(Some(3), true)]),
        ];
        assert_eq!(recall(&rows), Some(100.0 / 3.0));
        assert_eq!(false_alarms(&rows), Some(2.0));
        assert_eq!(recall(&[]), None);
    }
}
