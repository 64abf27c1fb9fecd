// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GStreamer plugin: synthetic scenes with exact truth, and what adapts a running model to its scene.

mod branch;
mod finetune;
mod mark;
mod provider;
mod report;
mod scenesrc;
mod svdgate;
mod teacherlabel;

use gst::glib;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    scenesrc::register(plugin)?;
    svdgate::register(plugin)?;
    teacherlabel::register(plugin)?;
    finetune::register(plugin)
}

gst::plugin_define!(
    adapt,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL-2.0",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "splitinfer",
    env!("BUILD_REL_DATE")
);
