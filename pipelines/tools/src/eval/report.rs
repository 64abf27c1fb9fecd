// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What came out, and where it goes.

use super::{Request, markdown, plots};
use crate::answer;
use anyhow::{Context, Result};
use serde::Serialize;
use splitinfer_evaluate::Figures;
use std::str::FromStr;

/// The kinds of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Detection,
    Pose,
    Tracking,
}

impl FromStr for Table {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "detection" => Ok(Self::Detection),
            "pose" => Ok(Self::Pose),
            "tracking" => Ok(Self::Tracking),
            _ => Err("there are detection, pose, tracking".to_owned()),
        }
    }
}

impl Table {
    /// The tables for what a model does: `poses` says whether it finds any.
    pub(super) fn suited(figures: &Figures, poses: bool) -> Vec<Self> {
        let main = match figures.pose {
            Some(_) if poses => Self::Pose,
            _ => Self::Detection,
        };
        let tracking = figures.tracking.is_some().then_some(Self::Tracking);
        std::iter::once(main).chain(tracking).collect()
    }
}

/// One run: one file of results, or one model on one domain.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the results or the model.
    pub run: String,
    pub domain: Option<String>,
    /// Score of the operating point.
    pub score: f64,
    #[serde(skip)]
    pub tables: Vec<Table>,
    #[serde(flatten)]
    pub figures: Figures,
}

/// What was asked for, as far as the figures depend on it.
#[derive(Clone, Debug, Serialize)]
struct Asked {
    cutoff: f64,
    pck: Vec<f64>,
    min_size: f64,
    min_visible: f64,
    largest: bool,
    class_agnostic: bool,
}

/// All runs.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    rules: Asked,
    pub runs: Vec<Row>,
    /// What is odd, a line each.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn new(request: &Request) -> Self {
        Self {
            rules: Asked {
                cutoff: request.rules.cutoff,
                pck: request.rules.pck.clone(),
                min_size: request.ignore.min_size,
                min_visible: request.ignore.min_visible,
                largest: request.ignore.largest,
                class_agnostic: request.labels.agnostic,
            },
            runs: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Domains in the order in which they came, the runs of each beside each other.
    pub(super) fn sort(&mut self) {
        let mut domains: Vec<Option<String>> = Vec::new();
        for row in &self.runs {
            if !domains.contains(&row.domain) {
                domains.push(row.domain.clone());
            }
        }
        let place = |row: &Row| domains.iter().position(|d| *d == row.domain);
        self.runs.sort_by_key(place);
    }

    /// All figures, curves and errors frame by frame.
    ///
    /// # Errors
    /// Never, as far as is known: there are only numbers, texts and lists in it.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Prints the tables, and writes the files that were asked for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn deliver(&self, request: &Request) -> Result<()> {
        for note in &self.notes {
            eprintln!("splitinfer-eval: {note}");
        }
        answer::print(self)?;
        if let Some(path) = &request.json {
            std::fs::write(path, self.to_json()? + "\n")
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(folder) = &request.plots {
            plots::draw(self, folder)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tables = [Table::Detection, Table::Pose, Table::Tracking];
        let mut first = true;
        for table in tables {
            let rows: Vec<&Row> = self
                .runs
                .iter()
                .filter(|r| r.tables.contains(&table))
                .collect();
            if rows.is_empty() {
                continue;
            }
            if !first {
                writeln!(f)?;
            }
            first = false;
            write!(f, "{}", markdown::table(table, &rows))?;
        }
        Ok(())
    }
}
