// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the branch tells `svdgate`, as events that go upstream: how wrong the student was on a frame that the teacher was to
//! look at, and what came of a training.

use splitinfer_quality::Training;

/// Names of the events' structures.
const CANARY_EVENT: &str = "splitinfer-canary-error";
const TRAINING_EVENT: &str = "splitinfer-training";

/// What an event of the branch says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Report {
    /// How wrong the student was, in units of the objects' size, on a frame as its result counts it; `None` where there was
    /// nothing to compare.
    Canary {
        frame: u64,
        error: Option<f64>,
    },
    Training(Training),
}

impl Report {
    pub(crate) fn event(self) -> gst::Event {
        let structure = match self {
            Self::Canary { frame, error } => gst::Structure::builder(CANARY_EVENT)
                .field("frame", frame)
                .field_if_some("error", error)
                .build(),
            Self::Training(training) => gst::Structure::builder(TRAINING_EVENT)
                .field("changed", training == Training::Changed)
                .build(),
        };
        gst::event::CustomUpstream::new(structure)
    }

    /// What such an event says; `None` if it is about something else, an error in words if it does not say it.
    pub(crate) fn read(event: &gst::EventRef) -> Option<Result<Self, String>> {
        let structure = event.structure()?;
        let of = match structure.name().as_str() {
            CANARY_EVENT => canary(structure),
            TRAINING_EVENT => training(structure),
            _ => return None,
        };
        Some(of.map_err(|problem| format!("{problem}: {structure}")))
    }
}

fn canary(structure: &gst::StructureRef) -> Result<Report, String> {
    match (
        structure.get("frame"),
        structure.get_optional::<f64>("error"),
    ) {
        (Ok(frame), Ok(error)) => Ok(Report::Canary { frame, error }),
        _ => Err("no guint64 `frame`, or an `error` that is no double".into()),
    }
}

fn training(structure: &gst::StructureRef) -> Result<Report, String> {
    match structure.get("changed") {
        Ok(true) => Ok(Report::Training(Training::Changed)),
        Ok(false) => Ok(Report::Training(Training::Unchanged)),
        Err(_) => Err("no boolean `changed`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_they_were_written() {
        gst::init().unwrap();
        let reports = [
            Report::Canary {
                frame: 7,
                error: Some(0.25),
            },
            Report::Canary {
                frame: 8,
                error: None,
            },
            Report::Training(Training::Changed),
            Report::Training(Training::Unchanged),
        ];
        for report in reports {
            assert_eq!(Report::read(&report.event()), Some(Ok(report)));
        }
        assert_eq!(Report::read(&gst::event::Eos::new()), None);
        for name in [CANARY_EVENT, TRAINING_EVENT] {
            let empty = gst::event::CustomUpstream::new(gst::Structure::new_empty(name));
            assert!(Report::read(&empty).is_some_and(|r| r.is_err()), "{name}");
        }
    }
}
