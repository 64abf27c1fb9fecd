// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables.

use std::fmt::Write;

use serde_json::{Value, json};

use super::figures::{Figures, mean};
use super::profile::{Coded, Profiles};
use super::study::{
    BANDIT, BEST_CUT, Cell, H264, HERE, JPEG, KNOWS_CODING, MONITORED, NEUROSURGEON, PLANNER, Stage,
};
use crate::measure::{median, quantile};

/// One table a model.
pub fn profiles(profiles: &Profiles) -> String {
    let mut out = String::new();
    for model in &profiles.models {
        let _ = writeln!(
            out,
            "\n### {}: {:.2} ms whole ({})\n\n| choice | head ms | encode ms | kB, predicted (1, 2, 4, 8 frames old) | kB alone | decode ms | tail ms |\n|---|---|---|---|---|---|---|",
            model.name,
            model.whole_us / 1e3,
            model.video
        );
        let _ = writeln!(
            out,
            "| picture, JPEG | 0 | {:.2} | – | {:.1} | {:.2} | {:.2} |",
            model.jpeg.encode_us / 1e3,
            kilobytes(&model.jpeg),
            model.jpeg.decode_us / 1e3,
            model.whole_us / 1e3
        );
        if let Some(h264) = &model.h264 {
            let _ = writeln!(
                out,
                "| picture, H.264 | 0 | {:.2} | {} | {:.1} | {:.2} | {:.2} |",
                h264.predicted[0].encode_us / 1e3,
                by_age(&h264.predicted),
                kilobytes(&h264.alone),
                h264.predicted[0].decode_us / 1e3,
                model.whole_us / 1e3
            );
        }
        for (i, cut) in model.cuts.iter().enumerate() {
            let _ = writeln!(
                out,
                "| {i} `{}` | {:.2} | {:.2} | {} | {:.1} | {:.2} | {:.2} |",
                cut.name,
                cut.head_us / 1e3,
                cut.predicted[0].encode_us / 1e3,
                by_age(&cut.predicted),
                kilobytes(&cut.alone),
                cut.predicted[0].decode_us / 1e3,
                cut.tail_us / 1e3
            );
        }
        if let Some(h264) = &model.h264 {
            let _ = writeln!(
                out,
                "\nRelative error of the outputs: {:.4} through the JPEG, {:.4} through H.264.",
                h264.jpeg_error, h264.error
            );
        }
    }
    out
}

fn by_age(predicted: &[Coded]) -> String {
    let sizes = predicted.iter().map(|p| format!("{:.1}", kilobytes(p)));
    sizes.collect::<Vec<_>>().join(", ")
}

fn kilobytes(coded: &Coded) -> f64 {
    median(
        &coded
            .bytes
            .iter()
            .map(|b| f64::from(*b))
            .collect::<Vec<_>>(),
    ) / 1e3
}

pub fn describe(stage: &Stage, slower: f64) -> String {
    format!(
        "{}, {} ms whole on the edge ({slower:.0}× slower), server {}× faster, {} frames/s, budget {} ms",
        stage.model,
        stage.whole.as_millis(),
        stage.server_faster,
        stage.rate,
        stage.budget.as_millis()
    )
}

/// All traces on one stage.
pub fn stage(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| trace | oracle ms | mean ms | p99 ms | in time % | kB/frame | switches | over oracle % | over best fixed % | frames to re-converge | with monitor: mean, p99 ms | in time % | over oracle % | over best fixed % | Neurosurgeon-style ms | with coding times | bandit ms | all here ms | JPEG ms | H.264 ms | best cut ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        let row = |m: &str| cell.row(m).map(|r| r.figures.clone()).unwrap_or_default();
        let (a, b) = (row(PLANNER), row(MONITORED));
        let oracle = cell.oracle_ms();
        let others = [
            NEUROSURGEON,
            KNOWS_CODING,
            BANDIT,
            HERE,
            JPEG,
            H264,
            BEST_CUT,
        ];
        let others: Vec<String> = others
            .iter()
            .map(|m| {
                cell.row(m)
                    .map_or("–".to_owned(), |r| format!("{:.1}", r.figures.mean_ms))
            })
            .collect();
        let converge: Vec<String> = a
            .reconverge
            .iter()
            .map(|draws| format!("{:.0}", median(&frames(draws))))
            .collect();
        let _ = writeln!(
            out,
            "| {} | {:.1} ({}) | {:.1} | {:.0} | {:.1} | {:.1} | {:.0} | {:+.1} | {:+.1} | {} | {:.1}, {:.0} | {:.1} | {:+.1} | {:+.1} | {} |",
            cell.trace,
            oracle,
            cell.oracle_kind(),
            a.mean_ms,
            a.p99_ms,
            a.hit_pct,
            a.bytes / 1e3,
            a.switches,
            a.over_oracle_pct,
            cell.worse_than_best_fixed_pct(PLANNER),
            converge.join(" "),
            b.mean_ms,
            b.p99_ms,
            b.hit_pct,
            b.over_oracle_pct,
            cell.worse_than_best_fixed_pct(MONITORED),
            others.join(" | "),
        );
    }
    out
}

