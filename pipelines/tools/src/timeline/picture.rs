// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The plot: error above, quality below, and on both what happened when.

use super::errors::{Errors, Series};
use super::events::Events;
use crate::chart::COLOURS;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

const SIZE: (u32, u32) = (1000, 640);
const PANEL: u32 = 290;
const LEGEND: i32 = 24;
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// See `COLOURS`: with and without adaptation, quality, update, drift, gate.
const WITH: RGBColor = COLOURS[0];
const WITHOUT: RGBColor = COLOURS[1];
const QUALITY: RGBColor = COLOURS[2];
const UPDATE: RGBColor = COLOURS[5];
const DRIFT: RGBColor = TEXT;
const GATE: RGBColor = COLOURS[3];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

pub(super) struct Picture<'a> {
    errors: &'a Errors,
    events: &'a Events,
}

impl<'a> Picture<'a> {
    pub fn new(errors: &'a Errors, events: &'a Events) -> Self {
        Self { errors, events }
    }

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

    fn draw(&self, root: &Area<'_>) -> Drawn {
        root.fill(&WHITE)?;
        let (legend, rest) = root.split_vertically(SIZE.1 - 2 * PANEL);
        let (above, below) = rest.split_vertically(PANEL);
        draw_legend(&legend)?;
        let e = self.errors;
        let what = format!("error, {}", e.what);
        self.panel(
            &above,
            &what,
            None,
            &[(&e.plain, WITHOUT), (&e.adapted, WITH)],
        )?;
        let what = "quality, mean of the objects";
        self.panel(&below, what, Some(1.0), &[(&e.quality, QUALITY)])
    }

    fn panel(
        &self,
        area: &Area<'_>,
        y: &str,
        top: Option<f64>,
        lines: &[(&Series, RGBColor)],
    ) -> Drawn {
        let lines: Vec<(Vec<(f64, f64)>, RGBColor)> = lines
            .iter()
            .map(|(s, colour)| (smooth(s), *colour))
            .collect();
        let highest = lines
            .iter()
            .flat_map(|(l, _)| l)
            .map(|p| p.1)
            .fold(0.0, f64::max);
        let top = top.unwrap_or(if highest > 0.0 { highest * 1.05 } else { 1.0 });
        let end = self.errors.frames.max(1) as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(TEXT)
            .x_desc("frame")
            .y_desc(y)
            .x_label_formatter(&|v| format!("{v:.0}"))
            .label_style(("sans-serif", 13).into_font().color(&TEXT))
            .draw()?;
        for [first, last] in self.events.gated.iter().chain(&self.events.learning) {
            let corners = [(*first as f64, 0.0), ((*last + 1) as f64, top)];
            chart.draw_series([Rectangle::new(corners, GATE.mix(0.2).filled())])?;
        }
        let marks = self.events.updates.iter().map(|u| (*u, UPDATE));
        for (frame, colour) in marks.chain(self.errors.drift.map(|d| (d, DRIFT))) {
            let line = [(frame as f64, 0.0), (frame as f64, top)];
            chart.draw_series(DashedLineSeries::new(line, 6, 4, colour.stroke_width(2)))?;
        }
        for (points, colour) in lines {
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        }
        Ok(())
    }
}

fn draw_legend(area: &Area<'_>) -> Drawn {
    let font = ("sans-serif", 14).into_font().color(&TEXT);
    let words = [
        ("without adaptation", WITHOUT),
        ("with adaptation", WITH),
        ("quality", QUALITY),
        ("learning", GATE),
        ("update", UPDATE),
        ("the scene changes", DRIFT),
    ];
    for (i, (word, colour)) in words.into_iter().enumerate() {
        let x = 70 + 152 * i as i32;
        area.draw(&PathElement::new(
            [(x, LEGEND), (x + 18, LEGEND)],
            colour.stroke_width(4),
        ))?;
        area.draw(&Text::new(word, (x + 24, LEGEND - 8), font.clone()))?;
    }
    Ok(())
}

/// The mean over the last hundredth of the frames: single frames jump. What comes later must not show earlier.
fn smooth(series: &Series) -> Vec<(f64, f64)> {
    let span = (series.len() / 100).max(1);
    let mean = |i: usize| {
        let near = &series[(i + 1).saturating_sub(span)..=i];
        near.iter().map(|p| p.1).sum::<f64>() / near.len() as f64
    };
    (0..series.len())
        .map(|i| (series[i].0 as f64, mean(i)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_its_lines_and_says_what_they_are() {
        let errors = Errors {
            frames: 100,
            adapted: (0..100).map(|i| (i, 20.0)).collect(),
            plain: (0..100).map(|i| (i, 50.0)).collect(),
            what: "box MAE [px]",
            quality: vec![(20, 0.5), (30, 0.6)],
            drift: Some(40),
        };
        let events = Events {
            gated: vec![[41, 60]],
            updates: vec![80],
            ..Events::default()
        };
        let svg = Picture::new(&errors, &events).svg().unwrap();
        for text in ["error, box MAE [px]", "without adaptation", "<polyline"] {
            assert!(svg.contains(text), "{text}");
        }
        let without_update = Events {
            updates: Vec::new(),
            ..events.clone()
        };
        let plainer = Picture::new(&errors, &without_update).svg().unwrap();
        assert!(svg.len() > plainer.len());
    }

    #[test]
    fn nothing_shows_before_it_happens() {
        let jump = (0..400).map(|i| (i, if i < 200 { 0.0 } else { 1.0 }));
        let smoothed = smooth(&jump.collect());
        assert_eq!(
            (smoothed[199].1, smoothed[200].1, smoothed[203].1),
            (0.0, 0.25, 1.0)
        );
    }

    #[test]
    fn without_truth_there_is_still_a_picture() {
        let errors = Errors {
            frames: 10,
            what: "box MAE [px]",
            ..Errors::default()
        };
        assert!(Picture::new(&errors, &Events::default()).svg().is_ok());
    }
}
