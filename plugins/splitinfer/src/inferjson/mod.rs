// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `inferjson`: one line of JSON for each frame.

mod imp;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct InferJson(ObjectSubclass<imp::InferJson>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "inferjson",
        gst::Rank::NONE,
        InferJson::static_type(),
    )
}

#[cfg(test)]
mod tests;
