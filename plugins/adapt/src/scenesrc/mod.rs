// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `scenesrc`: a street or a walking person, drawn, with the truth about every frame as metadata.

mod imp;
mod settings;
mod truth;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct SceneSrc(ObjectSubclass<imp::SceneSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    settings::SceneKind::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    settings::SceneScenario::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "scenesrc",
        gst::Rank::NONE,
        SceneSrc::static_type(),
    )
}
