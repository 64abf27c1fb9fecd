// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Real videos, models and truth that are not part of the repository: `SPLITINFER_DATA`, or `../shared/data` beside it.

use std::path::PathBuf;

/// The path of a file, or `None` with a line on stderr that says what is skipped: stdout is for measurements' tables.
pub fn find(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SPLITINFER_DATA")
        .map_or_else(|| crate::repository().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: there is no {name} (set SPLITINFER_DATA to the folder that holds it)");
    None
}
