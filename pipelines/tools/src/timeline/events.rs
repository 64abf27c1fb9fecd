// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What happened during an adaptation.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;

/// One line of the file. Frames count from 0.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    /// A window that seemed bad: its frames went to the teacher.
    Gate {
        first: u64,
        last: u64,
    },
    /// A round of learning began.
    SvdgateDrift {
        frame: u64,
    },
    /// How many frames the teacher had labelled.
    Teacher {
        labelled: u64,
    },
    /// A training ended.
    Finetune {
        frame: u64,
        outcome: String,
    },
    /// The student changed.
    SplitinferModel {
        #[serde(rename = "frame")]
        _frame: u64,
    },
    End {
        labelled: u64,
    },
}

/// All of them, by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Events {
    /// First and last frame of gated windows.
    pub gated: Vec<[u64; 2]>,
    /// First and last frame of rounds of learning: until the training ended.
    pub learning: Vec<[u64; 2]>,
    /// Frames at which new weights were accepted or recalled.
    pub updates: Vec<u64>,
    /// Frames at which a training ended without better weights.
    pub rejected: Vec<u64>,
    /// Frames that the teacher labelled.
    pub labelled: u64,
}

impl Events {
    /// # Errors
    /// When the file cannot be read or a line is none; the message names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let file = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(file)?;
        let mut events = Self::default();
        for (i, line) in text.lines().enumerate() {
            let event = serde_json::from_str(line)
                .with_context(|| format!("{}:{}: not an event", file(), i + 1))?;
            events.add(event);
        }
        Ok(events)
    }

    fn add(&mut self, event: Event) {
        match event {
            Event::Gate { first, last } => self.gated.push([first, last]),
            Event::SvdgateDrift { frame } => self.learning.push([frame, frame]),
            Event::Teacher { labelled } | Event::End { labelled } => {
                self.labelled = self.labelled.max(labelled);
            }
            Event::Finetune { frame, outcome } => self.trained(frame, &outcome),
            Event::SplitinferModel { .. } => {}
        }
    }

    fn trained(&mut self, frame: u64, outcome: &str) {
        match outcome {
            "rejected" => self.rejected.push(frame),
            _ => self.updates.push(frame),
        }
        if let Some([first, last]) = self
            .learning
            .last_mut()
            .filter(|[first, last]| first == last)
        {
            *last = frame.max(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Events> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, text).unwrap();
        Events::read(&path)
    }

    #[test]
    fn events_are_told_apart() {
        let text = r#"{"event":"svdgate-drift","frame":20,"cause":"first-look","round":1}
{"event":"gate","frame":21,"first":0,"last":19,"quality":0.1}
{"event":"teacher","frame":40,"labelled":20}
{"event":"finetune","frame":90,"outcome":"accepted","before":5.0,"after":4.0,"steps":60,"version":1}
{"event":"splitinfer-model","frame":91,"version":1}
{"event":"finetune","frame":190,"outcome":"rejected","before":4.0,"after":4.0}
{"event":"svdgate-drift","frame":200,"cause":"confidence","error":0.5,"usual":0.1,"round":1}
{"event":"end","frame":300,"labelled":25}"#;
        let expected = Events {
            gated: vec![[0, 19]],
            learning: vec![[20, 90], [200, 200]],
            updates: vec![90],
            rejected: vec![190],
            labelled: 25,
        };
        assert_eq!(read_text(text).unwrap(), expected);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let e = format!(
            "{:#}",
            read_text("{\"event\":\"end\",\"labelled\":1}\n{\"event\":").unwrap_err()
        );
        assert!(e.contains("events.jsonl:2: not an event"), "{e}");
    }
}
