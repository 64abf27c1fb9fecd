// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables.

use std::fmt::Write;

use super::BUDGET_MS;
use super::figures::Figures;
use super::run::{Held, Recording};
use super::series::Series;

/// One stream.
#[derive(Clone, Debug)]
pub struct Row {
    pub kind: &'static str,
    pub split: String,
    pub figures: Figures,
    pub edge: Held,
    pub server: Option<Held>,
}

impl Row {
    pub fn new(kind: &'static str, split: &str, recording: &Recording) -> Self {
        Self {
            kind,
            split: split.to_owned(),
            figures: Figures::new(recording),
            edge: recording.edge,
            server: recording.server,
        }
    }

    /// Threads and files of both.
    pub fn left_over(&self) -> usize {
        self.edge.left_over() + self.server.map_or(0, |s| s.left_over())
    }
}

/// Of all these together.
pub fn sum<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Figures {
    let mut sum = Figures::default();
    rows.into_iter().for_each(|row| sum.add(&row.figures));
    sum
}

pub fn streams(rows: &[Row]) -> String {
    let mut out = String::from(
        "| fault | split | faults | frames | lost, without result, out of order, repeated, another's | late | worst, of the budget | by the server % | recovery ms p50 / p99 / most | silence ms | back ms p50 / most | WARNING, INFO, doubled | left: edge, server |\n\
         |---|---|---:|---:|---|---:|---:|---:|---|---:|---|---|---|\n",
    );
    for row in rows {
        let server = row
            .server
            .map_or("–".to_owned(), |s| s.left_over().to_string());
        let left = format!("{}, {server}", row.edge.left_over());
        line(&mut out, row.kind, &row.split, &row.figures, &left);
    }
    let hurt = || {
        rows.iter()
            .filter(|r| r.kind != super::schedule::Kind::Nothing.name())
    };
    let left: usize = hurt().map(Row::left_over).sum();
    line(
        &mut out,
        "**all faults**",
        "",
        &sum(hurt()),
        &left.to_string(),
    );
    out
}

fn line(out: &mut String, kind: &str, split: &str, f: &Figures, left: &str) {
    let _ = writeln!(
        out,
        "| {kind} | {split} | {} | {} | {}, {}, {}, {}, {} | {} | {:.2} | {:.0} | {:.0} / {:.0} / {:.0} | {:.0} | {:.0} / {:.0} | {}, {}, {} | {left} |",
        f.faults.len(),
        f.frames,
        f.lost,
        f.without,
        f.disordered,
        f.repeated,
        f.misattributed,
        f.late,
        f.worst / BUDGET_MS,
        f.by_server as f64 / f.frames.max(1) as f64 * 100.0,
        f.recovery(0.5),
        f.recovery(0.99),
        f.recovery(1.0),
        f.silence(),
        f.back(0.5),
        f.back(1.0),
        f.warnings,
        f.infos,
        f.doubled,
    );
}

pub fn series(all: &[Series]) -> String {
    let mut out = String::from(
        "| what | cycles | threads | files and sockets | clients left | memory MB | kB a cycle, all | second half | goes on | |\n\
         |---|---:|---|---|---:|---|---:|---:|---|---|\n",
    );
    for s in all {
        let Held { before, after } = s.held;
        let goes_on = match s.growth.goes_on {
            Some(true) => "**yes**",
            Some(false) => "no",
            None => "too few",
        };
        let late = match s.growth.error.is_nan() {
            true => "–".to_owned(),
            false => format!("{:+.1} ± {:.1}", s.growth.late, s.growth.error),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} → {} | {} → {} | {} | {:.1} → {:.1} | {:+.1} | {late} | {goes_on} | {} |",
            s.name,
            s.cycles,
            before.threads,
            after.threads,
            before.files,
            after.files,
            s.clients.map_or("–".to_owned(), |n| n.to_string()),
            before.memory / 1024.0,
            after.memory / 1024.0,
            s.growth.all,
            s.remark,
        );
    }
    out
}