fn frames(counts: &[usize]) -> Vec<f64> {
    counts.iter().map(|n| *n as f64).collect()
}

/// What one method comes to over all traces and stages.
pub struct Total {
    pub over_oracle_pct: f64,
    pub over_oracle_worst_pct: f64,
    pub hit_pct: f64,
    pub hit_worst_pct: f64,
    pub worse_than_best_fixed_pct: f64,
    pub reconverge: [f64; 2],
    pub decision_us_p99: f64,
}

pub fn total(cells: &[Cell], method: &str) -> Total {
    let figures: Vec<&Figures> = cells
        .iter()
        .filter_map(|c| Some(&c.row(method)?.figures))
        .collect();
    let each = |f: &dyn Fn(&Figures) -> f64| figures.iter().map(|x| f(x)).collect::<Vec<_>>();
    let over = each(&|f| f.over_oracle_pct);
    let hits = each(&|f| f.hit_pct);
    let most = |v: &[f64]| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let steps = figures.iter().flat_map(|f| &f.reconverge);
    let converge: Vec<f64> = steps.flat_map(|draws| frames(draws)).collect();
    let of_cells = |f: &dyn Fn(&Cell) -> f64| cells.iter().map(f).collect::<Vec<_>>();
    let worse = of_cells(&|c| c.worse_than_best_fixed_pct(method));
    let decisions: Vec<f64> = cells
        .iter()
        .filter_map(|c| c.row(method))
        .flat_map(|r| &r.runs)
        .flat_map(|run| run.decisions.iter().map(|d| d.as_secs_f64() * 1e6))
        .collect();
    Total {
        over_oracle_pct: mean(&over),
        over_oracle_worst_pct: most(&over),
        hit_pct: mean(&hits),
        hit_worst_pct: hits.iter().copied().fold(f64::INFINITY, f64::min),
        worse_than_best_fixed_pct: most(&worse),
        reconverge: [quantile(&converge, 0.5), quantile(&converge, 0.9)],
        decision_us_p99: quantile(&decisions, 0.99),
    }
}

/// One row a method.
pub fn summary(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| method | over the oracle %, mean | worst trace | in time %, mean | worst trace | over the best fixed %, worst trace | frames to re-converge, median | 90 % | decision µs p99 |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let methods: Vec<String> = cells
        .first()
        .map(|c| c.rows.iter().map(|r| r.method.clone()).collect())
        .unwrap_or_default();
    for method in methods {
        let t = total(cells, &method);
        let _ = writeln!(
            out,
            "| {method} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} | {:.1} |",
            t.over_oracle_pct,
            t.over_oracle_worst_pct,
            t.hit_pct,
            t.hit_worst_pct,
            t.worse_than_best_fixed_pct,
            t.reconverge[0],
            t.reconverge[1],
            t.decision_us_p99
        );
    }
    out
}

pub fn json(cells: &[Cell]) -> Value {
    let one = |method: &str| {
        let t = total(cells, method);
        let round = |x: f64| (x * 100.0).round() / 100.0;
        json!({
            "over_oracle_pct": round(t.over_oracle_pct),
            "over_oracle_worst_pct": round(t.over_oracle_worst_pct),
            "deadline_hit_pct": round(t.hit_pct),
            "deadline_hit_worst_pct": round(t.hit_worst_pct),
            "reconverge_frames": t.reconverge[0],
            "reconverge_frames_p90": t.reconverge[1],
            "worse_than_best_fixed_pct": round(t.worse_than_best_fixed_pct),
            "decision_us_p99": round(t.decision_us_p99),
        })
    };
    let mut all = one(PLANNER);
    all["with_monitor"] = one(MONITORED);
    // Of the others what they are compared by; `null` for what was not measured.
    for (key, method) in [
        ("neurosurgeon", NEUROSURGEON),
        ("neurosurgeon_with_coding", KNOWS_CODING),
        ("all_here", HERE),
        ("picture_jpeg", JPEG),
        ("picture_h264", H264),
        ("best_cut", BEST_CUT),
    ] {
        let measured = cells.iter().all(|c| c.row(method).is_some());
        all["others"][key] = measured.then(|| one(method)).into();
    }
    all
}
