// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What many edges on one server come to.

use std::fmt::Write;

use super::book::{Book, Place};
use super::figures::{Figures, jain};
use super::method;
use super::report::shares;
use super::summary::find;
use crate::spread::{mean, text};

/// So many edges on one server, all of them by the same method.
#[derive(Clone, Debug)]
pub struct Crowd {
    pub edges: usize,
    pub method: String,
    /// All edges of each run.
    pub runs: Vec<Vec<Figures>>,
}

impl Crowd {
    /// All that were played with a model.
    pub fn all(book: &Book, model: &str) -> Vec<Self> {
        let mut crowds: Vec<Self> = Vec::new();
        let runs = book.runs.iter().filter(|r| r.key.setting.model == model);
        for run in runs {
            let (Place::Edges(edges), method) = (&run.key.place, &run.key.method) else {
                continue;
            };
            let same = |c: &Self| c.edges == *edges && c.method == *method;
            let crowd = find(&mut crowds, same, || Self {
                edges: *edges,
                method: method.clone(),
                runs: Vec::new(),
            });
            let figures = run.recordings.iter().map(|r| Figures::new(r, &run.key));
            crowd.runs.push(figures.collect());
        }
        crowds.sort_by_key(|c| (c.edges, method::place(&c.method)));
        crowds
    }

    /// One number a run.
    fn each(&self, of: impl Fn(&[Figures]) -> f64) -> Vec<f64> {
        self.runs.iter().map(|edges| of(edges)).collect()
    }

    fn mean(&self, of: impl Fn(&[Figures]) -> f64) -> f64 {
        mean(&self.each(of)).unwrap_or(f64::NAN)
    }

    /// Frames in time of the edge with fewest, 0 to 1; mean over the runs.
    pub fn least_in_time(&self) -> f64 {
        self.mean(|edges| least(edges, |e| e.in_time))
    }

    /// See [`jain`], of the frames in time; mean over the runs.
    pub fn fairness(&self) -> f64 {
        self.mean(|edges| jain(&edges.iter().map(|e| e.in_time).collect::<Vec<_>>()))
    }
}

fn average(edges: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    mean(&edges.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

fn least(edges: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    edges.iter().map(of).fold(f64::INFINITY, f64::min)
}

fn most(edges: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    edges.iter().map(of).fold(0.0, f64::max)
}

/// The table.
pub fn table(crowds: &[Crowd]) -> String {
    let mut out = String::from(
        "| edges | method | mean ms | fastest, slowest edge's mean | slowest edge's p99 | in time %, all | worst edge | fairness | here, picture, video, cuts, late % |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for crowd in crowds {
        let in_time = crowd.each(|edges| average(edges, |e| e.in_time) * 100.0);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.1}, {:.1} | {:.0} | {} | {:.1} | {:.3} | {} |",
            crowd.edges,
            method::title(&crowd.method),
            text(&crowd.each(|edges| average(edges, Figures::mean)), 1),
            crowd.mean(|edges| least(edges, Figures::mean)),
            crowd.mean(|edges| most(edges, Figures::mean)),
            crowd.mean(|edges| most(edges, |e| e.quantile(0.99))),
            text(&in_time, 1),
            crowd.least_in_time() * 100.0,
            crowd.fairness(),
            shares(crowd.runs.iter().flatten()),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_edge_of_each_run_counts() {
        let edge = |in_time| Figures {
            in_time,
            latencies: vec![100.0],
            ..Figures::default()
        };
        let crowd = Crowd {
            edges: 2,
            method: "bandit".into(),
            runs: vec![vec![edge(1.0), edge(0.5)], vec![edge(0.7), edge(1.0)]],
        };
        assert!((crowd.least_in_time() - 0.6).abs() < 1e-9);
        assert!(crowd.fairness() < 1.0);
        let row = table(&[crowd]);
        assert!(row.contains("| 2 | bandit | 100.0 |"), "{row}");
    }
}
