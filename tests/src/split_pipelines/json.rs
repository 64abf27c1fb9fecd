// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The closing line.

use serde_json::{Map, Value, json};

use super::book::{Book, Place};
use super::crowd::Crowd;
use super::report::with_best_cut;
use super::summary::{Cell, over_best_fixed};
use crate::spread::mean;

/// Of one model.
pub struct Played {
    pub model: String,
    pub budget_ms: Option<u32>,
    pub cells: Vec<Cell>,
    pub crowds: Vec<Crowd>,
}

impl Played {
    /// All that was played with a model.
    pub fn new(book: &Book, model: &str) -> Self {
        let on_trace = book.runs.iter().find(|run| {
            let is_trace = matches!(run.key.place, Place::Trace(_));
            run.key.setting.model == model && is_trace
        });
        Self {
            model: model.to_owned(),
            budget_ms: on_trace.map(|run| run.key.budget_ms),
            cells: Cell::all(book, model),
            crowds: Crowd::all(book, model),
        }
    }
}

const WITH_MONITOR: &str = "planner";
const WITHOUT: &str = "no-monitor";
/// Keys and methods.
const OTHERS: [(&str, &str); 7] = [
    ("neurosurgeon", "neurosurgeon"),
    ("neurosurgeon_with_coding", "neurosurgeon-coding"),
    ("bandit", "bandit"),
    ("all_here", "here"),
    ("picture", "picture"),
    ("video", "video"),
    ("best_cut", "cuts"),
];

/// All models together, and each by itself.
pub fn line(played: &[Played]) -> Value {
    let cells: Vec<Cell> = played.iter().flat_map(|p| best_cuts(&p.cells)).collect();
    let crowds: Vec<&Crowd> = played.iter().flat_map(|p| &p.crowds).collect();
    let mut all = methods(&cells);
    let models = played.iter().map(|p| {
        let mut model = methods(&best_cuts(&p.cells));
        model.insert("budget_ms".into(), json!(p.budget_ms));
        (p.model.clone(), Value::Object(model))
    });
    all.insert("models".into(), Value::Object(models.collect()));
    let least = |of: fn(&Crowd) -> f64| {
        let planner = crowds.iter().filter(|c| c.method == WITH_MONITOR);
        planner.map(|c| of(c)).reduce(f64::min)
    };
    all.insert("edges_least_fairness".into(), json!(least(Crowd::fairness)));
    let in_time = least(|c| c.least_in_time() * 100.0);
    all.insert("edges_least_in_time_pct".into(), json!(in_time));
    Value::Object(all)
}

fn best_cuts(cells: &[Cell]) -> Vec<Cell> {
    cells.iter().map(with_best_cut).collect()
}

fn methods(cells: &[Cell]) -> Map<String, Value> {
    let runs = cells.iter().flat_map(|c| &c.rows).map(|r| r.runs.len());
    let others = OTHERS.map(|(key, id)| (key.to_owned(), method(cells, id)));
    let pairs = [
        ("runs", json!(runs.min())),
        ("with_monitor", method(cells, WITH_MONITOR)),
        ("without_monitor", method(cells, WITHOUT)),
        ("others", Value::Object(others.into_iter().collect())),
    ];
    pairs
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

fn method(cells: &[Cell], id: &str) -> Value {
    let all = over_best_fixed(cells, id);
    let over = cells
        .iter()
        .filter_map(|c| Some(c.over_best_fixed(id)?.value));
    let hit: Vec<f64> = cells.iter().filter_map(|c| c.deadline_hit(id)).collect();
    json!({
        "over_best_fixed_pct": all.map(|p| p.value),
        "over_best_fixed_half_width_pct": all.and_then(|p| p.half_width),
        "over_best_fixed_worst_pct": over.reduce(f64::max),
        "deadline_hit_pct": mean(&hit),
        "deadline_hit_worst_pct": hit.iter().copied().reduce(f64::min),
    })
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::{cell, row};
    use super::*;

    #[test]
    fn what_was_not_played_is_null() {
        let played = Played {
            model: "m".into(),
            budget_ms: Some(200),
            cells: vec![cell(
                "a",
                vec![row("planner", &[11.0]), row("here", &[10.0])],
            )],
            crowds: Vec::new(),
        };
        let line = line(&[played]);
        let over = line["with_monitor"]["over_best_fixed_pct"]
            .as_f64()
            .unwrap();
        assert!((over - 10.0).abs() < 1e-9, "{line}");
        assert_eq!(line["models"]["m"]["budget_ms"], 200);
        assert_eq!(line["others"]["all_here"]["over_best_fixed_pct"], 0.0);
        assert!(line["others"]["bandit"]["over_best_fixed_pct"].is_null());
        assert!(line["with_monitor"]["over_best_fixed_half_width_pct"].is_null());
        assert!(line["edges_least_fairness"].is_null());
        assert_eq!(line["runs"], 1);
    }
}
