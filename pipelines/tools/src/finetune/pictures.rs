// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures and videos, as frames.

use crate::video;
use anyhow::{Context, Result, bail};
use splitinfer_vision::Frame;
use std::path::{Path, PathBuf};

/// What is taken for a picture in a folder.
const ENDINGS: [&str; 10] = [
    "jpg", "jpeg", "png", "bmp", "webp", "gif", "tif", "tiff", "ppm", "pgm",
];

/// The pictures of a folder in the order of their names, or the file itself.
///
/// # Errors
/// When a folder cannot be read or has none.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let subject = || path.display().to_string();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(subject)? {
        let file = entry.with_context(subject)?.path();
        if is_picture(&file) {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!(
            "{}: the folder has no pictures ({})",
            path.display(),
            ENDINGS.join(", ")
        );
    }
    files.sort();
    Ok(files)
}

pub(super) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

/// Calls `each` with the frames of a file and their numbers in it: of a video at most `most`, evenly spread.
///
/// # Errors
/// When the file cannot be decoded here, or `each` fails.
pub(super) fn frames(
    file: &Path,
    most: usize,
    each: impl FnMut(u64, &Frame<'_>) -> Result<()>,
) -> Result<usize> {
    let most = if is_picture(file) { 1 } else { most };
    video::frames(file, most, each)
}
