// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Finds the project's elements.

use anyhow::{Context, Result, bail};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::PathBuf;

/// Makes sure that GStreamer knows an element: from where it finds plugins by itself, or else from a build beside this
/// program.
///
/// # Errors
/// When it is in neither place.
pub(super) fn need(element: &str, plugin: &str) -> Result<()> {
    if gst::ElementFactory::find(element).is_some() {
        return Ok(());
    }
    let file = format!("{DLL_PREFIX}{plugin}{DLL_SUFFIX}");
    for folder in beside() {
        let file = folder.join(&file);
        if file.exists() {
            let plugin =
                gst::Plugin::load_file(&file).with_context(|| file.display().to_string())?;
            return Ok(gst::Registry::get().add_plugin(&plugin)?);
        }
    }
    bail!(
        "GStreamer has no element {element}: set GST_PLUGIN_PATH to the folder of the project's plugins \
         (`cargo build --release -p gst-plugin-splitinfer -p gst-plugin-adapt` puts them beside this program)"
    )
}

/// This program's folder; the one above it, where tests lie in `deps`; and where `pipelines/demo.sh` puts plugins.
fn beside() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else {
        return Vec::new();
    };
    let folders = program.ancestors().skip(1).take(2);
    folders
        .flat_map(|f| [f.to_path_buf(), f.join("gstreamer-1.0")])
        .collect()
}
