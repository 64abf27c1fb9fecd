// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GStreamer plugin: one ONNX model, run partly here and partly on a server.
//!
//! The elements are thin: pads, properties, threads and sockets. What decides lives in `crates/`.

mod convert;
mod edge;
mod inferjson;
mod inferoverlay;
mod net;
mod provider;
mod server;
mod weights;

use gst::glib;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    splitinfer_meta::register();
    edge::register(plugin)?;
    server::register(plugin)?;
    inferoverlay::register(plugin)?;
    inferjson::register(plugin)
}

gst::plugin_define!(
    splitinfer,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL-2.0",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "splitinfer",
    env!("BUILD_REL_DATE")
);
