// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties of `teacherlabel`.

use gst::glib;
use gst::prelude::*;

use super::LabelKind;

/// What the user set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) model: Option<String>,
    pub(super) labels: LabelKind,
    /// Frames a second; 0: all.
    pub(super) max_rate: f64,
    pub(super) max_waiting: u32,
    pub(super) threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            labels: LabelKind::default(),
            max_rate: 0.0,
            max_waiting: 40,
            threads: 1,
        }
    }
}

impl Settings {
    /// Takes a property's new value; its type was checked.
    pub(super) fn set(&mut self, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "model" => self.model = value.get().unwrap_or_default(),
            "labels" => self.labels = value.get().unwrap_or(self.labels),
            "max-rate" => self.max_rate = value.get().unwrap_or(self.max_rate),
            "max-waiting" => self.max_waiting = value.get().unwrap_or(self.max_waiting),
            "threads" => self.threads = value.get().unwrap_or(self.threads),
            _ => {}
        }
    }

    /// `None` for what is no setting.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model" => self.model.to_value(),
            "labels" => self.labels.to_value(),
            "max-rate" => self.max_rate.to_value(),
            "max-waiting" => self.max_waiting.to_value(),
            "threads" => self.threads.to_value(),
            _ => return None,
        })
    }
}

pub(super) fn properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    vec![
        glib::ParamSpecString::builder("model")
            .nick("Teacher")
            .blurb("ONNX file of the teacher; its sidecar says how to feed and to read it")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("labels", defaults.labels)
            .nick("Labels")
            .blurb("What of the teacher the student learns: all it says, or the objects that it finds, which may be those of a quite different model")
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("max-rate")
            .nick("Most frames a second")
            .blurb("So many frames a second of stream time are labelled at most, the others are dropped; frames that the canary drew always are labelled. 0: all")
            .minimum(0.0)
            .default_value(defaults.max_rate)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-waiting")
            .nick("Most frames that wait")
            .blurb("So many frames wait for the teacher; of more the oldest are dropped, so that nothing before this element ever waits")
            .minimum(1)
            .default_value(defaults.max_waiting)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Threads that share the teacher's work (0: one a physical core)")
            .default_value(defaults.threads)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames that came, were labelled and dropped, the share labelled, the time a label takes, and the error of the last canary frame")
            .read_only()
            .build(),
    ]
}
