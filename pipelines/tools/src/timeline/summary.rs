// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The table.

use super::errors::{Errors, Series};
use super::events::Events;
use std::fmt;
use std::ops::Range;

/// What an adaptation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    what: &'static str,
    parts: Vec<Part>,
    frames: u64,
    labelled: u64,
    windows: usize,
    rounds: usize,
    updates: usize,
    rejected: usize,
}

/// A part of the time.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    name: &'static str,
    frames: Range<u64>,
    /// Mean errors; `None` where no frame has one.
    with: Option<f64>,
    without: Option<f64>,
}

impl Summary {
    pub(super) fn new(errors: &Errors, events: &Events) -> Self {
        let end = errors.frames;
        let parts = parts(errors.drift, &events.updates, end).into_iter();
        let part = |(name, frames)| Part {
            name,
            with: mean(&errors.adapted, &frames),
            without: mean(&errors.plain, &frames),
            frames,
        };
        Self {
            what: errors.what,
            parts: parts.map(part).collect(),
            frames: end,
            labelled: events.labelled,
            windows: events.gated.len(),
            rounds: events.learning.len(),
            updates: events.updates.len(),
            rejected: events.rejected.len(),
        }
    }
}

/// Before the drift; from there to the first update after it; from the last update on. What is empty is left out.
fn parts(drift: Option<u64>, updates: &[u64], end: u64) -> Vec<(&'static str, Range<u64>)> {
    let Some(drift) = drift else {
        return vec![("whole run", 0..end)];
    };
    let after: Vec<u64> = updates.iter().copied().filter(|u| *u >= drift).collect();
    let first = after.first().copied().unwrap_or(end);
    let mut parts = vec![
        ("before the change", 0..drift),
        ("after it, until the first update", drift..first),
    ];
    if let Some(last) = after.last() {
        if *last > first {
            parts.push(("from the first to the last update", first..*last));
        }
        parts.push(("after the last update", *last..end));
    }
    parts.retain(|(_, frames)| !frames.is_empty());
    parts
}

fn mean(series: &Series, frames: &Range<u64>) -> Option<f64> {
    let values = series.iter().filter(|(f, _)| frames.contains(f));
    let values: Vec<f64> = values.map(|(_, v)| *v).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |v: &Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.1}"));
        if self.parts.iter().any(|p| p.with.is_some()) {
            writeln!(
                f,
                "{:<36}{:>12}{:>16}{:>19}",
                self.what, "frames", "with adaptation", "without adaptation"
            )?;
            for Part {
                name,
                frames,
                with,
                without,
            } in &self.parts
            {
                let span = format!("{}-{}", frames.start, frames.end - 1);
                writeln!(
                    f,
                    "{name:<36}{span:>12}{:>16}{:>19}",
                    value(with),
                    value(without)
                )?;
            }
        }
        let share = 100.0 * self.labelled as f64 / self.frames.max(1) as f64;
        writeln!(
            f,
            "frames the teacher saw              {} of {} ({share:.1} %)",
            self.labelled, self.frames
        )?;
        writeln!(f, "rounds of learning                  {}", self.rounds)?;
        if self.windows > 0 {
            writeln!(f, "gated windows                       {}", self.windows)?;
        }
        write!(
            f,
            "updates                             {} ({} trainings without gain)",
            self.updates, self.rejected
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_parted_at_the_drift_and_the_updates_after_it() {
        let spans = |drift, updates: &[u64]| -> Vec<Range<u64>> {
            parts(drift, updates, 100)
                .into_iter()
                .map(|p| p.1)
                .collect()
        };
        assert_eq!(spans(None, &[5]).first(), Some(&(0..100)));
        assert_eq!(spans(Some(40), &[]), [0..40, 40..100]);
        assert_eq!(spans(Some(40), &[10, 60]), [0..40, 40..60, 60..100]);
        assert_eq!(spans(Some(40), &[60, 80]), [0..40, 40..60, 60..80, 80..100]);
    }

    #[test]
    fn a_mean_is_that_of_the_frames_that_have_a_value() {
        let series = vec![(1, 2.0), (3, 4.0), (9, 100.0)];
        assert_eq!(mean(&series, &(0..5)), Some(3.0));
        assert_eq!(mean(&series, &(4..9)), None);
    }
}
