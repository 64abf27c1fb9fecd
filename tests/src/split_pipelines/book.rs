// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What has been played, in a file: one line of JSON for each profile and each run. So a measurement that was interrupted goes on
//! where it was, and parts that were played one after the other make one table.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::play::Recording;
use super::profile::Profile;

/// All that has to be the same in the runs of one table, and for a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub model: String,
    /// Frames a second.
    pub rate: u32,
    pub shots: usize,
    /// Parts of a processor.
    pub edge: f64,
    pub server: f64,
    pub machine: String,
    /// Of the plugins.
    pub build: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// One edge behind a link that follows the trace.
    Trace(String),
    /// So many edges on the fastest link.
    Edges(usize),
}

/// Which run it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub setting: Setting,
    pub budget_ms: u32,
    pub place: Place,
    /// Its short name.
    pub method: String,
    /// From 0.
    pub run: u32,
}

/// One of each edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub key: Key,
    pub recordings: Vec<Recording>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Profile(Setting, Profile),
    Run(Run),
}

/// See the module's documentation.
#[derive(Default)]
pub struct Book {
    /// `None`: it is forgotten in the end.
    file: Option<File>,
    pub profiles: Vec<(Setting, Profile)>,
    pub runs: Vec<Run>,
}

impl Book {
    /// A line that was not written to the end is thrown away.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else, or runs that do not belong together.
    pub fn open(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let text = match path.exists() {
            true => std::fs::read_to_string(path).with_context(name)?,
            false => String::new(),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let mut file = options.open(path).with_context(name)?;
        file.set_len(whole as u64).with_context(name)?;
        file.seek(SeekFrom::End(0)).with_context(name)?;
        let mut book = Self::default();
        for (number, line) in text[..whole].lines().enumerate() {
            let line = serde_json::from_str(line);
            book.take(line.with_context(|| format!("{}, line {}", name(), number + 1))?)
                .with_context(name)?;
        }
        book.file = Some(file);
        Ok(book)
    }

    fn take(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Profile(setting, profile) => self.profiles.push((setting, profile)),
            Line::Run(run) => {
                self.check(&run.key)?;
                self.runs.push(run);
            }
        }
        Ok(())
    }

    /// # Errors
    /// When the same model was played in other circumstances.
    fn check(&self, key: &Key) -> Result<()> {
        let same_kind = |other: &&Run| {
            let crowd = |place: &Place| matches!(place, Place::Edges(_));
            other.key.setting.model == key.setting.model
                && crowd(&other.key.place) == crowd(&key.place)
        };
        match self.runs.iter().find(same_kind) {
            Some(other)
                if other.key.setting != key.setting || other.key.budget_ms != key.budget_ms =>
            {
                bail!(
                    "runs that do not make one table: budgets of {} and {} ms, {:?} and {:?}",
                    other.key.budget_ms,
                    key.budget_ms,
                    other.key.setting,
                    key.setting
                )
            }
            _ => Ok(()),
        }
    }

    pub fn profile(&self, setting: &Setting) -> Option<&Profile> {
        let found = self.profiles.iter().find(|(s, _)| s == setting);
        found.map(|(_, profile)| profile)
    }

    /// The parts of a processor, edge and server, with which the same was measured before, whatever those of `setting`.
    pub fn shares(&self, setting: &Setting) -> Option<[f64; 2]> {
        let mut known = self.profiles.iter().map(|(s, _)| s);
        let same = |s: &&Setting| {
            let (edge, server) = (s.edge, s.server);
            **s == Setting {
                edge,
                server,
                ..setting.clone()
            }
        };
        known.find(same).map(|s| [s.edge, s.server])
    }

    pub fn has(&self, key: &Key) -> bool {
        self.runs.iter().any(|run| run.key == *key)
    }

    /// # Errors
    /// When it cannot be written.
    pub fn add_profile(&mut self, setting: Setting, profile: Profile) -> Result<()> {
        self.add(Line::Profile(setting, profile))
    }

    /// # Errors
    /// When it cannot be written, or does not belong to what is there.
    pub fn add_run(&mut self, run: Run) -> Result<()> {
        self.add(Line::Run(run))
    }

    fn add(&mut self, line: Line) -> Result<()> {
        let text = serde_json::to_string(&line)?;
        self.take(line)?;
        if let Some(file) = &mut self.file {
            writeln!(file, "{text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::tests::example;
    use super::*;

    fn setting(model: &str) -> Setting {
        Setting {
            model: model.into(),
            rate: 10,
            shots: 200,
            edge: 0.35,
            server: 1.0,
            machine: "one".into(),
            build: "1".into(),
        }
    }

    fn run(model: &str, place: Place, budget_ms: u32) -> Run {
        Run {
            key: Key {
                setting: setting(model),
                budget_ms,
                place,
                method: "bandit".into(),
                run: 0,
            },
            recordings: vec![Recording::default()],
        }
    }

    #[test]
    fn it_goes_on_where_it_was_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs");
        let first = run("a", Place::Trace("lan".into()), 200);
        let mut book = Book::open(&path).unwrap();
        book.add_profile(setting("a"), example()).unwrap();
        book.add_run(first.clone()).unwrap();
        drop(book);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"run\":{\"key\"");
        std::fs::write(&path, text).unwrap();

        let mut book = Book::open(&path).unwrap();
        assert!(book.has(&first.key));
        assert_eq!(book.profile(&setting("a")), Some(&example()));
        assert_eq!(book.profile(&setting("b")), None);
        let second = run("a", Place::Edges(2), 400);
        assert!(!book.has(&second.key));
        book.add_run(second.clone()).unwrap();
        drop(book);
        let book = Book::open(&path).unwrap();
        assert!(book.has(&first.key) && book.has(&second.key));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let mut book = Book::default();
        book.add_run(run("a", Place::Trace("lan".into()), 200))
            .unwrap();
        book.add_run(run("b", Place::Trace("lan".into()), 300))
            .unwrap();
        assert!(
            book.add_run(run("a", Place::Trace("dsl".into()), 220))
                .is_err()
        );
        let mut other = run("a", Place::Trace("dsl".into()), 200);
        other.key.setting.build = "2".into();
        assert!(book.add_run(other).is_err());
        assert_eq!(book.runs.len(), 2);
    }
}
