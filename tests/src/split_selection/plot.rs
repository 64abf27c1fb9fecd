// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Latency over time with the choice's colour: the planner above, the oracle below.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use splitinfer_plan::Choice;

use super::figures::ms;
use super::run::Frame;
use super::study::{Cell, MONITORED, PLANNER};

const SIZE: (u32, u32) = (960, 640);
const KEY: u32 = 170;
/// Okabe and Ito's colours, which everybody can tell apart: here, the picture, and the cuts.
const COLOURS: [RGBColor; 10] = [
    RGBColor(110, 110, 110),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(150, 205, 110),
    RGBColor(130, 80, 170),
    RGBColor(235, 205, 40),
];

type Failure = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn colour(choice: Choice) -> RGBColor {
    let place = match choice {
        Choice::Here => 0,
        Choice::Picture => 1,
        Choice::Candidate(i) => 2 + i,
    };
    COLOURS[place % COLOURS.len()]
}

/// Writes the picture.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(cell: &Cell, file: &Path) -> Result<()> {
    paint(cell, file).map_err(|e| anyhow!("{}: {e}", file.display()))
}

fn paint(cell: &Cell, file: &Path) -> Result<(), Failure> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(SIZE.0 - KEY);
    let frames = |m: &str| {
        cell.row(m)
            .map(|r| r.run.frames.as_slice())
            .unwrap_or_default()
    };
    let parts = left.split_evenly((3, 1));
    let high = ms(cell.setting.budget) * 1.6;
    panel(&parts[0], cell, PLANNER, frames(PLANNER), high)?;
    panel(&parts[1], cell, MONITORED, frames(MONITORED), high)?;
    panel(&parts[2], cell, "oracle", &cell.oracle.frames, high)?;
    legend(&right, cell)?;
    root.present()
}

fn panel(
    area: &Area<'_>,
    cell: &Cell,
    title: &str,
    frames: &[Frame],
    high: f64,
) -> Result<(), Failure> {
    let interval = cell.setting.interval.as_secs_f64();
    let mut chart: ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, RangedCoordf64>> =
        ChartBuilder::on(area)
            .margin(6)
            .x_label_area_size(30)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..interval * frames.len() as f64, 0.0..high)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc(format!("ms, {title}"))
        .y_labels(5)
        .axis_desc_style(("sans-serif", 13))
        .label_style(("sans-serif", 11))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    let budget = ms(cell.setting.budget);
    let line = vec![(0.0, budget), (interval * frames.len() as f64, budget)];
    chart.draw_series([PathElement::new(line, BLACK.stroke_width(1))])?;
    let dots = frames.iter().enumerate().filter_map(|(i, f)| {
        let at = (i as f64 * interval, ms(f.latency).min(high));
        Some(Circle::new(at, 2, colour(f.choice?).filled()))
    });
    chart.draw_series(dots)?;
    Ok(())
}

fn legend(area: &Area<'_>, cell: &Cell) -> Result<(), Failure> {
    let font = || ("sans-serif", 13).into_font();
    for (i, choice) in cell.setting.choices().into_iter().enumerate() {
        let y = 24 + 22 * i as i32;
        let name = match choice {
            Choice::Here => "all here".to_owned(),
            Choice::Picture => "picture".to_owned(),
            Choice::Candidate(i) => format!("cut {i}"),
        };
        area.draw(&Circle::new((12, y), 4, colour(choice).filled()))?;
        area.draw(&Text::new(name, (26, y - 7), font()))?;
    }
    area.draw(&Text::new("line: the budget", (4, 230), font()))
}
