// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! ONNX Runtime, found from where a plugin lies.

use std::path::{Path, PathBuf};

use splitinfer_runtime::{Library, RuntimeError};

/// Loads ONNX Runtime, once for the process; see [`splitinfer_runtime::load_library`] for where it is looked for.
/// `plugin`: the name of the one that asks.
///
/// # Errors
/// When there is none that works; the text says how to get one.
pub fn load_library(plugin: &str) -> Result<Library, RuntimeError> {
    splitinfer_runtime::load_library(folder(plugin).as_deref())
}

/// The folder of the plugin; of the program, where the plugin is linked into one.
fn folder(plugin: &str) -> Option<PathBuf> {
    let plugin = gst::Registry::get()
        .find_plugin(plugin)
        .and_then(|p| p.filename());
    let file = plugin.or_else(|| std::env::current_exe().ok())?;
    file.parent().map(Path::to_path_buf)
}
