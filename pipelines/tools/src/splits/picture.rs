// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The plot: a panel of dots for each run, and below them the rate of the link.

use super::points::{By, Point};
use crate::chart::short;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

const WIDTH: u32 = 1000;
const LEGEND: u32 = 200;
const PANEL: u32 = 230;
const RATE: u32 = 150;
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);
/// Okabe and Ito's colours, which everybody can tell apart: all here, the picture, and the cuts.
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

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// One run.
#[derive(Clone, Debug)]
pub struct Panel {
    pub title: String,
    pub points: Vec<Point>,
}

#[derive(Clone, Debug)]
pub struct Picture {
    pub panels: Vec<Panel>,
    /// Seconds, and kbit/s from then on; may be empty.
    pub rate: Vec<(f64, f64)>,
    /// ms
    pub budget: Option<f64>,
}

impl Picture {
    /// # Errors
    /// When it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let rate = if self.rate.is_empty() { 0 } else { RATE };
        let high = PANEL * self.panels.len() as u32;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, (WIDTH, high + rate));
            let root = root.into_drawing_area();
            self.draw(&root, high).map_err(|e| anyhow!("{e}"))?;
            root.present().map_err(|e| anyhow!("{e}"))?;
        }
        Ok(svg)
    }

    fn draw(&self, root: &Area<'_>, high: u32) -> Drawn {
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(WIDTH - LEGEND);
        let (above, below) = left.split_vertically(high);
        let areas = above.split_evenly((self.panels.len(), 1));
        for (area, panel) in areas.iter().zip(&self.panels) {
            self.panel(area, panel)?;
        }
        if !self.rate.is_empty() {
            self.draw_rate(&below)?;
        }
        self.legend(&right)
    }

    /// Seconds.
    fn end(&self) -> f64 {
        let last = self.panels.iter().flat_map(|p| &p.points).map(|p| p.at);
        last.fold(1.0, f64::max)
    }

    /// ms: what is above is drawn at the edge.
    fn top(&self) -> f64 {
        let points = || self.panels.iter().flat_map(|p| &p.points);
        let highest = points().map(|p| p.latency).fold(1.0, f64::max) * 1.05;
        self.budget.map_or(highest, |b| highest.min(b * 1.6))
    }

    fn panel(&self, area: &Area<'_>, panel: &Panel) -> Drawn {
        let (end, top) = (self.end(), self.top());
        let title = match panel.title.as_str() {
            "" => "latency, ms".to_owned(),
            title => format!("{title}, ms"),
        };
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(if self.rate.is_empty() { 34 } else { 18 })
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .x_desc(if self.rate.is_empty() { "seconds" } else { "" })
            .y_desc(title)
            .y_labels(6)
            .label_style(("sans-serif", 12).into_font().color(&TEXT))
            .draw()?;
        if let Some(budget) = self.budget {
            let line = vec![(0.0, budget), (end, budget)];
            chart.draw_series([PathElement::new(line, BLACK.stroke_width(1))])?;
        }
        let splits = self.splits();
        for point in &panel.points {
            let at = (point.at, point.latency.min(top));
            let colour = colour(&splits, &point.split);
            match point.by {
                By::Plan => chart.draw_series([Circle::new(at, 2, colour.filled())])?,
                By::Edge => chart.draw_series([Circle::new(at, 3, colour)])?,
                By::None => chart.draw_series([Cross::new(at, 3, BLACK)])?,
            };
        }
        Ok(())
    }

    fn draw_rate(&self, area: &Area<'_>) -> Drawn {
        let end = self.end();
        let most = self.rate.iter().map(|r| r.1 / 1e3).fold(0.1, f64::max);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..most * 1.05)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .x_desc("seconds")
            .y_desc("link, Mbit/s")
            .y_labels(4)
            .label_style(("sans-serif", 12).into_font().color(&TEXT))
            .draw()?;
        let ends = self.rate.iter().skip(1).map(|r| r.0).chain([end]);
        let line = self.rate.iter().zip(ends).flat_map(|(&(from, rate), to)| {
            let within = |at: f64| at.clamp(0.0, end);
            [(within(from), rate / 1e3), (within(to), rate / 1e3)]
        });
        chart.draw_series(LineSeries::new(line, TEXT.stroke_width(2)))?;
        Ok(())
    }

    /// All that occur, those without a cut first, the cuts as they came.
    fn splits(&self) -> Vec<&str> {
        let mut all = vec!["edge", "server", "server-video"];
        for point in self.panels.iter().flat_map(|p| &p.points) {
            if !point.split.is_empty() && !all.contains(&point.split.as_str()) {
                all.push(&point.split);
            }
        }
        all
    }

    fn legend(&self, area: &Area<'_>) -> Drawn {
        let font = || ("sans-serif", 14).into_font().color(&TEXT);
        let splits = self.splits();
        let mut y = 24;
        for split in &splits {
            let name = match *split {
                "edge" => "all here",
                "server" => "picture to the server",
                "server-video" => "video to the server",
                cut => cut,
            };
            let dot = Circle::new((12, y), 4, colour(&splits, split).filled());
            area.draw(&dot)?;
            area.draw(&Text::new(short(name, 22), (26, y - 8), font()))?;
            y += 24;
        }
        area.draw(&Circle::new((12, y), 4, TEXT))?;
        area.draw(&Text::new("late: completed here", (26, y - 8), font()))?;
        area.draw(&Cross::new((12, y + 24), 4, BLACK))?;
        area.draw(&Text::new("without a result", (26, y + 16), font()))?;
        if self.budget.is_some() {
            let line = vec![(4, y + 48), (20, y + 48)];
            area.draw(&PathElement::new(line, BLACK.stroke_width(1)))?;
            area.draw(&Text::new("budget", (26, y + 40), font()))?;
        }
        Ok(())
    }
}

fn colour(splits: &[&str], split: &str) -> RGBColor {
    let place = splits.iter().position(|s| *s == split).unwrap_or(0);
    COLOURS[place % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_meta::Completed;

    fn picture() -> Picture {
        let point = |at, split: &str, completed| Point::new(at, 20.0, split.into(), completed);
        Picture {
            panels: vec![Panel {
                title: "auto".into(),
                points: vec![
                    point(0.0, "relu", Completed::Server),
                    point(1.0, "relu", Completed::Edge),
                    point(2.0, "", Completed::None),
                ],
            }],
            rate: vec![(-1.0, 4000.0), (1.0, 1000.0)],
            budget: Some(50.0),
        }
    }

    #[test]
    fn the_picture_names_what_it_shows() {
        let svg = picture().svg().unwrap();
        for text in ["auto, ms", "relu", "link, Mbit/s", "budget", "all here"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
    }

    #[test]
    fn colours_are_those_of_the_kind_whatever_comes_first() {
        let picture = picture();
        let splits = picture.splits();
        assert_eq!(splits, ["edge", "server", "server-video", "relu"]);
        assert_eq!(colour(&splits, "server"), COLOURS[1]);
    }
}
