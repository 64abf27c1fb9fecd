// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The plugins of this build, for programs that the tests start.
//!
//! GStreamer looks through everything below its plugin path, and below the build folder that is every library of every
//! dependency: seconds, in each of the programs that start together, after each build. So the plugins get a folder and a
//! registry of their own, and the registry is made before anything is started.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

const PLUGINS: [&str; 2] = ["libgstsplitinfer.so", "libgstadapt.so"];

/// Has a program find the plugins of this build.
///
/// # Panics
/// When they cannot be made known to GStreamer.
pub fn provide(program: &mut Command) -> &mut Command {
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| prepare().expect("the plugins are made known"));
    with_folder(program, &FOLDER)
}

fn with_folder<'a>(program: &'a mut Command, folder: &Path) -> &'a mut Command {
    program
        .env("GST_PLUGIN_PATH", folder)
        .env("GST_REGISTRY", folder.join("registry.bin"))
}

/// A folder beside that of the build, so that set-up's ONNX Runtime is as near as it is to the build.
fn prepare() -> io::Result<PathBuf> {
    let build = crate::build_folder();
    let name = build.file_name().unwrap_or_default().to_string_lossy();
    let folder = build.with_file_name(format!("gstreamer-1.0-{name}"));
    std::fs::create_dir_all(&folder)?;
    for plugin in PLUGINS {
        link(&build.join(plugin), &folder.join(plugin))?;
    }
    let mut inspect = Command::new("gst-inspect-1.0");
    with_folder(&mut inspect, &folder)
        .arg("splitinfer-edge")
        .stdout(Stdio::null());
    match inspect.status()?.success() {
        true => Ok(folder),
        false => Err(io::Error::other(
            "gst-inspect-1.0 does not find splitinfer-edge",
        )),
    }
}

/// A build folder that was copied brings links to the plugins of another build.
fn link(plugin: &Path, at: &Path) -> io::Result<()> {
    if std::fs::read_link(at).is_ok_and(|there| there != plugin) {
        std::fs::remove_file(at)?;
    }
    match std::os::unix::fs::symlink(plugin, at) {
        // Another test program was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// `$PYTHON`, or the system's, which has GStreamer's bindings; a virtual environment before it on the path usually has not.
pub fn system_python() -> String {
    let system = "/usr/bin/python3";
    std::env::var("PYTHON").unwrap_or_else(|_| match Path::new(system).exists() {
        true => system.to_owned(),
        false => "python3".to_owned(),
    })
}
