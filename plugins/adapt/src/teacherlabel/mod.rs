// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `teacherlabel`: what a larger model says of a frame, attached to it for `finetune`.

mod error;
mod imp;
mod settings;
mod teacher;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TeacherLabel(ObjectSubclass<imp::TeacherLabel>)
        @extends gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "teacherlabel",
        gst::Rank::NONE,
        TeacherLabel::static_type(),
    )
}
