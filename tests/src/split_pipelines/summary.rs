// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the runs of one model on the traces come to.

use super::book::{Book, Place};
use super::figures::Figures;
use super::method;
use crate::measure::quantile;
use crate::spread::{half_width, mean};

/// One method on one trace.
#[derive(Clone, Debug)]
pub struct Row {
    pub method: String,
    /// By the number of the run.
    pub runs: Vec<(u32, Figures)>,
}

/// All methods on one trace.
#[derive(Clone, Debug)]
pub struct Cell {
    pub trace: String,
    pub rows: Vec<Row>,
}

/// % and, where there are enough runs, half of its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent {
    pub value: f64,
    pub half_width: Option<f64>,
}

impl Row {
    /// One number a run.
    pub fn each(&self, of: impl Fn(&Figures) -> f64) -> Vec<f64> {
        self.runs.iter().map(|(_, f)| of(f)).collect()
    }

    /// Mean over the runs.
    pub fn mean(&self, of: impl Fn(&Figures) -> f64) -> f64 {
        mean(&self.each(of)).unwrap_or(f64::NAN)
    }

    /// Of the latencies of all frames of all runs.
    pub fn quantile(&self, q: f64) -> f64 {
        let all = self.runs.iter().flat_map(|(_, f)| f.latencies.clone());
        quantile(&all.collect::<Vec<_>>(), q)
    }

    fn in_run(&self, run: u32) -> Option<&Figures> {
        self.runs.iter().find(|(r, _)| *r == run).map(|(_, f)| f)
    }
}

impl Cell {
    /// One for each trace that a model was played on.
    pub fn all(book: &Book, model: &str) -> Vec<Self> {
        let mut cells: Vec<Self> = Vec::new();
        let runs = book.runs.iter().filter(|r| r.key.setting.model == model);
        for run in runs {
            let (Place::Trace(trace), Some(recording)) = (&run.key.place, run.recordings.first())
            else {
                continue;
            };
            let figures = Figures::new(recording, &run.key);
            let cell = find(
                &mut cells,
                |c| c.trace == *trace,
                || Self {
                    trace: trace.clone(),
                    rows: Vec::new(),
                },
            );
            let row = find(
                &mut cell.rows,
                |r| r.method == run.key.method,
                || Row {
                    method: run.key.method.clone(),
                    runs: Vec::new(),
                },
            );
            row.runs.push((run.key.run, figures));
        }
        for cell in &mut cells {
            cell.rows
                .sort_by_key(|r| (method::place(&r.method), r.method.clone()));
        }
        cells
    }

    pub fn row(&self, method: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.method == method)
    }

    /// The fixed choice with the least mean over all runs, which nobody knows before.
    pub fn best_fixed(&self) -> Option<&Row> {
        let fixed = self.rows.iter().filter(|r| method::is_fixed(&r.method));
        fixed.min_by(|a, b| a.mean(Figures::mean).total_cmp(&b.mean(Figures::mean)))
    }

    /// % of the best fixed choice's mean, over the runs that both have. How far it may be off is told by how it differs from run
    /// to run, each against the best fixed choice's own run.
    pub fn over_best_fixed(&self, method: &str) -> Option<Percent> {
        let pairs = self.pairs(method)?;
        let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
        let ratios: Vec<f64> = pairs
            .iter()
            .map(|(own, best)| percent_over(*own, *best))
            .collect();
        (!pairs.is_empty()).then(|| Percent {
            value: percent_over(sum(|p| p.0), sum(|p| p.1)),
            half_width: half_width(&ratios),
        })
    }

    /// Means of the method and of the best fixed choice in the runs that both have.
    fn pairs(&self, method: &str) -> Option<Vec<(f64, f64)>> {
        let best = self.best_fixed()?;
        let row = self.row(method)?;
        let pair = |(run, own): &(u32, Figures)| Some((own.mean(), best.in_run(*run)?.mean()));
        Some(row.runs.iter().filter_map(pair).collect())
    }

    /// Frames in time, in % of those of the method with most.
    pub fn deadline_hit(&self, method: &str) -> Option<f64> {
        let in_time = |row: &Row| row.mean(|f| f.in_time);
        let most = self.rows.iter().map(in_time).fold(0.0, f64::max);
        Some(in_time(self.row(method)?) / most.max(1e-9) * 100.0)
    }
}

