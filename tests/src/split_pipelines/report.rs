// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables.

use std::fmt::Write;

use super::figures::{Figures, jain};

/// One way to play.
#[derive(Clone, Debug)]
pub struct Method {
    pub name: String,
    pub split: String,
    pub monitor: bool,
    /// Whether the split is always the same.
    pub fixed: bool,
}

/// All methods on one trace.
#[derive(Clone, Debug)]
pub struct Cell {
    pub trace: String,
    pub rows: Vec<(Method, Figures)>,
}

impl Cell {
    /// The fixed choice that was the best for this trace, which nobody knows before.
    pub fn best_fixed(&self) -> Option<&(Method, Figures)> {
        let fixed = self.rows.iter().filter(|r| r.0.fixed);
        fixed.min_by(|a, b| a.1.mean().total_cmp(&b.1.mean()))
    }

    /// % of the best fixed choice's mean.
    pub fn over_best_fixed(&self, figures: &Figures) -> Option<f64> {
        let best = self.best_fixed()?.1.mean();
        Some((figures.mean() / best - 1.0) * 100.0)
    }

    /// Frames in time, in % of those of the method with most.
    pub fn deadline_hit(&self, figures: &Figures) -> f64 {
        let most = self.rows.iter().map(|r| r.1.in_time).fold(0.0, f64::max);
        figures.in_time / most.max(1e-9) * 100.0
    }
}

pub fn traces(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| trace | method | mean ms | p99 ms | in time % | dropped | kB/frame | switches | here, picture, video, cuts, late % | over the best fixed % |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        let best = cell.best_fixed().map(|b| b.0.name.clone());
        for (method, f) in &cell.rows {
            let over = cell.over_best_fixed(f).unwrap_or(f64::NAN);
            let over = match best.as_ref() == Some(&method.name) {
                true => "**best fixed**".to_owned(),
                false => format!("{over:+.1}"),
            };
            let _ = writeln!(
                out,
                "| {} | {} | {:.1} | {:.0} | {:.1} | {} | {:.1} | {} | {} | {over} |",
                cell.trace,
                method.name,
                f.mean(),
                f.quantile(0.99),
                f.in_time * 100.0,
                f.dropped,
                f.bytes / 1e3,
                f.switches,
                shares(f)
            );
        }
    }
    out
}

fn shares(f: &Figures) -> String {
    let known = ["edge", "server", "server-video", "late"].map(|s| f.share(s));
    let cuts = f.shares.values().sum::<f64>() - known.iter().sum::<f64>();
    let [here, picture, video, late] = known;
    [here, picture, video, cuts.max(0.0), late]
        .map(|s| format!("{:.0}", s * 100.0))
        .join(", ")
}

/// So many edges on one server, all of them by the same method.
#[derive(Clone, Debug)]
pub struct Crowd {
    pub method: String,
    pub edges: Vec<Figures>,
}

impl Crowd {
    pub fn means(&self) -> Vec<f64> {
        self.edges.iter().map(Figures::mean).collect()
    }

    /// Frames in time of the edge with fewest, 0 to 1.
    pub fn least_in_time(&self) -> f64 {
        self.edges.iter().map(|e| e.in_time).fold(1.0, f64::min)
    }

    /// See [`jain`], of the frames in time.
    pub fn fairness(&self) -> f64 {
        jain(&self.edges.iter().map(|e| e.in_time).collect::<Vec<_>>())
    }
}

pub fn crowds(crowds: &[Crowd]) -> String {
    let mut out = String::from(
        "| edges | method | mean ms | fastest, slowest edge's mean | slowest edge's p99 | in time %, all | worst edge | fairness | here, picture, video, cuts, late % |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for crowd in crowds {
        let n = crowd.edges.len() as f64;
        let means = crowd.means();
        let mut all = Figures::default();
        for edge in &crowd.edges {
            for (split, share) in &edge.shares {
                *all.shares.entry(split.clone()).or_insert(0.0) += share / n;
            }
        }
        let p99 = crowd.edges.iter().map(|e| e.quantile(0.99));
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} | {:.1}, {:.1} | {:.0} | {:.1} | {:.1} | {:.3} | {} |",
            crowd.edges.len(),
            crowd.method,
            means.iter().sum::<f64>() / n,
            means.iter().copied().fold(f64::INFINITY, f64::min),
            means.iter().copied().fold(0.0, f64::max),
            p99.fold(0.0, f64::max),
            crowd.edges.iter().map(|e| e.in_time).sum::<f64>() / n * 100.0,
            crowd.least_in_time() * 100.0,
            crowd.fairness(),
            shares(&all)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, fixed: bool, mean: f64) -> (Method, Figures) {
        let method = Method {
            name: name.into(),
            split: name.into(),
            monitor: true,
            fixed,
        };
        let figures = Figures {
            latencies: vec![mean],
            in_time: 1.0 / mean,
            ..Figures::default()
        };
        (method, figures)
    }

    #[test]
    fn the_planner_is_compared_with_the_best_fixed_choice() {
        let cell = Cell {
            trace: "lan".into(),
            rows: vec![
                row("auto", false, 11.0),
                row("edge", true, 20.0),
                row("server", true, 10.0),
            ],
        };
        assert_eq!(cell.best_fixed().unwrap().0.name, "server");
        let over = cell.over_best_fixed(&cell.rows[0].1).unwrap();
        assert!((over - 10.0).abs() < 1e-9, "{over}");
        let hit = cell.deadline_hit(&cell.rows[1].1);
        assert!((hit - 50.0).abs() < 1e-9, "{hit}");
    }
}
