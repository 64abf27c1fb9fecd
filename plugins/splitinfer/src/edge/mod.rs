// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-edge`: runs the first part of an ONNX model here and the rest on a server, within a latency budget.

use gst::glib;
use gst::prelude::*;

mod check;
mod completion;
mod crossing;
mod engine;
mod filming;
mod flow;
mod frame;
mod imp;
mod incomplete;
mod job;
mod link;
mod load;
mod mirror;
mod model_file;
mod monitor;
mod planner;
mod qos;
mod race;
mod reporter;
mod rest;
mod settings;
mod sink_pad;
mod split;
mod src_pad;
mod stats;
mod streaming;
mod survey;
mod swap;
mod weights;

glib::wrapper! {
    pub struct SplitInferEdge(ObjectSubclass<imp::SplitInferEdge>)
        @extends gst::Element, gst::Object;
}

/// Among the splits that meet the latency budget, which one to prefer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSplitInferObjective")]
#[repr(i32)]
pub enum Objective {
    #[default]
    #[enum_value(name = "The least time from frame to result", nick = "latency")]
    Latency = 0,
    #[enum_value(name = "The least computing on this machine", nick = "edge-load")]
    EdgeLoad = 1,
    #[enum_value(name = "The fewest bytes over the network", nick = "bandwidth")]
    Bandwidth = 2,
    #[enum_value(name = "The least computing on the server", nick = "server-load")]
    ServerLoad = 3,
}

/// What happens to a frame whose answer does not come within the latency budget.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSplitInferOnDeadline")]
#[repr(i32)]
pub enum OnDeadline {
    #[default]
    #[enum_value(name = "Complete it on this machine", nick = "complete")]
    Complete = 0,
    #[enum_value(name = "Let it pass, marked as without result", nick = "skip")]
    Skip = 1,
}

/// Whether the server may complete a frame before all of the tensors that were sent has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSplitInferIncompleteFrames")]
#[repr(i32)]
pub enum IncompleteFrames {
    #[enum_value(name = "It waits for all of it", nick = "never")]
    Never = 0,
    #[default]
    #[enum_value(
        name = "Where this machine could not complete the frame within the budget, or must not",
        nick = "when-late"
    )]
    WhenLate = 1,
    #[enum_value(
        name = "Also where this machine could: it has less to do, and results are a little less exact",
        nick = "always"
    )]
    Always = 2,
}

/// Whether the stream is shown to the pipeline behind the server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstSplitInferSendFrames")]
#[repr(i32)]
pub enum SendFrames {
    #[default]
    #[enum_value(
        name = "No picture leaves for it; it sees what the server completes",
        nick = "never"
    )]
    Never = 0,
    #[enum_value(
        name = "Every result, and the pictures that it asks for",
        nick = "on-request"
    )]
    OnRequest = 1,
    #[enum_value(name = "Every result and every picture", nick = "always")]
    Always = 2,
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "splitinfer-edge",
        gst::Rank::NONE,
        SplitInferEdge::static_type(),
    )
}
