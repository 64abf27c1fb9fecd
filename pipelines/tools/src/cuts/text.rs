// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The table as text.

use super::report::{Report, Row, TensorColumn};
use comfy_table::{CellAlignment, Table, TableComponent, presets};
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TensorColumn { name, dtype, shape } = &self.input;
        let threads = match self.threads {
            0 => "default threads".to_owned(),
            1 => "1 thread".to_owned(),
            n => format!("{n} threads"),
        };
        writeln!(
            f,
            "{}: input {name} {dtype} {shape:?}, {} parameters, {} MACs, {} ms whole",
            self.model,
            count(self.parameters),
            count(self.macs),
            ms(self.whole_ms)
        )?;
        writeln!(
            f,
            "ONNX Runtime {}, {}, {threads}; {} legal cuts, {} shown; coded with {} bits, median of {}",
            self.onnxruntime,
            self.provider,
            self.legal_cuts,
            self.candidates.len(),
            self.bits,
            self.fed
        )?;
        for assumption in &self.assumptions {
            writeln!(f, "assumed: {assumption}")?;
        }
        for line in self.table().lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        self.verdict(f)
    }
}

const COLUMNS: [&str; 9] = [
    "split",
    "raw",
    "coded",
    "head\nparams",
    "tail\nparams",
    "head\nMACs",
    "tail\nMACs",
    "head\nms",
    "tail\nms",
];

impl Report {
    fn table(&self) -> Table {
        let verified = self.verified.is_some();
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        // Lines around the header are enough; the others only make it long.
        table.remove_style(TableComponent::HorizontalLines);
        table.remove_style(TableComponent::MiddleIntersections);
        let mut header = COLUMNS.to_vec();
        header.extend(verified.then_some("difference"));
        header.push("tensors");
        let last = header.len() - 1;
        table.set_header(header);
        if let Some(picture) = &self.picture {
            let coded = picture
                .coded_bytes
                .map_or("–".to_owned(), |b| format!("{} (JPEG)", bytes(b)));
            self.whole(
                &mut table,
                "server",
                [bytes(picture.raw_bytes), coded],
                false,
            );
        }
        for row in &self.candidates {
            table.add_row(cells(row, verified));
        }
        self.whole(
            &mut table,
            "edge",
            ["0 B".to_owned(), "0 B".to_owned()],
            true,
        );
        for (i, column) in table.column_iter_mut().enumerate() {
            let right = i > 0 && i < last;
            column.set_cell_alignment(if right {
                CellAlignment::Right
            } else {
                CellAlignment::Left
            });
        }
        table
    }

    /// The choices beside the candidates: everything here, or everything there.
    fn whole(&self, table: &mut Table, split: &str, crossing: [String; 2], here: bool) {
        let sides = |all: String, none: &str| match here {
            true => [all, none.to_owned()],
            false => [none.to_owned(), all],
        };
        let mut cells = vec![split.to_owned()];
        cells.extend(crossing);
        cells.extend(sides(count(self.parameters), "0"));
        cells.extend(sides(count(self.macs), "0"));
        cells.extend(sides(ms(self.whole_ms), "0"));
        cells.extend(self.verified.map(|_| String::new()));
        cells.push(
            if here {
                "(the result)"
            } else {
                "(the picture)"
            }
            .to_owned(),
        );
        table.add_row(cells);
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(verified) = self.verified else {
            return Ok(());
        };
        for row in &self.candidates {
            if let Some(failure) = &row.failure {
                writeln!(f, "FAILED: {} ({}): {failure}", row.candidate, row.name)?;
            }
        }
        if verified {
            let worst = self
                .candidates
                .iter()
                .filter_map(|r| r.max_difference)
                .fold(0.0, f64::max);
            writeln!(
                f,
                "verified: tail after head is the whole model at all {} cuts shown, fed {}; \
                 with fused operators they differ by {} at most",
                self.candidates.len(),
                self.fed,
                difference(worst)
            )?;
        }
        Ok(())
    }
}

fn cells(row: &Row, verified: bool) -> Vec<String> {
    let tensor = |t: &TensorColumn| {
        let shape: Vec<String> = t.shape.iter().map(usize::to_string).collect();
        let dtype = if t.dtype == "float32" { "" } else { t.dtype };
        format!("{} {dtype}[{}]", t.name, shape.join("×"))
    };
    let mut cells = vec![
        row.candidate.to_string(),
        bytes(row.raw_bytes),
        bytes(row.coded_bytes),
        count(row.head_parameters),
        count(row.tail_parameters),
        count(row.head_macs),
        count(row.tail_macs),
        ms(row.head_ms),
        ms(row.tail_ms),
    ];
    if verified {
        let failed = if row.failure.is_some() {
            "FAILED"
        } else {
            "–"
        };
        cells.push(row.max_difference.map_or(failed.to_owned(), difference));
    }
    cells.push(
        row.tensors
            .iter()
            .map(tensor)
            .collect::<Vec<_>>()
            .join("\n"),
    );
    cells
}

fn difference(d: f64) -> String {
    if d == 0.0 {
        "0".to_owned()
    } else {
        format!("{d:.1e}")
    }
}

fn ms(t: f64) -> String {
    if t < 10.0 {
        format!("{t:.2}")
    } else {
        format!("{t:.1}")
    }
}

fn bytes(n: u64) -> String {
    format!("{}B", scaled(n))
}

/// Three significant digits: `523 M`.
fn count(n: u64) -> String {
    scaled(n).trim_end().to_owned()
}

fn scaled(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.5 || unit == "T" {
            let digits = match value {
                _ if unit.is_empty() || value >= 99.95 => 0,
                v if v >= 9.995 => 1,
                _ => 2,
            };
            return format!("{value:.digits$} {unit}");
        }
        value /= 1000.0;
    }
    n.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (523_000_000, "523 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(count(904_655), "905 k");
        assert_eq!(count(7), "7");
    }
}
