// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Figures as Markdown tables.

use super::report::{Row, Table};
use splitinfer_evaluate::Figures;

/// A column: its title, and its cell for a row.
struct Column {
    title: String,
    cell: Box<dyn Fn(&Row) -> String>,
}

impl Column {
    fn new(title: impl Into<String>, cell: impl Fn(&Row) -> String + 'static) -> Self {
        Self {
            title: title.into(),
            cell: Box::new(cell),
        }
    }

    /// A figure with so many digits behind the point; a dash where there is none.
    fn number(
        title: impl Into<String>,
        digits: usize,
        figure: impl Fn(&Figures) -> Option<f64> + 'static,
    ) -> Self {
        Self::new(title, move |row| {
            figure(&row.figures).map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}"))
        })
    }
}

/// The table of these rows, with a line below it that says what score objects had to reach.
pub(super) fn table(table: Table, rows: &[&Row]) -> String {
    let columns = match table {
        Table::Detection => detection(),
        Table::Pose => pose(rows),
        Table::Tracking => tracking(),
    };
    let mut texts = vec![Column::new("run", |r| escape(&r.run))];
    if rows.iter().any(|r| r.domain.is_some()) {
        let domain = |r: &Row| escape(r.domain.as_deref().unwrap_or("–"));
        texts.insert(0, Column::new("domain", domain));
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let all = || texts.iter().chain(&columns);
    let mut out = line(all().map(|c| c.title.clone()).collect());
    let rules = texts
        .iter()
        .map(|_| "---")
        .chain(columns.iter().map(|_| "---:"));
    out += &format!("|{}|\n", rules.collect::<Vec<_>>().join("|"));
    for row in rows {
        out += &line(all().map(|c| (c.cell)(row)).collect());
    }
    out + &scores(rows)
}

fn scores(rows: &[&Row]) -> String {
    let mut by_run: Vec<(&str, f64)> = rows.iter().map(|r| (r.run.as_str(), r.score)).collect();
    by_run.dedup_by(|a, b| a.1 == b.1);
    let said: Vec<String> = match &by_run[..] {
        [(_, score)] => vec![format!("{score}")],
        _ => {
            by_run.sort_by(|a, b| a.0.cmp(b.0));
            by_run.dedup();
            by_run
                .iter()
                .map(|(run, score)| format!("{score} ({run})"))
                .collect()
        }
    };
    format!(
        "\nAll but AP: objects that score at least {}.\n",
        said.join(", ")
    )
}

fn detection() -> Vec<Column> {
    vec![
        Column::new("frames", |r| r.figures.frames.to_string()),
        Column::new("objects", |r| {
            r.figures.detection.any_label.objects.to_string()
        }),
        Column::number("AP50", 3, |f| f.detection.ap50),
        Column::number("AP50-95", 3, |f| f.detection.ap),
        Column::number("AP50 any label", 3, |f| f.detection.any_label.ap50),
        Column::number("right label", 3, |f| f.detection.boxes.right_label),
        Column::number("count error", 2, |f| f.detection.boxes.count_error),
        Column::new("count bias", |r| {
            let bias = r.figures.detection.boxes.count_bias;
            bias.map_or_else(|| "–".to_owned(), |b| format!("{b:+.2}"))
        }),
        Column::number("box MAE px", 1, |f| f.detection.boxes.mae),
        Column::number("of pairs px", 1, |f| f.detection.boxes.mae_of_pairs),
        Column::number("missed %", 1, |f| {
            let b = &f.detection.boxes;
            percent(b.missed, b.missed + b.paired)
        }),
        Column::number("false %", 1, |f| {
            let b = &f.detection.boxes;
            percent(b.false_alarms, b.false_alarms + b.paired)
        }),
    ]
}

fn pose(rows: &[&Row]) -> Vec<Column> {
    let mut columns = vec![
        Column::new("frames", |r| r.figures.frames.to_string()),
        Column::number("people", 0, |f| {
            f.pose.as_ref().map(|p| p.joints.people as f64)
        }),
        Column::number("found %", 1, |f| {
            let joints = &f.pose.as_ref()?.joints;
            percent(joints.found, joints.people)
        }),
        Column::number("OKS-AP50", 3, |f| f.pose.as_ref()?.ap50),
        Column::number("OKS-AP", 3, |f| f.pose.as_ref()?.ap),
    ];
    let first = rows.iter().find_map(|r| r.figures.pose.as_ref());
    for (i, pck) in first.iter().flat_map(|p| &p.joints.pck).enumerate() {
        columns.push(Column::number(format!("PCK@{}", pck.within), 3, move |f| {
            f.pose.as_ref()?.joints.pck.get(i)?.all
        }));
    }
    columns.extend([
        Column::number("joint error px", 2, |f| f.pose.as_ref()?.joints.joint_error),
        Column::number("knee °", 1, |f| f.pose.as_ref()?.joints.knee.in_picture),
        Column::number("knee ° in space", 1, |f| {
            f.pose.as_ref()?.joints.knee.in_space
        }),
        Column::number("of it projection °", 1, |f| {
            f.pose.as_ref()?.joints.knee.of_projection
        }),
    ]);
    columns
}

fn tracking() -> Vec<Column> {
    let count = |pick: fn(&splitinfer_evaluate::Tracking) -> usize| {
        move |r: &Row| {
            let figures = r.figures.tracking.as_ref();
            figures.map_or_else(|| "–".to_owned(), |t| pick(t).to_string())
        }
    };
    vec![
        Column::new("frames", |r| r.figures.frames.to_string()),
        Column::new("objects", count(|t| t.objects)),
        Column::number("MOTA", 3, |f| f.tracking.as_ref()?.mota),
        Column::number("IDF1", 3, |f| f.tracking.as_ref()?.idf1),
        Column::number("overlap", 3, |f| f.tracking.as_ref()?.motp),
        Column::new("missed", count(|t| t.missed)),
        Column::new("false", count(|t| t.false_alarms)),
        Column::new("switches", count(|t| t.switches)),
    ]
}

fn percent(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// A name must not end its cell.
fn escape(name: &str) -> String {
    name.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: &str, domain: Option<&str>, score: f64) -> Row {
        Row {
            run: run.into(),
            domain: domain.map(str::to_owned),
            score,
            tables: vec![Table::Detection],
            figures: Figures {
                frames: 7,
                ..Figures::default()
            },
        }
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let (a, b) = (row("a|b", Some("day"), 0.3), row("c", None, 0.25));
        for kind in [Table::Detection, Table::Pose, Table::Tracking] {
            let text = table(kind, &[&a, &b]);
            let cells = |line: &str| line.replace("\\|", "").matches('|').count();
            let lines: Vec<&str> = text.lines().take(4).collect();
            assert!(lines.iter().all(|l| cells(l) == cells(lines[0])), "{text}");
            assert!(lines[0].starts_with("| domain | run |"), "{text}");
            assert!(lines[3].starts_with("| – | c | 7 |"), "{text}");
            assert!(text.contains("0.3 (a|b), 0.25 (c)"), "{text}");
        }
        assert!(table(Table::Detection, &[&b]).starts_with("| run |"));
    }
}
