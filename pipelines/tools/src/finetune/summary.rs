// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a training came to, in words.

use super::inspect::bytes;
use splitinfer_trainer::Stopped;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The figures of one training.
#[derive(Clone, Debug)]
pub struct Summary {
    pub trained_on: usize,
    pub anchors: usize,
    pub judged_by: usize,
    /// Whether they were held back, or trained on too.
    pub held_back: bool,
    /// Loss over them of the model as it was, and with the weights that were kept.
    pub before: f32,
    pub after: f32,
    pub improved: bool,
    /// The step after which the weights were those that were kept, 0 for none.
    pub best_step: usize,
    pub steps: usize,
    pub stopped: Stopped,
    pub time: Duration,
    /// Time of a step alone, without looking at what is held back.
    pub step_time: Duration,
    pub peak_memory: Option<u64>,
    pub written: Vec<PathBuf>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judged = if self.held_back {
            "held back"
        } else {
            "that it was trained on"
        };
        let verdict = match self.improved {
            true => format!(
                "{:.0} % less, best after step {}",
                self.reduction(),
                self.best_step
            ),
            false => "no better".to_owned(),
        };
        writeln!(
            f,
            "loss {} → {} on {} examples {judged}: {verdict}",
            digits(self.before),
            digits(self.after),
            self.judged_by
        )?;
        let why = match self.stopped {
            Stopped::Steps => "",
            Stopped::Target => ", then the target was reached",
            Stopped::Patience => ", then it got no better",
            Stopped::Caller => ", then it was stopped",
            Stopped::Diverged => ", then it diverged",
        };
        let anchors = match self.anchors {
            0 => String::new(),
            n => format!(" and {n} anchors"),
        };
        write!(
            f,
            "{} steps on {} examples{anchors}{why}: {:.1} s, {:.0} ms a step",
            self.steps,
            self.trained_on,
            self.time.as_secs_f64(),
            self.step_time.as_secs_f64() * 1e3
        )?;
        if let Some(peak) = self.peak_memory {
            write!(f, ", peak memory {}", bytes(peak))?;
        }
        let written: Vec<String> = self
            .written
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        match &written[..] {
            [] => write!(
                f,
                "\nnothing was written (--keep writes the weights all the same)"
            ),
            written => write!(f, "\nwritten: {}", written.join(", ")),
        }
    }
}

impl Summary {
    /// In one word, as the log has it.
    pub fn outcome(&self) -> &'static str {
        match self.improved {
            true => "better",
            false => "no-better",
        }
    }

    /// Whether the training ended because the loss was no number any more.
    pub fn diverged(&self) -> bool {
        self.stopped == Stopped::Diverged
    }

    fn reduction(&self) -> f32 {
        100.0 * (1.0 - self.after / self.before)
    }
}

/// Four digits that count.
pub(super) fn digits(value: f32) -> String {
    match value.abs() {
        v if v > 0.0 && !(1e-3..1e5).contains(&v) => format!("{value:.3e}"),
        v => {
            let whole = v.max(1e-3).log10().floor() as i32;
            format!("{value:.*}", usize::try_from(3 - whole).unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_count() {
        let words = [0.0, 0.012345, 1.5, 123.456, 1e-6].map(digits);
        assert_eq!(words, ["0.000000", "0.01235", "1.500", "123.5", "1.000e-6"]);
    }

    #[test]
    fn a_summary_says_whether_it_is_better() {
        let mut summary = Summary {
            trained_on: 80,
            anchors: 0,
            judged_by: 20,
            held_back: true,
            before: 0.5,
            after: 0.125,
            improved: true,
            best_step: 40,
            steps: 50,
            stopped: Stopped::Caller,
            time: Duration::from_secs(5),
            step_time: Duration::from_millis(90),
            peak_memory: Some(300_000_000),
            written: vec!["a.onnx".into()],
        };
        let text = summary.to_string();
        for part in [
            "0.5000 → 0.1250",
            "75 % less",
            "step 40",
            "stopped",
            "90 ms a step",
            "300.0 MB",
            "a.onnx",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        summary.improved = false;
        summary.written.clear();
        let text = summary.to_string();
        assert!(
            text.contains("no better") && text.contains("nothing was written"),
            "{text}"
        );
    }
}
