// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tables.

use super::BUDGET_MS;
use super::figures::Figures;
use super::run::{Held, Recording};
use super::schedule::Kind;
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

/// Of the streams' table.
pub const STREAMS: &str = "| fault | split | faults | frames | lost, without result, out of order, repeated, another's | late | worst, of the budget | by the server % | recovery ms p50 / p99 / most | silence ms | back ms p50 / most | WARNING, INFO, doubled | left: edge, server |
|---|---|---:|---:|---|---:|---:|---:|---|---:|---|---|---|";

/// Of the other one.
pub const SERIES: &str = "| what | cycles | threads | files and sockets | clients left | memory MB | kB a cycle, all | second half | goes on | |
|---|---:|---|---|---:|---|---:|---:|---|---|";

pub fn stream(row: &Row) -> String {
    let server = row.server.map(|s| s.left_over().to_string());
    let server = server.unwrap_or_else(|| "–".to_owned());
    let left = format!("{}, {server}", row.edge.left_over());
    line(row.kind, &row.split, &row.figures, &left)
}

/// Of all streams with faults.
pub fn all_faults(rows: &[Row]) -> String {
    let hurt = || rows.iter().filter(|r| r.kind != Kind::Nothing.name());
    let left: usize = hurt().map(Row::left_over).sum();
    line("**all faults**", "", &sum(hurt()), &left.to_string())
}

fn line(kind: &str, split: &str, f: &Figures, left: &str) -> String {
    format!(
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
    )
}

pub fn series(s: &Series) -> String {
    let Held { before, after } = s.held;
    let goes_on = match s.growth.goes_on {
        Some(true) => "**yes**",
        Some(false) => "no",
        None => "too few",
    };
    let slope = |kb: f64| match kb.is_nan() {
        true => "–".to_owned(),
        false => format!("{kb:+.1}"),
    };
    let late = match s.growth.error.is_nan() {
        true => "–".to_owned(),
        false => format!("{} ± {:.1}", slope(s.growth.late), s.growth.error),
    };
    let clients = s.clients.map(|n| n.to_string());
    format!(
        "| {} | {} | {} → {} | {} → {} | {} | {:.1} → {:.1} | {} | {late} | {goes_on} | {} |",
        s.name,
        s.cycles,
        before.threads,
        after.threads,
        before.files,
        after.files,
        clients.unwrap_or_else(|| "–".to_owned()),
        before.memory / 1024.0,
        after.memory / 1024.0,
        slope(s.growth.all),
        s.remark,
    )
}
