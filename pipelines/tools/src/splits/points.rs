// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the plot needs to know of a frame.

use anyhow::{Context, Result, anyhow, bail};
use splitinfer_meta::Completed;
use std::path::Path;

/// Who completed a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// As planned.
    Plan,
    /// The edge, in place of a server that was late.
    Edge,
    /// Nobody, within the budget.
    None,
}

/// A frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Seconds since the first one could have been captured.
    pub at: f64,
    /// ms
    pub latency: f64,
    /// As metadata have it: `edge`, `server`, or the name of a cut.
    pub split: String,
    pub by: By,
}

impl Point {
    pub fn new(at: f64, latency: f64, split: String, completed: Completed) -> Self {
        let by = match completed {
            Completed::Server => By::Plan,
            Completed::Edge if split == "edge" => By::Plan,
            Completed::Edge => By::Edge,
            Completed::None => By::None,
        };
        Self {
            at,
            latency,
            split,
            by,
        }
    }
}

/// Frames with a timestamp, of lines as `inferjson` writes them.
///
/// # Errors
/// When the file cannot be read, a line is no result, or there is none with a timestamp.
pub(super) fn read(file: &Path) -> Result<Vec<Point>> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| name.to_string())?;
    let mut points = Vec::new();
    for (i, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let (result, pts) =
            splitinfer_meta::from_json(line).map_err(|e| anyhow!("{name}:{}: {e}", i + 1))?;
        let Some(pts) = pts else { continue };
        let latency = result.latency.nseconds() as f64 / 1e6;
        let at = pts.nseconds() as f64 / 1e9;
        points.push(Point::new(at, latency, result.split, result.completed));
    }
    if points.is_empty() {
        bail!(
            "{name}: there is no result with a timestamp in it; inferjson writes one line a frame"
        );
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_the_edge_completed_for_the_server_are_told_apart() {
        let by = |split: &str, completed| Point::new(0.0, 1.0, split.into(), completed).by;
        assert_eq!(by("edge", Completed::Edge), By::Plan);
        assert_eq!(by("relu", Completed::Edge), By::Edge);
        assert_eq!(by("relu", Completed::Server), By::Plan);
        assert_eq!(by("relu", Completed::None), By::None);
    }

    #[test]
    fn lines_become_points_and_what_is_wrong_is_named() {
        let line = r#"{"frame":3,"pts":1500000000,"split":"server","model_version":0,"latency_ms":2.5,"completed":"server","objects":[]}"#;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.jsonl");
        std::fs::write(&file, format!("{line}\n")).unwrap();
        let points = read(&file).unwrap();
        assert_eq!(
            points,
            [Point::new(1.5, 2.5, "server".into(), Completed::Server)]
        );
        std::fs::write(&file, format!("{line}\n{{\n")).unwrap();
        let refused = format!("{:#}", read(&file).unwrap_err());
        assert!(refused.contains("r.jsonl:2"), "{refused}");
        std::fs::write(&file, "").unwrap();
        assert!(read(&file).is_err());
    }
}
