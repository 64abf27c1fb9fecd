// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Charts: precision over recall, error over time, joints found over distance.

use super::report::{Report, Row, Table};
use crate::chart::{Chart, Line};
use crate::images::{Fonts, save};
use anyhow::{Context, Result};
use splitinfer_evaluate::{Figures, Moment};
use std::path::Path;

/// More lines than that nobody can tell apart.
const MOST_LINES: usize = 16;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_places_and_means() {
        let points: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let smoothed = smooth(&points);
        assert_eq!(smoothed.len(), points.len());
        assert_eq!(smoothed[100].0, 100.0);
        assert!((smoothed[100].1 - 0.4).abs() < 0.01 || (smoothed[100].1 - 0.6).abs() < 0.01);
        assert_eq!(smooth(&points[..10]), points[..10]);
    }
}
