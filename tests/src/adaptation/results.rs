// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What single runs showed, kept in a folder: a measurement of hours goes on where it was interrupted, and several
//! processes can share the work.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A folder of results, or none.
#[derive(Clone, Debug)]
pub struct Results {
    folder: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Entry<T> {
    /// What was asked for besides the name, as text.
    of: String,
    result: T,
}

impl Results {
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        Ok(Self { folder })
    }

    /// The result of this name, or that of `run`, which is then kept. `of`: all that it depends on besides the name.
    ///
    /// # Errors
    /// Those of `run`; when the folder cannot be read or written; when it has a result of the name that depends on
    /// something else.
    pub fn get_or<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        of: &str,
        run: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(folder) = &self.folder else {
            return run();
        };
        let file = folder.join(format!("{name}.json"));
        if let Ok(text) = std::fs::read_to_string(&file) {
            let entry: Entry<T> = serde_json::from_str(&text)
                .with_context(|| format!("{} is not a result; delete it", file.display()))?;
            if entry.of != of {
                bail!(
                    "{} is of another measurement ({}, not {of}): take another folder",
                    file.display(),
                    entry.of
                );
            }
            return Ok(entry.result);
        }
        let entry = Entry {
            of: of.to_owned(),
            result: run()?,
        };
        // Never half a file.
        let new = folder.join(format!(".{name}.{}", std::process::id()));
        std::fs::write(&new, serde_json::to_vec(&entry)?)
            .and_then(|()| std::fs::rename(&new, &file))
            .with_context(|| file.display().to_string())?;
        Ok(entry.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_run_is_not_run_again() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::new(Some(folder.path().join("runs"))).unwrap();
        let get = |of: &str, value: f64| results.get_or("a", of, || Ok(Some(value)));
        assert_eq!(get("x", 0.1).unwrap(), Some(0.1));
        assert_eq!(get("x", 0.2).unwrap(), Some(0.1));
        let error = get("y", 0.2).unwrap_err().to_string();
        assert!(error.contains("another folder"), "{error}");
        let none = Results::new(None).unwrap();
        assert_eq!(none.get_or("a", "x", || Ok(0.3)).unwrap(), 0.3);
    }
}
