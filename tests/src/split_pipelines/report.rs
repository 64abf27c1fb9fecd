// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables of the traces.

use std::fmt::Write;

use super::book::Book;
use super::figures::Figures;
use super::method::{KINDS, title};
use super::summary::{Cell, Percent, Row, over_best_fixed};
use crate::measure::quantile;
use crate::spread::{mean, text};

/// What was measured of a model before, and what followed from that.
pub fn stages(book: &Book, model: &str) -> String {
    let mut out = String::new();
    for (setting, profile) in book.profiles.iter().filter(|(s, _)| s.model == model) {
        let mut runs = book.runs.iter().filter(|r| r.key.setting == *setting);
        let Some(budget) = runs.next().map(|r| r.key.budget_ms) else {
            continue;
        };
        let cuts = profile.cuts.iter().zip(&profile.edge.cuts).enumerate();
        let cuts = cuts.map(|(i, (cut, part))| {
            let kb = cut.bytes as f64 / 1e3;
            format!(
                "{i}: {:.1} + {:.1} ms, {kb:.1} kB",
                part.head, part.coding.encode
            )
        });
        let _ = writeln!(
            out,
            "{} frames a second for {:.0} seconds; edge {} of a processor, {:.1} ms whole; server {}, {:.1} ms. Budget {budget} ms. \
             Picture {:.1} kB, video {} kB. Cuts, head and coding: {}.\n",
            setting.rate,
            setting.shots as f64 / f64::from(setting.rate),
            setting.edge,
            profile.edge.whole,
            setting.server,
            profile.server.whole,
            profile.picture_bytes as f64 / 1e3,
            profile
                .video_bytes
                .map_or("–".to_owned(), |b| format!("{:.1}", b as f64 / 1e3)),
            cuts.collect::<Vec<_>>().join("; "),
        );
    }
    out
}

/// All methods on each trace.
pub fn traces(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| trace | method | mean ms | p99 ms | in time % | dropped | kB/frame | switches | here, picture, video, cuts, late % | over the best fixed % |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        let best = cell.best_fixed().map(|b| b.method.clone());
        for row in &cell.rows {
            let over = match best.as_ref() == Some(&row.method) {
                true => "**best fixed**".to_owned(),
                false => percent(cell.over_best_fixed(&row.method)),
            };
            let _ = writeln!(out, "| {} | {} | {over} |", cell.trace, cells_of(row));
        }
    }
    out
}

fn cells_of(row: &Row) -> String {
    format!(
        "{} | {} | {:.0} | {} | {:.0} | {:.1} | {:.0} | {}",
        title(&row.method),
        text(&row.each(Figures::mean), 1),
        row.quantile(0.99),
        text(&row.each(|f| f.in_time * 100.0), 1),
        row.mean(|f| f.dropped as f64),
        row.mean(|f| f.bytes / 1e3),
        row.mean(|f| f.switches as f64),
        shares(row.runs.iter().map(|(_, f)| f)),
    )
}

fn percent(percent: Option<Percent>) -> String {
    match percent {
        None => "–".to_owned(),
        Some(Percent {
            value,
            half_width: None,
        }) => format!("{value:+.1}"),
        Some(Percent {
            value,
            half_width: Some(half),
        }) => format!("{value:+.1} ± {half:.1}"),
    }
}

/// Each method over all of the traces; of the cuts the best one of each trace.
pub fn methods(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| method | over the best fixed %, mean | worst trace | in time %, mean | worst trace |\n|---|---|---|---|---|\n",
    );
    let best: Vec<Cell> = cells.iter().map(with_best_cut).collect();
    for (id, _) in KINDS {
        let over = best.iter().filter_map(|c| {
            let over = c.over_best_fixed(id)?;
            Some((over.value, c.trace.as_str()))
        });
        let worst = over.max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((worst, trace)) = worst else {
            continue;
        };
        let in_time = best.iter().filter_map(|c| c.row(id));
        let in_time: Vec<f64> = in_time.map(|r| r.mean(|f| f.in_time * 100.0)).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {worst:+.1} ({trace}) | {:.1} | {:.1} |",
            title(id),
            percent(over_best_fixed(&best, id)),
            mean(&in_time).unwrap_or(f64::NAN),
            quantile(&in_time, 0.0),
        );
    }
    out
}

/// The kind of method that stands for all cuts.
pub(super) const BEST_CUT: &str = "cuts";

/// With the best of the cuts in place of all of them.
pub(super) fn with_best_cut(cell: &Cell) -> Cell {
    let (cuts, mut rows): (Vec<Row>, Vec<Row>) = (cell.rows.iter().cloned())
        .partition(|r| super::method::place(&r.method) == super::method::place(BEST_CUT));
    let best = cuts
        .into_iter()
        .min_by(|a, b| a.mean(Figures::mean).total_cmp(&b.mean(Figures::mean)));
    rows.extend(best.map(|row| Row {
        method: BEST_CUT.to_owned(),
        ..row
    }));
    Cell {
        trace: cell.trace.clone(),
        rows,
    }
}

/// In %, of all frames of these.
pub(super) fn shares<'a>(figures: impl Iterator<Item = &'a Figures>) -> String {
    let all: Vec<&Figures> = figures.collect();
    let of = |split| all.iter().map(|f| f.share(split)).sum::<f64>() / all.len().max(1) as f64;
    let total = all
        .iter()
        .map(|f| f.shares.values().sum::<f64>())
        .sum::<f64>();
    let [here, picture, video, late] = ["edge", "server", "server-video", "late"].map(of);
    let cuts = total / all.len().max(1) as f64 - here - picture - video - late;
    [here, picture, video, cuts.max(0.0), late]
        .map(|s| format!("{:.0}", s * 100.0))
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::{cell, row};
    use super::*;

    #[test]
    fn of_the_cuts_the_best_of_each_trace_counts() {
        let cells = [
            cell(
                "a",
                vec![
                    row("planner", &[12.0]),
                    row("cut-1", &[10.0]),
                    row("cut-3", &[20.0]),
                ],
            ),
            cell(
                "b",
                vec![
                    row("planner", &[10.0]),
                    row("cut-1", &[30.0]),
                    row("cut-3", &[20.0]),
                ],
            ),
        ];
        let table = methods(&cells);
        assert!(table.contains("| best cut | +0.0 | +0.0 (b) |"), "{table}");
        assert!(table.contains("| planner | -15.0 | +20.0 (a) |"), "{table}");
        assert!(!table.contains("bandit"), "{table}");
    }

    #[test]
    fn the_best_fixed_choice_is_marked() {
        let cells = [cell(
            "a",
            vec![row("planner", &[12.0]), row("here", &[10.0])],
        )];
        let table = traces(&cells);
        assert!(
            table.contains(
                "| a | all here | 10.0 | 10 | 10.0 | 0 | 0.0 | 0 | 0, 0, 0, 0, 0 | **best fixed** |"
            ),
            "{table}"
        );
        assert!(table.contains("| +20.0 |"), "{table}");
    }

    #[test]
    fn what_is_neither_here_nor_whole_there_is_a_cut() {
        let figures = |split: &str| Figures {
            shares: [(split.to_owned(), 0.5), ("edge".to_owned(), 0.5)].into(),
            ..Figures::default()
        };
        let all = [figures("relu"), figures("late")];
        assert_eq!(shares(all.iter()), "50, 0, 0, 25, 25");
    }
}
