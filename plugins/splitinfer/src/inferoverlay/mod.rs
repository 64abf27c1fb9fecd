// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `inferoverlay`: draws the result of inference on the picture.

mod blend;
mod canvas;
mod colour;
mod drawing;
mod imp;
mod text;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct InferOverlay(ObjectSubclass<imp::InferOverlay>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "inferoverlay",
        gst::Rank::NONE,
        InferOverlay::static_type(),
    )
}

#[cfg(test)]
mod tests;
