// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is truly on the pictures of a source, as its truth file has it.

use crate::eval::{Labels, load_truth};
use anyhow::{Result, bail};
use splitinfer_evaluate::truth::Truth;
use splitinfer_evaluate::{Actual, Frame, Ignore};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How truth is read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub ignore: Ignore,
    pub labels: Labels,
}

/// The truth of one source.
#[derive(Clone, Debug)]
pub(super) struct TrueObjects {
    pub path: PathBuf,
    truth: Truth,
    /// Numbers of pictures that the truth knows by their files' names.
    files: BTreeMap<String, u64>,
    reading: Reading,
}

impl TrueObjects {
    /// # Errors
    /// When the file cannot be read, is no truth of a known format, has no object, or names two pictures alike.
    pub fn load(path: &Path, reading: &Reading) -> Result<Self> {
        let truth = load_truth(path)?;
        if truth.frames.values().all(Vec::is_empty) {
            bail!("{}: there is no object in it", path.display());
        }
        let mut files = BTreeMap::new();
        for (name, number) in &truth.files {
            if files.insert(file_name(Path::new(name)), *number).is_some() {
                bail!(
                    "{}: two of its pictures are called {name}, folders aside",
                    path.display()
                );
            }
        }
        Ok(Self {
            path: path.to_owned(),
            truth,
            files,
            reading: reading.clone(),
        })
    }

    /// What is on a picture, with what is to be ignored marked; `None` where that is not known. A `file` is known by its
    /// name if the truth has names, else by its place in its folder; frames of a video by their number.
    pub fn on(&self, file: Option<&Path>, place: u64) -> Option<Vec<Actual>> {
        let number = match file {
            Some(file) if !self.files.is_empty() => *self.files.get(&file_name(file))?,
            _ => place,
        };
        let mut frame = Frame {
            number,
            found: vec![],
            actual: self.reading.labels.actual(self.truth.on(number)?.to_vec()),
        };
        self.reading.ignore.apply(&mut frame);
        Some(frame.actual)
    }

    /// The labels that occur, as they are read.
    pub fn labels(&self) -> BTreeSet<String> {
        let objects = self.truth.frames.values().flatten().cloned().collect();
        let read = self.reading.labels.actual(objects);
        read.into_iter().map(|o| o.label).collect()
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(text: &str) -> Result<TrueObjects> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("truth.json");
        std::fs::write(&path, text)?;
        let ignore = Ignore {
            min_size: 5.0,
            ..Ignore::default()
        };
        let labels = Labels {
            map: [("van".to_owned(), "car".to_owned())].into(),
            ..Labels::default()
        };
        TrueObjects::load(&path, &Reading { ignore, labels })
    }

    const COCO: &str = r#"{
        "images": [{"id": 7, "file_name": "day/b.jpg"}, {"id": 9, "file_name": "day/c.jpg"}],
        "categories": [{"id": 3, "name": "van"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 4]},
            {"image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 40]}
        ]
    }"#;

    #[test]
    fn pictures_are_known_by_their_names_and_frames_by_their_numbers() {
        let truth = truth(COCO).unwrap();
        let b = truth.on(Some(Path::new("/x/b.jpg")), 0).unwrap();
        let what: Vec<_> = b.iter().map(|o| (o.label.as_str(), o.ignore)).collect();
        assert_eq!(what, [("car", true), ("car", false)]);
        assert_eq!(truth.on(Some(Path::new("c.jpg")), 7), Some(vec![]));
        assert_eq!(truth.on(Some(Path::new("d.jpg")), 7), None);
        assert_eq!(truth.on(None, 7), Some(b));
        assert_eq!(truth.on(None, 0), None);
        assert_eq!(truth.labels(), BTreeSet::from(["car".to_owned()]));
    }

    #[test]
    fn without_names_pictures_are_known_by_their_place() {
        let truth = truth("1,1,10,10,50,50,1,-1,-1,-1\n").unwrap();
        let first = truth.on(Some(Path::new("a.jpg")), 0).unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!(truth.on(Some(Path::new("z.jpg")), 5), Some(vec![]));
    }

    #[test]
    fn what_tells_nothing_is_refused() {
        let error = |text| truth(text).unwrap_err().to_string();
        let empty = r#"{"images": [{"id": 7}], "categories": [], "annotations": []}"#;
        assert!(error(empty).contains("no object"), "{}", error(empty));
        let twice = COCO.replace("day/c.jpg", "night/b.jpg");
        assert!(error(&twice).contains("night/b.jpg"), "{}", error(&twice));
    }
}
