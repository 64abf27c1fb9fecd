// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Latency over time with the split's colour: the planner, the baselines, the best fixed choice, and the link.

use std::path::Path;

use anyhow::Result;
use splitinfer_meta::Completed;
use splitinfer_tools::splits::{Panel, Picture, Point, rate, write};

use super::book::{Book, Place, Run};
use super::edge::Frame;
use super::method::title;
use super::summary::Cell;
use crate::split_selection::traces::Named;

/// Beside the best fixed choice.
const DRAWN: [&str; 3] = ["planner", "neurosurgeon-coding", "bandit"];

/// Draws the first run on each trace that was played, as `split-pipelines-MODEL-TRACE`.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(
    book: &Book,
    model: &str,
    cells: &[Cell],
    traces: &[Named],
    folder: &Path,
) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for cell in cells {
        let Some(trace) = traces.iter().find(|t| t.name == cell.trace) else {
            continue;
        };
        let best = cell.best_fixed().map(|b| b.method.as_str());
        let runs = DRAWN.into_iter().chain(best);
        let runs: Vec<&Run> = runs
            .filter_map(|m| first(book, model, &cell.trace, m))
            .collect();
        if runs.is_empty() {
            continue;
        }
        let picture = Picture {
            panels: runs.iter().map(|run| panel(run)).collect(),
            rate: rate(&trace.trace),
            budget: runs.first().map(|run| run.key.budget_ms.into()),
        };
        write(
            &picture,
            &folder.join(format!("split-pipelines-{model}-{}", cell.trace)),
        )?;
    }
    Ok(())
}

fn first<'a>(book: &'a Book, model: &str, trace: &str, method: &str) -> Option<&'a Run> {
    book.runs.iter().find(|run| {
        let key = &run.key;
        key.setting.model == model
            && key.place == Place::Trace(trace.to_owned())
            && key.method == method
            && key.run == 0
    })
}

fn panel(run: &Run) -> Panel {
    let interval = 1.0 / f64::from(run.key.setting.rate);
    let point = |f: &Frame| {
        let completed: Completed = f.completed.parse().ok()?;
        let at = f.number as f64 * interval;
        Some(Point::new(at, f.latency, f.split.clone(), completed))
    };
    let frames = run.recordings.iter().flat_map(|r| &r.frames);
    Panel {
        title: title(&run.key.method),
        points: frames.filter_map(point).collect(),
    }
}
