// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A scene over time: the error of every method; what the gate said of the student, when it opened, and when new weights
//! came into use.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use splitinfer_evaluate::Frame;

use super::figures::Quality;
use super::plan::{Case, Method, RATE};
use super::run::Run;
use crate::spread::mean;

const SIZE: (u32, u32) = (960, 640);
const KEY: u32 = 190;
/// Frames whose error is one point of a line.
const STEP: usize = 15;

/// Okabe and Ito's colours, which everybody can tell apart.
fn colour(method: Method) -> RGBColor {
    match method {
        Method::None => RGBColor(110, 110, 110),
        Method::Teacher => RGBColor(86, 180, 233),
        Method::Always => RGBColor(0, 158, 115),
        Method::Combined => RGBColor(213, 94, 0),
        Method::Published => RGBColor(204, 121, 167),
        Method::Periodic => RGBColor(230, 159, 0),
        Method::Random => RGBColor(200, 190, 50),
        Method::Confidence => RGBColor(0, 114, 178),
        Method::Accuracy => BLACK,
    }
}

type Failure = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Writes the picture.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(case: &Case, runs: &[(Method, Run)], file: &Path) -> Result<()> {
    paint(case, runs, file).map_err(|e| anyhow!("{}: {e}", file.display()))
}

fn paint(case: &Case, runs: &[(Method, Run)], file: &Path) -> Result<(), Failure> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(SIZE.0 - KEY);
    let gated: Vec<&(Method, Run)> = runs.iter().filter(|(m, _)| m.is_gated()).collect();
    let (top, below) = left.split_vertically(SIZE.1 * 6 / 10);
    errors(&top, case, runs)?;
    for (area, (method, run)) in below
        .split_evenly((gated.len().max(1), 1))
        .iter()
        .zip(gated)
    {
        gate(area, case, *method, run)?;
    }
    legend(&right, runs)?;
    root.present()
}

fn chart<'a, 'b>(
    area: &'a Area<'b>,
    case: &Case,
    high: f64,
    [x, y]: [&str; 2],
) -> Result<Chart<'a, 'b>, Failure> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(if x.is_empty() { 22 } else { 40 })
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..time(case.frames), 0.0..high)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .y_labels(5)
        .axis_desc_style(("sans-serif", 14))
        .label_style(("sans-serif", 12))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    let drift = time(case.drift());
    let line = vec![(drift, 0.0), (drift, high)];
    chart.draw_series([PathElement::new(line, BLACK.stroke_width(1))])?;
    Ok(chart)
}

fn time(frame: u64) -> f64 {
    frame as f64 / f64::from(RATE)
}

fn errors(area: &Area<'_>, case: &Case, runs: &[(Method, Run)]) -> Result<(), Failure> {
    let lines: Vec<(Method, Vec<(f64, f64)>)> = runs
        .iter()
        .map(|(method, run)| (*method, error_line(case, run)))
        .collect();
    let all = lines.iter().flat_map(|(_, line)| line);
    let high = all.fold(1.0f64, |high, (_, e)| high.max(*e)) * 1.05;
    let title = format!("{} (a second)", case.task.columns()[0]);
    let mut chart = chart(area, case, high, ["", &title])?;
    for (method, line) in lines {
        let width = if method == Method::Combined { 3 } else { 2 };
        chart.draw_series(LineSeries::new(line, colour(method).stroke_width(width)))?;
    }
    Ok(())
}

/// The error of each second; seconds in which nothing is there are left out.
fn error_line(case: &Case, run: &Run) -> Vec<(f64, f64)> {
    let point = |(i, seen): (usize, &[super::run::Seen])| {
        let frames: Vec<Frame> = seen.iter().map(|s| s.frame.clone()).collect();
        let error = Quality::of(&frames, case.task).error?;
        Some((time((i * STEP + seen.len() / 2) as u64), error))
    };
    run.seen
        .chunks(STEP)
        .enumerate()
        .filter_map(point)
        .collect()
}

/// Mean quality a third of a second; dots where a window was gated, lines where a new version came.
fn gate(area: &Area<'_>, case: &Case, method: Method, run: &Run) -> Result<(), Failure> {
    let title = format!("quality, {}", method.name());
    let mut chart = chart(area, case, 1.05, ["seconds", &title])?;
    let mut version = 0;
    for (i, seen) in run.seen.iter().enumerate() {
        if seen.version != version {
            version = seen.version;
            let at = time(i as u64);
            let line = vec![(at, 0.0), (at, 1.05)];
            chart.draw_series([PathElement::new(
                line,
                RGBColor(0, 114, 178).stroke_width(2),
            )])?;
        }
    }
    let line = run.seen.chunks(STEP / 3).enumerate().filter_map(|(i, s)| {
        let qualities: Vec<f64> = s.iter().filter_map(|s| s.quality).collect();
        Some((time((i * STEP / 3) as u64), mean(&qualities)?))
    });
    chart.draw_series(LineSeries::new(line, colour(method).stroke_width(2)))?;
    let gated = run.windows.iter().filter(|w| w.gated);
    let mut gated: Vec<u64> = gated.map(|w| w.last_frame).collect();
    gated.dedup();
    let dots = gated
        .iter()
        .map(|frame| Circle::new((time(*frame), 1.0), 3, BLACK.filled()));
    chart.draw_series(dots)?;
    Ok(())
}

fn legend(area: &Area<'_>, runs: &[(Method, Run)]) -> Result<(), Failure> {
    let font = || ("sans-serif", 14).into_font();
    let line = |y: i32, style: ShapeStyle, text: &str| {
        area.draw(&PathElement::new(vec![(4, y), (28, y)], style))?;
        area.draw(&Text::new(text.to_owned(), (36, y - 8), font()))
    };
    for (i, (method, _)) in runs.iter().enumerate() {
        line(
            30 + 24 * i as i32,
            colour(*method).stroke_width(3),
            method.title(),
        )?;
    }
    line(220, BLACK.stroke_width(1), "the domain changes")?;
    line(
        420,
        RGBColor(0, 114, 178).stroke_width(2),
        "new weights in use",
    )?;
    area.draw(&Circle::new((16, 444), 3, BLACK.filled()))?;
    area.draw(&Text::new("gated window", (36, 436), font()))
}
