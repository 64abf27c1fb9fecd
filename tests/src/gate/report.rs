// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables and figures of `measure.sh gate`.

use serde_json::{Value, json};
use splitinfer_quality::{Evidence, TERMS};

use super::cost::Cost;
use super::fit::{auc, fit, left_out};
use super::record::Set;
use super::windows::Window;

/// A wrong window: mean error above this share of the object's size.
const THRESHOLDS: [f64; 3] = [0.03, 0.06, 0.1];
/// The one that goals.md asks for.
const MAIN: usize = 1;

/// How a column scores a window; `None` where nothing was there to fit to.
type Column = (&'static str, &'static str, Vec<Option<f64>>);

/// Prints the AUC of every score on every set of clips; the figures by set, score and threshold.
pub fn accuracy(windows: &[Window]) -> Value {
    let mut all = serde_json::Map::new();
    for (title, key, set) in [
        ("Real videos, MoveNet", "real", Set::Real),
        ("Scenes of people, walker-student", "walker", Set::Walker),
        (
            "Scenes of vehicles, traffic-student",
            "traffic",
            Set::Traffic,
        ),
    ] {
        let same_kind = |s: Set| (s == Set::Traffic) == (set == Set::Traffic);
        let fitted: Vec<&Window> = windows.iter().filter(|w| same_kind(w.set)).collect();
        let tested: Vec<bool> = fitted.iter().map(|w| w.set == set).collect();
        let count = tested.iter().filter(|t| **t).count();
        if count == 0 {
            println!("**{title}**: no windows; the data is not at hand.\n");
            continue;
        }
        let shares = THRESHOLDS.map(|t| share(&fitted, &tested, t));
        println!(
            "**{title}**: {count} windows, of which {} have an error above 3 / 6 / 10 %.\n",
            shares.map(|s| format!("{s:.0} %")).join(" / ")
        );
        println!("| score | AUC, error > 3 % | > 6 % | > 10 % |\n|---|---:|---:|---:|");
        let mut figures = serde_json::Map::new();
        for (name, key, scores) in columns(&fitted) {
            let of = THRESHOLDS.map(|t| of_threshold(&fitted, &tested, &scores, t));
            println!("| {name} | {} |", of.map(text).join(" | "));
            figures.insert(key.to_owned(), json!(of.map(|a| a.map(rounded))));
        }
        println!();
        all.insert(key.to_owned(), Value::Object(figures));
    }
    Value::Object(all)
}

fn columns(windows: &[&Window]) -> Vec<Column> {
    let plain = |f: &dyn Fn(&Window) -> f64| windows.iter().map(|w| Some(f(w))).collect();
    let without = |e: Evidence| Evidence {
        disagreement: None,
        ..e
    };
    vec![
        (
            "published: ‖M − M̂‖ / ‖M‖, r = 3",
            "published",
            plain(&|w| w.published),
        ),
        (
            "effective rank",
            "effective_rank",
            plain(&|w| w.effective_rank),
        ),
        (
            "scaled residual",
            "scaled_residual",
            plain(&|w| w.evidence.residual),
        ),
        ("jitter", "jitter", plain(&|w| w.evidence.jitter)),
        (
            "1 − confidence",
            "confidence",
            plain(&|w| w.evidence.unsure),
        ),
        (
            "1 − mirror agreement",
            "mirror",
            plain(&|w| w.evidence.disagreement.unwrap_or_default()),
        ),
        (
            "combined without mirror",
            "combined_without_mirror",
            left_out(windows, |w| without(w.evidence)),
        ),
        (
            "combined, every 5th frame mirrored",
            "combined_sparse",
            left_out(windows, |w| w.sparse),
        ),
        (
            "**combined**",
            "combined",
            left_out(windows, |w| w.evidence),
        ),
    ]
}

fn of_threshold(
    windows: &[&Window],
    tested: &[bool],
    scores: &[Option<f64>],
    threshold: f64,
) -> Option<f64> {
    let scored: Vec<(f64, bool)> = windows
        .iter()
        .zip(scores)
        .zip(tested)
        .filter(|(_, tested)| **tested)
        .filter_map(|((w, score), _)| Some(((*score)?, w.error > threshold)))
        .collect();
    auc(&scored)
}

fn share(windows: &[&Window], tested: &[bool], threshold: f64) -> f64 {
    let of_set = || windows.iter().zip(tested).filter(|(_, t)| **t);
    let wrong = of_set().filter(|(w, _)| w.error > threshold).count();
    wrong as f64 * 100.0 / of_set().count() as f64
}

