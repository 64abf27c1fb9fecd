// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `svdgate`: scores what the student says without ground truth, and gives the windows that score badly to the branch that
//! adapts the student.

mod imp;
mod judge;
mod kept;
mod settings;
mod stats;
mod watch;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    pub struct SvdGate(ObjectSubclass<imp::SvdGate>)
        @extends gst::Element, gst::Object;
}

/// What a window is scored by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSvdGateMetric")]
#[repr(i32)]
pub enum GateMetric {
    #[enum_value(
        name = "What rank r leaves unexplained of the places in the picture, relative to them, as published",
        nick = "relative-error"
    )]
    RelativeError = 0,
    #[enum_value(
        name = "How many patterns of motion there are",
        nick = "effective-rank"
    )]
    EffectiveRank = 1,
    #[enum_value(
        name = "What rank r leaves unexplained of the motion, in units of the object's size",
        nick = "scaled-residual"
    )]
    ScaledResidual = 2,
    #[default]
    #[enum_value(
        name = "Probability of being wrong, from motion, confidence and mirror agreement",
        nick = "combined"
    )]
    Combined = 3,
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    GateMetric::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "svdgate",
        gst::Rank::NONE,
        SvdGate::static_type(),
    )
}