/// Of one method over all of these traces: the mean of what it is over the best fixed choices. How far it may be off is told by
/// how the same mean differs from run to run.
pub fn over_best_fixed(cells: &[Cell], method: &str) -> Option<Percent> {
    let over = cells.iter().filter_map(|c| c.over_best_fixed(method));
    let value = mean(&over.map(|p| p.value).collect::<Vec<_>>())?;
    let mut by_run = std::collections::BTreeMap::<u32, Vec<f64>>::new();
    for cell in cells {
        let (Some(best), Some(row)) = (cell.best_fixed(), cell.row(method)) else {
            continue;
        };
        for (run, own) in &row.runs {
            let best = best.in_run(*run).map(Figures::mean);
            let over = best.map(|best| percent_over(own.mean(), best));
            by_run.entry(*run).or_default().extend(over);
        }
    }
    let whole = by_run.values().map(Vec::len).max();
    let runs = by_run.values().filter(|v| Some(v.len()) == whole);
    let means: Vec<f64> = runs.filter_map(|v| mean(v)).collect();
    Some(Percent {
        value,
        half_width: half_width(&means),
    })
}

fn percent_over(own: f64, best: f64) -> f64 {
    (own / best - 1.0) * 100.0
}

/// The one that is meant, made where there is none.
pub(super) fn find<T>(
    all: &mut Vec<T>,
    meant: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
) -> &mut T {
    let at = all.iter().position(meant).unwrap_or_else(|| {
        all.push(make());
        all.len() - 1
    });
    &mut all[at]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A method's means in its runs.
    pub fn row(method: &str, means: &[f64]) -> Row {
        let figures = |mean: f64| Figures {
            latencies: vec![mean],
            in_time: 1.0 / mean,
            ..Figures::default()
        };
        let runs = means.iter().enumerate();
        Row {
            method: method.into(),
            runs: runs.map(|(i, m)| (i as u32, figures(*m))).collect(),
        }
    }

    pub fn cell(trace: &str, rows: Vec<Row>) -> Cell {
        Cell {
            trace: trace.into(),
            rows,
        }
    }

    #[test]
    fn the_best_fixed_choice_is_the_best_over_all_runs() {
        let cell = cell(
            "lan",
            vec![
                row("planner", &[11.0, 22.0, 33.0]),
                row("here", &[20.0, 20.0, 26.0]),
                row("picture", &[10.0, 20.0, 30.0]),
                row("bandit", &[5.0, 5.0, 5.0]),
            ],
        );
        let best = &cell.best_fixed().unwrap().method;
        assert_eq!(best, "picture", "the bandit is not fixed");
        let over = cell.over_best_fixed("planner").unwrap();
        assert!((over.value - 10.0).abs() < 1e-9, "{over:?}");
        assert!(over.half_width.unwrap() < 1e-9, "by the same in every run");
        let hit = cell.deadline_hit("here").unwrap();
        assert!(hit < 30.0, "{hit}");
        assert_eq!(cell.over_best_fixed("video"), None);
    }

    #[test]
    fn only_runs_that_both_have_are_compared() {
        let cell = cell(
            "lan",
            vec![row("planner", &[11.0, 500.0]), row("here", &[10.0])],
        );
        let over = cell.over_best_fixed("planner").unwrap();
        assert!((over.value - 10.0).abs() < 1e-9, "{over:?}");
        assert_eq!(over.half_width, None);
    }

    #[test]
    fn over_several_traces_runs_vary_together() {
        let cells = [
            cell(
                "a",
                vec![row("planner", &[11.0, 12.0, 13.0]), row("here", &[10.0; 3])],
            ),
            cell(
                "b",
                vec![row("planner", &[12.0, 11.0, 10.0]), row("here", &[10.0; 3])],
            ),
        ];
        let over = over_best_fixed(&cells, "planner").unwrap();
        assert!((over.value - 15.0).abs() < 1e-9, "{over:?}");
        assert!(over.half_width.unwrap() < 1e-9, "each run is 15 % over");
        assert_eq!(over_best_fixed(&cells, "bandit"), None);
    }
}
