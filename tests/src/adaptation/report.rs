// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables of `measure.sh adaptation` and its line of JSON.

use serde_json::{Map, Value, json};

use super::figures::{Figures, gain_kept, saved};
use super::latency::Latencies;
use super::noticing::{self, Row};
use super::plan::{Method, Task};
use super::visits::{self, Visit};
use crate::spread::{mean, text};

/// All methods on the same scenes: for each seed the figures of each method.
pub struct Cell {
    pub task: Task,
    pub scenario: &'static str,
    pub seeds: Vec<Vec<(Method, Figures)>>,
}

/// One value a seed, and how many digits it is worth.
type Column = (
    String,
    usize,
    Box<dyn Fn(&[(Method, Figures)], &Figures) -> Option<f64>>,
);

impl Cell {
    /// A value of a method for each seed that has one.
    fn values(
        &self,
        method: Method,
        value: impl Fn(&[(Method, Figures)], &Figures) -> Option<f64>,
    ) -> Vec<f64> {
        let of_seed = |seed: &Vec<(Method, Figures)>| value(seed, of(seed, method)?);
        self.seeds.iter().filter_map(of_seed).collect()
    }

    /// Prints a row a method.
    pub fn print(&self) {
        let columns = columns(self.task);
        println!("### {}, {}\n", self.task.name(), self.scenario);
        let titles: Vec<&str> = columns.iter().map(|(title, ..)| title.as_str()).collect();
        println!("| method | {} |", titles.join(" | "));
        println!("|---|{}", "---:|".repeat(titles.len()));
        let methods = self.seeds.iter().flatten().map(|(method, _)| *method);
        for method in Method::ALL
            .into_iter()
            .filter(|m| methods.clone().any(|o| o == *m))
        {
            let cells = columns
                .iter()
                .map(|(_, digits, value)| text(&self.values(method, value), *digits));
            println!(
                "| {} | {} |",
                method.title(),
                cells.collect::<Vec<_>>().join(" | ")
            );
        }
        println!();
    }

    /// Everything that the table says, means only.
    fn json(&self) -> Value {
        let mut methods = Map::new();
        for method in Method::ALL {
            let own = |value: fn(&Figures) -> Option<f64>| {
                number(mean(&self.values(method, |_, f| value(f))))
            };
            if self.values(method, |_, _| Some(0.0)).is_empty() {
                continue;
            }
            let against = |value: Against| number(mean(&self.values(method, value)));
            methods.insert(
                method.name().to_owned(),
                json!({
                    "error_before": own(|f| f.before.error),
                    "error_after": own(|f| f.after.error),
                    "error_end": own(|f| f.end.error),
                    "score_before": own(|f| f.before.score),
                    "score_after": own(|f| f.after.score),
                    "score_end": own(|f| f.end.score),
                    "found_after": own(|f| f.found_after),
                    "error_back": own(|f| f.back.error),
                    "score_back": own(|f| f.back.score),
                    "gain_kept_pct": against(gain),
                    "iterations_saved_pct": against(savings),
                    "updates_pct": own(|f| Some(f.updates_pct)),
                    "teacher_pct": own(|f| Some(f.teacher_pct)),
                    "trainings": own(|f| Some(f.trainings)),
                    "steps": own(|f| Some(f.steps)),
                    "cpu_s": own(|f| Some(f.cpu_s)),
                    "bad_windows_before_pct": own(|f| f.bad_before),
                    "bad_windows_after_pct": own(|f| f.bad_after),
                    "update_kbit_s": own(|f| Some(f.update_kbit_s)),
                    "lost": own(|f| Some(f.lost)),
                }),
            );
        }
        Value::Object(methods)
    }
}

fn of(seed: &[(Method, Figures)], method: Method) -> Option<&Figures> {
    seed.iter().find(|(m, _)| *m == method).map(|(_, f)| f)
}

type Against = fn(&[(Method, Figures)], &Figures) -> Option<f64>;

fn gain(seed: &[(Method, Figures)], own: &Figures) -> Option<f64> {
    gain_kept(of(seed, Method::None)?, of(seed, Method::Always)?, own)
}

fn savings(seed: &[(Method, Figures)], own: &Figures) -> Option<f64> {
    saved(of(seed, Method::Always)?, own)
}

