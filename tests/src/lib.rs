// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the whole-pipeline tests share: the plugins as they were built, a model that reads numbers off pictures, and a
//! server in a process of its own.

pub mod adaptation;
pub mod baselines;
pub mod batching;
pub mod data;
pub mod dice;
pub mod faults;
pub mod gate;
pub mod labelling;
pub mod loss;
pub mod measure;
pub mod model;
pub mod monitor;
pub mod network;
pub mod numbered;
pub mod pipeline;
pub mod plugins;
pub mod process;
pub mod quota;
pub mod scene_pictures;
pub mod split_pipelines;
pub mod split_selection;
pub mod split_switch;
pub mod spread;
pub mod tensor_code;
pub mod trainer;
pub mod training;
pub mod weight_update;

use std::path::PathBuf;
use std::sync::Once;

use splitinfer_runtime::Provider;

/// What the tests of numbered frames compute with: `$SPLITINFER_TEST_PROVIDER`, else the CPU.
///
/// # Panics
/// When no provider has that name.
pub fn provider() -> Provider {
    std::env::var("SPLITINFER_TEST_PROVIDER").map_or(Provider::Cpu, |name| {
        name.parse().unwrap_or_else(|e| panic!("{e}"))
    })
}

/// The folder of the plugins and programs of this build: where the test program's own folder `deps` lies.
pub fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the test program has a path");
    let folder = program.parent().expect("a program lies in a folder");
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap_or(folder).to_path_buf(),
        _ => folder.to_path_buf(),
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_path_buf()
}

/// Initialises GStreamer with the plugins of this build.
///
/// # Panics
/// When they have not been built: `cargo build -p gst-plugin-splitinfer -p gst-plugin-adapt`.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        for name in ["gstsplitinfer", "gstadapt"] {
            let file = build_folder().join(format!("lib{name}.so"));
            let plugin = gst::Plugin::load_file(&file).unwrap_or_else(|e| {
                panic!(
                    "{}: {e}; cargo build -p gst-plugin-splitinfer -p gst-plugin-adapt makes it",
                    file.display()
                )
            });
            gst::Registry::get()
                .add_plugin(&plugin)
                .expect("a plugin is registered");
        }
    });
}
