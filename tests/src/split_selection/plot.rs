// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Latency over time with the choice's colour: the planner above, the oracle below, and the link.

use std::path::Path;

use anyhow::{Context, Result};
use splitinfer_meta::Completed;
use splitinfer_plan::Choice;
use splitinfer_tools::splits::{Panel, Picture, Point, rate};

use super::figures::ms;
use super::run::Frame;
use super::study::{Cell, Draw, MONITORED, PLANNER};

/// Writes the picture of the first draw, as SVG.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(cell: &Cell, file: &Path) -> Result<()> {
    let first = cell.draws.first().context("nothing was simulated")?;
    let svg = picture(cell, first).svg()?;
    std::fs::write(file, svg).with_context(|| file.display().to_string())
}

fn picture(cell: &Cell, draw: &Draw) -> Picture {
    let runs = [PLANNER, MONITORED].map(|method| {
        let run = cell.row(method).and_then(|r| r.runs.first());
        let frames = run.map(|run| run.frames.as_slice());
        (method, frames.unwrap_or_default())
    });
    let oracle = ("oracle", draw.oracle.frames.as_slice());
    let panels = runs.into_iter().chain([oracle]);
    let panels = panels.map(|(title, frames)| Panel {
        title: title.to_owned(),
        points: points(draw, frames),
    });
    Picture {
        panels: panels.collect(),
        rate: rate(&draw.setting.trace),
        budget: Some(ms(draw.setting.budget)),
    }
}

fn points(draw: &Draw, frames: &[Frame]) -> Vec<Point> {
    let interval = draw.setting.interval.as_secs_f64();
    let point = |(i, frame): (usize, &Frame)| {
        let completed = match frame.by_server {
            true => Completed::Server,
            false => Completed::Edge,
        };
        let split = match frame.choice? {
            Choice::Here => "edge".to_owned(),
            Choice::Picture => "server".to_owned(),
            Choice::Video => "server-video".to_owned(),
            Choice::Candidate(i) => format!("cut {i}"),
        };
        let at = i as f64 * interval;
        Some(Point::new(at, ms(frame.latency), split, completed))
    };
    frames.iter().enumerate().filter_map(point).collect()
}
