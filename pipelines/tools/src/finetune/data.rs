// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where examples come from, looked at before anything is computed.

use super::arrays::Arrays;
use super::pictures;
use super::truth::TrueObjects;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One `--data` or `--anchors`.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A NumPy archive, and the names of its arrays.
    Arrays { path: PathBuf, names: Vec<String> },
    /// Pictures of a folder, a picture, or a video; without truth a teacher is asked.
    Pictures {
        path: PathBuf,
        files: Vec<PathBuf>,
        truth: Option<Arc<TrueObjects>>,
    },
}

impl Source {
    /// # Errors
    /// When there is no such file, it is no archive although its name says so, or a folder has no pictures.
    pub fn look(path: &Path) -> Result<Self> {
        std::fs::metadata(path).with_context(|| path.display().to_string())?;
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("npz") => Ok(Self::Arrays {
                names: Arrays::open(path)?.names,
                path: path.to_owned(),
            }),
            Some("npy") => bail!(
                "{}: one array alone is no example; put inputs and targets into one file with numpy.savez",
                path.display()
            ),
            _ => Ok(Self::Pictures {
                files: pictures::files(path)?,
                path: path.to_owned(),
                truth: None,
            }),
        }
    }

    /// # Errors
    /// As [`Source::look`].
    pub fn look_at_all(paths: &[PathBuf]) -> Result<Vec<Self>> {
        paths.iter().map(|p| Self::look(p)).collect()
    }

    pub fn are_pictures(&self) -> bool {
        matches!(self, Self::Pictures { .. })
    }

    /// What is truly on its pictures.
    pub fn truth(&self) -> Option<&TrueObjects> {
        match self {
            Self::Pictures { truth, .. } => truth.as_deref(),
            Self::Arrays { .. } => None,
        }
    }

    /// Whether somebody has to say what is on its pictures.
    pub fn asks_a_teacher(&self) -> bool {
        self.are_pictures() && self.truth().is_none()
    }

    /// Whether it has weights for the elements of a loss.
    pub fn weighs(&self, name: &str) -> bool {
        match self {
            Self::Arrays { names, .. } => names.iter().any(|n| *n == weights_of(name)),
            Self::Pictures { .. } => false,
        }
    }
}

/// Name of the array that weighs the elements of another.
pub(super) fn weights_of(name: &str) -> String {
    format!("weights/{name}")
}

/// Which of `count` examples are held back: of pictures, whose neighbours look alike, the last; of arrays every so
/// manieth. At least one is, and one is not, if there are two and any are to be.
pub(super) fn held_back(count: usize, share: f64, pictures: bool) -> Vec<bool> {
    let wanted = (count as f64 * share).round() as usize;
    let wanted = match share > 0.0 && count > 1 {
        true => wanted.clamp(1, count - 1),
        false => 0,
    };
    let every = |i: usize| (i + 1) * wanted / count > i * wanted / count;
    let last = |i: usize| i >= count - wanted;
    (0..count)
        .map(|i| if pictures { last(i) } else { every(i) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_pictures_the_last_are_held_back() {
        let back = held_back(10, 0.2, true);
        assert_eq!(back.iter().rposition(|b| !b), Some(7));
        assert_eq!(back.iter().filter(|b| **b).count(), 2);
    }

    proptest! {
        #[test]
        fn some_are_held_back_and_some_are_not(count in 2usize..500, share in 0.01f64..0.99, pictures: bool) {
            let back = held_back(count, share, pictures);
            let number = back.iter().filter(|b| **b).count();
            prop_assert_eq!(back.len(), count);
            prop_assert!(number >= 1 && number < count);
            prop_assert!((number as f64 - count as f64 * share).abs() <= 1.0);
        }

        #[test]
        fn nothing_is_held_back_where_nothing_is_asked_for(count in 0usize..50, pictures: bool) {
            prop_assert!(held_back(count, 0.0, pictures).iter().all(|b| !b));
        }
    }
}
