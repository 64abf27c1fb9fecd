// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `teacherlabel`: what a larger model says of a frame, attached to it for `finetune`.

mod counts;
mod error;
mod imp;
mod remote;
mod settings;
mod teacher;
mod work;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct TeacherLabel(ObjectSubclass<imp::TeacherLabel>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// What of the teacher the student learns.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstTeacherLabels")]
#[repr(i32)]
pub enum LabelKind {
    #[default]
    #[enum_value(
        name = "Its outputs, which have the names and shapes of the student's",
        nick = "dense"
    )]
    Dense = 0,
    #[enum_value(
        name = "The objects that it finds, turned into what the student should have answered",
        nick = "decoded"
    )]
    Decoded = 1,
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "teacherlabel",
        gst::Rank::NONE,
        TeacherLabel::static_type(),
    )
}
