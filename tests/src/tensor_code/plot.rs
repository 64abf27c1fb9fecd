// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A clip's rate–accuracy curves as a picture: bytes a frame against the output error, a line a code. Each code at the
//! cuts that suit it best: what no other of its points beats in both.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::combinators::LogCoord;
use plotters::prelude::*;

use super::Role;
use super::curve::names;
use super::figures::Point;
use super::report::Report;

const SIZE: (u32, u32) = (960, 600);
/// Okabe and Ito's colours, which everybody can tell apart, and darker and lighter ones of theirs.
const COLOURS: [RGBColor; 12] = [
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
    RGBColor(110, 110, 110),
    RGBColor(235, 205, 40),
    RGBColor(140, 86, 75),
    RGBColor(60, 60, 60),
    RGBColor(150, 205, 110),
    RGBColor(130, 80, 170),
    RGBColor(80, 200, 190),
];
/// The project's own codes, the better one last.
const OWN: [RGBColor; 2] = [RGBColor(213, 94, 0), RGBColor(150, 0, 0)];

/// What is right to the last digits is of no interest, nor what is wrong altogether.
const ERRORS: std::ops::RangeInclusive<f64> = 5e-4..=0.7;

/// Bytes and error of the points that no other beats, from few bytes to many.
fn envelope(points: &[Point], code: &str) -> Vec<(f64, f64)> {
    let shown = |p: &&Point| p.code == code && ERRORS.contains(&p.output_error);
    let own = points.iter().filter(shown);
    let mut sorted: Vec<(f64, f64)> = own.map(|p| (p.mean_bytes, p.output_error)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut out: Vec<(f64, f64)> = Vec::new();
    for point in sorted {
        if out.last().is_none_or(|last| point.1 < last.1) {
            out.push(point);
        }
    }
    out
}

/// From the smallest to the largest, with a little room.
fn span(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    low / 1.2..high * 1.2
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<LogCoord<f64>, LogCoord<f64>>>;

/// Writes the picture.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(report: &Report, file: &Path) -> Result<()> {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = names(&report.points)
        .into_iter()
        .map(|code| (code, envelope(&report.points, code)))
        .filter(|(_, curve)| !curve.is_empty())
        .collect();
    let all = || curves.iter().flat_map(|(_, c)| c.iter());
    let bytes = span(all().map(|p| p.0 / 1e3));
    let errors = span(all().map(|p| p.1));
    let failed = |e: &dyn std::fmt::Display| anyhow!("{}: {e}", file.display());

    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|e| failed(&e))?;
    let (left, right) = root.split_horizontally(SIZE.0 - 230);
    let mut chart = ChartBuilder::on(&left)
        .caption(&report.clip, ("sans-serif", 22))
        .margin(12)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(bytes.log_scale(), errors.log_scale())
        .map_err(|e| failed(&e))?;
    chart
        .configure_mesh()
        .x_desc("kB a frame, after the first")
        .y_desc("relative output error")
        .axis_desc_style(("sans-serif", 15))
        .label_style(("sans-serif", 13))
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(220, 220, 220))
        .x_label_formatter(&|v| plain(*v))
        .y_label_formatter(&|v| plain(*v))
        .draw()
        .map_err(|e| failed(&e))?;
    let mut key = Vec::new();
    for (i, (code, curve)) in curves.iter().enumerate() {
        let (style, mark) = style(report, code, i);
        line(&mut chart, curve, style, mark).map_err(|e| failed(&e))?;
        key.push((*code, style, mark));
    }
    legend(&right, &key).map_err(|e| failed(&e))?;
    root.present().map_err(|e| failed(&e))
}

/// What marks the points of a line.
#[derive(Clone, Copy)]
enum Mark {
    Dot,
    /// The picture's codes.
    Ring,
}

fn style(report: &Report, code: &str, index: usize) -> (ShapeStyle, Mark) {
    let own = report.own_codes();
    let of_picture = report
        .points
        .iter()
        .any(|p| p.code == code && p.cut.is_none());
    let mark = if of_picture { Mark::Ring } else { Mark::Dot };
    match own.iter().position(|(name, _)| *name == code) {
        Some(i) => {
            let best = own[i].1 == Role::Predicted || own.len() == 1;
            let colour = OWN[usize::from(best)];
            (colour.stroke_width(4), mark)
        }
        None => (COLOURS[index % COLOURS.len()].stroke_width(2), mark),
    }
}

type Failure = DrawingAreaErrorKind<std::io::Error>;

fn line(
    chart: &mut Chart<'_, '_>,
    curve: &[(f64, f64)],
    style: ShapeStyle,
    mark: Mark,
) -> Result<(), Failure> {
    let points = || curve.iter().map(|(b, e)| (b / 1e3, *e));
    chart.draw_series(LineSeries::new(points(), style))?;
    for point in points() {
        dot(point, style, mark, &mut |element| {
            chart.draw_series([element]).map(drop)
        })?;
    }
    Ok(())
}

type Dot<C> = Circle<C, i32>;

fn dot<C>(
    at: C,
    style: ShapeStyle,
    mark: Mark,
    draw: &mut dyn FnMut(Dot<C>) -> Result<(), Failure>,
) -> Result<(), Failure>
where
    C: Clone,
{
    let size = style.stroke_width as i32 + 1;
    match mark {
        Mark::Dot => draw(Circle::new(at, size, style.color.filled())),
        Mark::Ring => {
            draw(Circle::new(at.clone(), size + 1, WHITE.filled()))?;
            draw(Circle::new(at, size + 1, style.color.stroke_width(2)))
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn legend(area: &Area<'_>, key: &[(&str, ShapeStyle, Mark)]) -> Result<(), Failure> {
    for (i, (code, style, mark)) in key.iter().enumerate() {
        let y = 60 + 26 * i as i32;
        area.draw(&PathElement::new(vec![(0, y), (28, y)], *style))?;
        dot((14, y), *style, *mark, &mut |element| area.draw(&element))?;
        let font = ("sans-serif", 15).into_font();
        area.draw(&Text::new((*code).to_owned(), (38, y - 8), font))?;
    }
    Ok(())
}

/// 0.001, 0.05, 3, 200.
fn plain(value: f64) -> String {
    let digits = (-value.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::point;
    use super::*;

    #[test]
    fn only_points_that_no_other_beats_are_on_the_line() {
        let mut points = [100.0, 200.0, 300.0].map(|bytes| point(1.0, bytes, 1.0, None));
        points[1].output_error = 0.5;
        assert_eq!(
            envelope(&points, "code"),
            [(100.0, 0.01), (300.0, 1.0 / 300.0)]
        );
    }

    #[test]
    fn numbers_on_the_axes_have_no_more_digits_than_they_need() {
        assert_eq!(
            [0.001, 0.05, 3.0, 200.0].map(plain),
            ["0.001", "0.05", "3", "200"]
        );
    }
}
