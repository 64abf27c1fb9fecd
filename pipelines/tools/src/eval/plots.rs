// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Charts: precision over recall, error over time, joints found over distance.

use super::pictures::{Fonts, save};
use super::report::{Report, Row, Table};
use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use splitinfer_evaluate::{Figures, Moment};
use std::path::Path;

const SIZE: (u32, u32) = (900, 540);
/// Width beside the chart for the names of the runs.
const LEGEND: u32 = 210;
/// Readable on white, told apart by people who see few colours: P. Tol, *Colour Schemes*, "bright" and "muted".
const COLOURS: [RGBColor; 8] = [
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
/// More lines than that nobody can tell apart.
const MOST_LINES: usize = 16;

/// A line of a chart.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Chart {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// Where the axes end; `None`: where the lines do.
    x_end: Option<f64>,
    y_end: Option<f64>,
    lines: Vec<Line>,
}

/// Draws what the rows' tables are about.
///
/// # Errors
/// When the folder or a file cannot be written.
pub(super) fn draw(report: &Report, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let fonts = Fonts::find();
    if !fonts.any() {
        eprintln!(
            "splitinfer-eval: this system has no font, so the PNG files have no text (Debian: fonts-dejavu-core)"
        );
    }
    for (name, chart) in charts(report) {
        let svg = chart.svg().with_context(|| format!("drawing {name}"))?;
        save(&svg, folder, name, &fonts)?;
    }
    Ok(())
}

fn charts(report: &Report) -> Vec<(&'static str, Chart)> {
    let rows = |table: Table| -> Vec<&Row> {
        let with = report.runs.iter().filter(|r| r.tables.contains(&table));
        with.collect()
    };
    let (boxes, poses) = (rows(Table::Detection), rows(Table::Pose));
    let all = [
        (
            "precision-recall",
            curve("Precision and recall of boxes (IoU 0.5)", &boxes, |f| {
                &f.detection.precision
            }),
        ),
        (
            "precision-recall-pose",
            curve("Precision and recall of poses (OKS 0.5)", &poses, |f| {
                f.pose.as_ref().map_or(&[], |p| &p.precision[..])
            }),
        ),
        (
            "box-error",
            over_time(
                "Error of the boxes over time",
                "box MAE [px]",
                &boxes,
                |m| m.box_mae,
            ),
        ),
        (
            "joint-error",
            over_time(
                "Error of the joints over time",
                "mean joint error [px]",
                &poses,
                |m| m.joint_error,
            ),
        ),
        ("pck", pck(&poses)),
    ];
    all.into_iter()
        .filter(|(_, c)| !c.lines.is_empty())
        .collect()
}

fn name(row: &Row) -> String {
    match &row.domain {
        Some(domain) => format!("{domain}, {}", row.run),
        None => row.run.clone(),
    }
}

fn lines(rows: &[&Row], points: impl Fn(&Figures) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |row: &&Row| Line {
        name: name(row),
        points: points(&row.figures),
    };
    let all = rows.iter().map(line).filter(|l| !l.points.is_empty());
    all.take(MOST_LINES).collect()
}

fn curve(title: &'static str, rows: &[&Row], precision: impl Fn(&Figures) -> &[f64]) -> Chart {
    let points = |f: &Figures| {
        let values = precision(f).iter().enumerate();
        values.map(|(i, p)| (i as f64 / 100.0, *p)).collect()
    };
    Chart {
        title,
        x: "recall [share of the true ones]",
        y: "precision [share of the found ones]",
        x_end: Some(1.0),
        y_end: Some(1.0),
        lines: lines(rows, points),
    }
}

fn pck(rows: &[&Row]) -> Chart {
    let points = |f: &Figures| {
        let curve = f
            .pose
            .iter()
            .flat_map(|p| p.joints.pck_curve.iter().enumerate());
        curve.map(|(i, s)| (i as f64 / 100.0, *s)).collect()
    };
    Chart {
        title: "Joints found (PCK)",
        x: "largest distance [share of the body's size]",
        y: "joints found [share]",
        x_end: Some(0.5),
        y_end: Some(1.0),
        lines: lines(rows, points),
    }
}

fn over_time(
    title: &'static str,
    y: &'static str,
    rows: &[&Row],
    error: impl Fn(&Moment) -> Option<f64>,
) -> Chart {
    let points = |f: &Figures| {
        let values = f
            .moments
            .iter()
            .filter_map(|m| Some((m.frame as f64, error(m)?)));
        smooth(&values.collect::<Vec<_>>())
    };
    Chart {
        title,
        x: "frame",
        y,
        x_end: None,
        y_end: None,
        lines: lines(rows, points),
    }
}

/// Means over a fiftieth of the sequence, so that the course can be seen.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = points.len() / 100;
    let mean = |i: usize| {
        let near = &points[i.saturating_sub(half)..(i + half + 1).min(points.len())];
        near.iter().map(|p| p.1).sum::<f64>() / near.len() as f64
    };
    (0..points.len()).map(|i| (points[i].0, mean(i))).collect()
}

impl Chart {
    fn svg(&self) -> Result<String> {
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
            .x_label_formatter(&|v| tick(*v))
            .y_label_formatter(&|v| tick(*v))
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
            area.draw(&Text::new(short(&line.name), (38, y - 7), font))?;
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

/// As many digits as it needs, two at most.
fn tick(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What fits beside the chart.
fn short(name: &str) -> String {
    const FITS: usize = 24;
    if name.chars().count() <= FITS {
        return name.to_owned();
    }
    let kept: String = name.chars().take(FITS - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        assert_eq!(
            [0.0, 0.05, 0.5, 1.0, 120.0].map(tick),
            ["0", "0.05", "0.5", "1", "120"]
        );
    }

    #[test]
    fn smoothing_keeps_places_and_means() {
        let points: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let smoothed = smooth(&points);
        assert_eq!(smoothed.len(), points.len());
        assert_eq!(smoothed[100].0, 100.0);
        assert!((smoothed[100].1 - 0.4).abs() < 0.01 || (smoothed[100].1 - 0.6).abs() < 0.01);
        assert_eq!(smooth(&points[..10]), points[..10]);
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
