// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What it brings to compute the frames of several edges together: `tests/measure.sh batching [--quick]`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use splitinfer_tests::batching::edges::{self, Seen};
use splitinfer_tests::batching::models::{self, Named};
use splitinfer_tests::batching::together::{self, Row, SIZES};
use splitinfer_tests::measure;

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    splitinfer_runtime::load_library(None)?;
    println!(
        "# Frames of several edges together\n\n{}",
        measure::machine()
    );
    let mut all = models::all()?;
    if quick {
        all.retain(|m| ["wide layers", "walker-student"].contains(&m.name.as_str()));
    }
    let turns = if quick { 10 } else { 60 };
    let rows = sessions(&all, turns)?;
    let seconds = if quick { 3 } else { 15 };
    let counts: &[usize] = if quick { &[4] } else { &[1, 2, 4, 8] };
    let gain = servers(counts, Duration::from_secs(seconds))?;
    let pays = rows
        .iter()
        .filter(|r| r.times.as_ref().is_ok_and(together::Times::pays));
    println!(
        "\n{}",
        json!({
            "places": rows.len(),
            "pays": pays.count(),
            "refused": rows.iter().filter(|r| r.times.is_err()).count(),
            "frames_a_second_ratio_wide": gain,
        })
    );
    Ok(())
}

/// Prints the table of sessions without elements.
fn sessions(all: &[Named], turns: usize) -> Result<Vec<Row>> {
    println!("\n## Sessions\n");
    println!(
        "| model | from | alone ms | one ms | 2 together | 4 | 8 | frames a second: 2 together | 4 | 8 | a server does |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|");
    let progress = measure::progress(3 * all.len());
    let mut rows = Vec::new();
    for named in all {
        for row in together::rows(named, turns, &progress)? {
            progress.suspend(|| print(&row));
            rows.push(row);
        }
    }
    progress.finish_and_clear();
    Ok(rows)
}

fn print(row: &Row) {
    let ms = |t: Duration| format!("{:.2}", t.as_secs_f64() * 1e3);
    match &row.times {
        Ok(times) => {
            let gains = (0..SIZES.len()).map(|i| format!("× {:.2}", times.gain(i)));
            let cells: Vec<_> = [times.alone, times.one]
                .into_iter()
                .chain(times.together)
                .map(ms)
                .chain(gains)
                .collect();
            let does = if times.pays() { "yes" } else { "no" };
            println!(
                "| {} | {} | {} | {does} |",
                row.model,
                row.from,
                cells.join(" | ")
            );
        }
        Err(reason) => {
            let reason = reason.rsplit("at once: ").next().unwrap_or(reason);
            println!(
                "| {} | {} | | | | | | | | | cannot: {reason} |",
                row.model, row.from
            );
        }
    }
}

/// Prints the tables of servers with edges; by how much frames a second rise with the most edges, wide layers.
fn servers(counts: &[usize], time: Duration) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let wide = folder.path().join("wide.onnx");
    models::wide().save(&wide)?;
    let student = splitinfer_tests::repository().join("models/walker-student.onnx");
    println!("\n## Servers\n");
    println!(
        "| model | edges | together, most | frames/s | mean ms | p99 ms | server's processor, ms a frame | least served over most |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let models: [(&str, &Path); 2] = [("wide layers", &wide), ("walker-student", &student)];
    let progress = measure::progress(4 * counts.len());
    let mut gain = f64::NAN;
    for (name, model) in models {
        for &count in counts {
            let mut rates = [0.0; 2];
            for (rate, most) in rates.iter_mut().zip([1, 8]) {
                let seen = edges::run(model, count, most, time)?;
                progress.inc(1);
                progress.suspend(|| print_server(name, count, most, &seen));
                *rate = seen.frames_a_second;
            }
            if model == wide {
                gain = rates[1] / rates[0];
            }
        }
    }
    progress.finish_and_clear();
    Ok(gain)
}

fn print_server(name: &str, count: usize, most: u32, seen: &Seen) {
    println!(
        "| {name} | {count} | {most} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} |",
        seen.frames_a_second, seen.mean_ms, seen.p99_ms, seen.server_cpu_ms, seen.fairness
    );
    if seen.by_server < 0.999 {
        println!(
            "\n*{:.1} % of these by the server*\n",
            seen.by_server * 100.0
        );
    }
}
