// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-server`: completes the inference of any number of edges, sends the results back, and hands each edge's
//! results to the pipeline behind it.

mod answer;
mod backlog;
mod company;
mod decode;
mod imp;
mod in_order;
mod lane;
mod models;
mod pads;
mod published;
mod running;
mod service;
mod settings;
mod station;
#[cfg(test)]
mod tests;
mod timing;
mod versions;
mod video;
mod weights;
mod worker;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "splitinfer-server",
        gst::DebugColorFlags::empty(),
        Some("Server of split inference"),
    )
});

glib::wrapper! {
    /// The element.
    pub struct ServerElement(ObjectSubclass<imp::Server>) @extends gst::Element, gst::Object;
}

impl ServerElement {
    /// Of a tensor or a decoded picture that comes from an edge.
    fn most_bytes(&self) -> usize {
        imp::Server::from_obj(self).most_bytes()
    }
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "splitinfer-server",
        gst::Rank::NONE,
        ServerElement::static_type(),
    )
}
