// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A chart of lines, as SVG.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

const SIZE: (u32, u32) = (900, 540);
/// Width beside the chart for the names of the runs.
const LEGEND: u32 = 210;
/// Readable on white, told apart by people who see few colours: P. Tol, *Colour Schemes*, "bright" and "muted".
pub(crate) const COLOURS: [RGBColor; 8] = [
    RGBColor(0x44, 0x77, 0xaa),
    RGBColor(0xee, 0x66, 0x77),
    RGBColor(0x22, 0x88, 0x33),
    RGBColor(0xcc, 0xbb, 0x44),
    RGBColor(0x66, 0xcc, 0xee),
    RGBColor(0xaa, 0x33, 0x77),
    RGBColor(0x33, 0x22, 0x88),
    RGBColor(0x88, 0x44, 0x00),
];
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// A line of a chart.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Lines over one axis.
pub struct Chart {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// Where the axes end; `None`: where the lines do.
    pub x_end: Option<f64>,
    pub y_end: Option<f64>,
    pub lines: Vec<Line>,
}

impl Chart {
    /// # Errors
    /// When it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw(&root).map_err(|e| anyhow!("{e}"))?;
            root.present().map_err(|e| anyhow!("{e}"))?;
        }
        Ok(svg)
    }

    fn draw(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(SIZE.0 - LEGEND);
        let (x, y) = self.ranges();
        let (x_end, y_end) = (x.end, y.end);
        let mut chart = ChartBuilder::on(&left)
            .caption(self.title, ("sans-serif", 20).into_font().color(&TEXT))
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(62)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .x_labels(11)
            .y_labels(11)
            .x_desc(self.x)
            .y_desc(self.y)
            .label_style(("sans-serif", 14).into_font().color(&TEXT))
            .axis_desc_style(("sans-serif", 15).into_font().color(&TEXT))
            .x_label_formatter(&|v| tick(*v, digits(x_end)))
            .y_label_formatter(&|v| tick(*v, digits(y_end)))
            .draw()?;
        for (i, line) in self.lines.iter().enumerate() {
            let points = line.points.iter().copied();
            if i < COLOURS.len() {
                chart.draw_series(LineSeries::new(points, style(i)))?;
            } else {
                chart.draw_series(DashedLineSeries::new(points, 6, 4, style(i)))?;
            }
        }
        self.legend(&right)
    }

    /// Names beside a piece of each line.
    fn legend(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        for (i, line) in self.lines.iter().enumerate() {
            let y = 56 + 24 * i as i32;
            let piece = vec![(4, y), (30, y)];
            if i < COLOURS.len() {
                area.draw(&PathElement::new(piece, style(i)))?;
            } else {
                area.draw(&PathElement::new(vec![(4, y), (14, y)], style(i)))?;
                area.draw(&PathElement::new(vec![(20, y), (30, y)], style(i)))?;
            }
            let font = ("sans-serif", 14).into_font().color(&TEXT);
            area.draw(&Text::new(short(&line.name, 24), (38, y - 7), font))?;
        }
        Ok(())
    }

    fn ranges(&self) -> (std::ops::Range<f64>, std::ops::Range<f64>) {
        let points = || self.lines.iter().flat_map(|l| &l.points);
        let first = points().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let last = points().map(|p| p.0).fold(0.0, f64::max);
        let highest = points().map(|p| p.1).fold(0.0, f64::max);
        let x = match self.x_end {
            Some(end) => 0.0..end,
            None => first..last.max(first + 1.0),
        };
        let top = self
            .y_end
            .unwrap_or(if highest > 0.0 { highest * 1.05 } else { 1.0 });
        (x, 0.0..top)
    }
}

fn style(i: usize) -> ShapeStyle {
    COLOURS[i % COLOURS.len()].stroke_width(2)
}

/// Digits after the point that tell the ticks of an axis up to `end` apart.
fn digits(end: f64) -> usize {
    // At least two, and for less than 0.1 two that are not zero.
    (1.0 - end.max(1e-9).log10().floor()).max(2.0) as usize
}

/// As many digits as it needs, `most` after the point.
fn tick(value: f64, most: usize) -> String {
    let text = format!("{value:.most$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What fits beside a chart, in characters.
pub(crate) fn short(name: &str, fits: usize) -> String {
    if name.chars().count() <= fits {
        return name.to_owned();
    }
    let kept: String = name.chars().take(fits - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short_and_tell_small_values_apart() {
        let large = [0.0, 0.05, 0.5, 1.0, 120.0].map(|v| tick(v, digits(120.0)));
        assert_eq!(large, ["0", "0.05", "0.5", "1", "120"]);
        let small = [0.0, 0.002, 0.004].map(|v| tick(v, digits(0.004)));
        assert_eq!(small, ["0", "0.002", "0.004"]);
    }

    #[test]
    fn a_chart_says_what_its_axes_are() {
        let chart = Chart {
            title: "T",
            x: "frame",
            y: "error [px]",
            x_end: None,
            y_end: None,
            lines: vec![Line {
                name: "night, <student>".into(),
                points: vec![(3.0, 1.0), (9.0, 2.5)],
            }],
        };
        let svg = chart.svg().unwrap();
        for text in [
            "frame",
            "error [px]",
            "night, &lt;student&gt;",
            "<svg",
            "polyline",
        ] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert_eq!(chart.ranges(), (3.0..9.0, 0.0..2.625));
    }
}