fn columns(task: Task) -> Vec<Column> {
    let [error, score] = task.columns();
    let own = |title: &str, digits: usize, value: fn(&Figures) -> Option<f64>| -> Column {
        (title.to_owned(), digits, Box::new(move |_, f| value(f)))
    };
    vec![
        own(&format!("{error} before"), 1, |f| f.before.error),
        own("from drift on", 1, |f| f.after.error),
        own("last quarter", 1, |f| f.end.error),
        own(&format!("{score} before"), 3, |f| f.before.score),
        own("from drift on", 3, |f| f.after.score),
        own("last quarter", 3, |f| f.end.score),
        own("found a frame from drift on", 2, |f| f.found_after),
        ("gain kept %".to_owned(), 1, Box::new(gain)),
        own("updates", 1, |f| Some(f.updates)),
        own("updates, % of frames", 2, |f| Some(f.updates_pct)),
        own("trainings", 1, |f| Some(f.trainings)),
        own("teacher, % of frames", 1, |f| Some(f.teacher_pct)),
        own("steps", 0, |f| Some(f.steps)),
        ("steps saved %".to_owned(), 1, Box::new(savings)),
        own("CPU s", 1, |f| Some(f.cpu_s)),
        own("training s", 1, |f| Some(f.training_s)),
        own("teacher s", 1, |f| Some(f.label_s)),
        own("old domain: error", 1, |f| f.back.error),
        own("score", 3, |f| f.back.score),
        own("bad windows % before", 1, |f| f.bad_before),
        own("after", 1, |f| f.bad_after),
        own("update kbit/s", 0, |f| Some(f.update_kbit_s)),
    ]
}

/// The figures of goals.md: the worst cell of the combined gate, `null` for what is not measured; and all else.
pub fn json(
    cells: &[Cell],
    drifts: &[Row],
    returns: &[(Task, Vec<Vec<Visit>>)],
    latencies: &[(Task, Latencies)],
) -> Value {
    let each = |value: Against, which: fn(&Cell) -> bool| -> Vec<f64> {
        let cells = cells.iter().filter(|c| which(c));
        cells
            .filter_map(|c| mean(&c.values(Method::Combined, value)))
            .collect()
    };
    let least = |values: Vec<f64>| number(values.into_iter().reduce(f64::min));
    let most = |values: Vec<f64>| number(values.into_iter().reduce(f64::max));
    let all = |_: &Cell| true;
    let mut by_cell = Map::new();
    for cell in cells {
        by_cell.insert(
            format!("{} {}", cell.task.name(), cell.scenario),
            cell.json(),
        );
    }
    json!({
        "gain_kept_pct": least(each(gain, all)),
        "updates_pct": most(each(|_, f| Some(f.updates_pct), all)),
        "teacher_pct": most(each(|_, f| Some(f.teacher_pct), all)),
        "iterations_saved_pct": least(each(savings, |c| c.scenario != "dynamic")),
        "drift_recall_pct": number(noticing::recall(drifts)),
        "steps_again_ratio": number(visits::steps_again(returns)),
        "false_windows_pct": number(noticing::false_alarms(drifts)),
        "update_kbit_s": most(each(|_, f| Some(f.update_kbit_s), all)),
        "p99_ratio_training": most(latencies.iter().filter_map(|(_, l)| l.ratio()).collect()),
        "swap_lost_buffers": most(each(|_, f| Some(f.lost), all)),
        "seeds": cells.iter().map(|c| c.seeds.len()).min(),
        "cells": by_cell,
    })
}

/// Four digits are more than the sample is worth.
fn number(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |v| json!((v * 1e4).round() / 1e4))
}

#[cfg(test)]
mod tests {
    use super::super::figures::Quality;
    use super::*;

    #[test]
    fn the_worst_cell_counts_and_what_was_not_measured_is_null() {
        let with = |cost, steps| Figures {
            after: Quality {
                cost: Some(cost),
                ..Quality::default()
            },
            steps,
            ..Figures::default()
        };
        let cell = |scenario, own| Cell {
            task: Task::Traffic,
            scenario,
            seeds: vec![vec![
                (Method::None, with(80.0, 0.0)),
                (Method::Always, with(30.0, 100.0)),
                (Method::Combined, own),
            ]],
        };
        let cells = [
            cell("repetitive", with(40.0, 10.0)),
            cell("dynamic", with(55.0, 90.0)),
        ];
        let json = json(&cells, &[], &[], &[]);
        assert_eq!(json["gain_kept_pct"], 50.0);
        assert_eq!(json["iterations_saved_pct"], 90.0);
        assert_eq!(json["drift_recall_pct"], Value::Null);
    }
}
