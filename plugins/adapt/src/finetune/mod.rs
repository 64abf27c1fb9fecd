// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `finetune`: trains the student on labelled frames in the background and sends new weights upstream.

mod augment;
mod checkpoint;
mod example;
mod goals;
mod imp;
mod messages;
mod publish;
mod queue;
mod settings;
mod stats;
mod training;
mod worker;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct FineTune(ObjectSubclass<imp::FineTune>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "finetune",
        gst::Rank::NONE,
        FineTune::static_type(),
    )
}