/// The figure of a score at 6 %: the lowest of all sets, `null` where one is missing.
pub fn lowest(figures: &Value, score: &str) -> Value {
    let of_sets = ["real", "walker", "traffic"].map(|set| figures[set][score][MAIN].as_f64());
    let lowest = of_sets
        .into_iter()
        .collect::<Option<Vec<f64>>>()
        .and_then(|v| v.into_iter().min_by(f64::total_cmp));
    lowest.map_or(Value::Null, rounded)
}

/// Prints what every kind of degradation and every domain does to the combined score.
pub fn by_kind(windows: &[Window]) {
    println!(
        "| set | degradation or domain | windows | error > 6 % | AUC combined, > 6 % |\n|---|---|---:|---:|---:|"
    );
    for (name, set) in [
        ("real", Set::Real),
        ("people", Set::Walker),
        ("vehicles", Set::Traffic),
    ] {
        let same_kind = |s: Set| (s == Set::Traffic) == (set == Set::Traffic);
        let fitted: Vec<&Window> = windows.iter().filter(|w| same_kind(w.set)).collect();
        let scores = left_out(&fitted, |w| w.evidence);
        let mut kinds: Vec<&str> = Vec::new();
        for w in windows.iter().filter(|w| w.set == set) {
            if !kinds.contains(&w.kind.as_str()) {
                kinds.push(&w.kind);
            }
        }
        for kind in kinds {
            let tested: Vec<bool> = fitted
                .iter()
                .map(|w| w.set == set && w.kind == kind)
                .collect();
            let count = tested.iter().filter(|t| **t).count();
            println!(
                "| {name} | {kind} | {count} | {:.0} % | {} |",
                share(&fitted, &tested, THRESHOLDS[MAIN]),
                text(of_threshold(&fitted, &tested, &scores, THRESHOLDS[MAIN]))
            );
        }
    }
    println!();
}

/// Prints the coefficients that crates/quality ships: fitted to all windows.
pub fn coefficients(windows: &[Window]) {
    println!(
        "| points | mirror | constant | ln residual | unsure | ln disagreement |\n|---|---|---:|---:|---:|---:|"
    );
    for (name, boxes) in [("keypoints", false), ("boxes", true)] {
        let of = || {
            windows
                .iter()
                .filter(move |w| (w.set == Set::Traffic) == boxes)
        };
        let without = |w: &Window| Evidence {
            disagreement: None,
            ..w.evidence
        };
        for (mirror, fitted) in [
            ("with", fit(of(), |w| w.evidence)),
            ("without", fit(of(), without)),
        ] {
            let cell = |i: usize| fitted.map_or("–".to_owned(), |c| format!("{:.3}", c[i]));
            let cells: Vec<String> = (0..TERMS).map(cell).collect();
            println!("| {name} | {mirror} | {} |", cells.join(" | "));
        }
    }
    println!();
}

/// Prints the times; the largest p99 of a whole score, and the largest error where there is LAPACK to compare with.
pub fn cost(costs: &[Cost], lapack: Option<&str>) -> (f64, Option<f64>) {
    println!(
        "| T × 2J | published, p50 / p99 µs | combined | singular values alone | LAPACK's ({}) | largest relative difference \
         of the score from LAPACK's |\n|---|---:|---:|---:|---:|---:|",
        lapack.unwrap_or("none here")
    );
    let times = |t: super::cost::Times| format!("{:.1} / {:.1}", t.p50, t.p99);
    for c in costs {
        println!(
            "| {} × {} | {} | {} | {} | {} | {} |",
            c.size[0],
            c.size[1] * 2,
            times(c.published),
            times(c.combined),
            times(c.tail),
            c.lapack.map_or("–".to_owned(), times),
            c.error.map_or("–".to_owned(), |e| format!("{e:.1e}")),
        );
    }
    println!();
    let slowest = |c: &Cost| c.published.p99.max(c.combined.p99);
    let errors = costs.iter().filter_map(|c| c.error);
    (
        costs.iter().map(slowest).fold(0.0, f64::max),
        errors.reduce(f64::max),
    )
}

fn text(auc: Option<f64>) -> String {
    auc.map_or("–".to_owned(), |a| format!("{a:.3}"))
}

pub fn rounded(figure: f64) -> Value {
    json!((figure * 1e4).round() / 1e4)
}
