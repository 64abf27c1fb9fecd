// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GObject, GstElement and GstBaseSink: what reaches the sink goes to the trainer's queue.

use super::settings::{self, Settings};
use super::stats::Counts;
use super::worker::Worker;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;
use splitinfer_inference::picture::FORMATS;
use std::sync::{Arc, LazyLock, Mutex};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "finetune",
        gst::DebugColorFlags::empty(),
        Some("Training of the student in the background"),
    )
});

#[derive(Default)]
pub struct FineTune {
    settings: Mutex<Settings>,
    counts: Arc<Mutex<Counts>>,
    worker: Mutex<Option<Worker>>,
    video: Mutex<Option<gst_video::VideoInfo>>,
}

#[glib::object_subclass]
impl ObjectSubclass for FineTune {
    const NAME: &'static str = "GstFineTune";
    type Type = super::FineTune;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for FineTune {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        // Frames come when the gate opens, which may be never: nothing is to wait for the first.
        for property in ["async", "sync", "qos", "enable-last-sample"] {
            obj.set_property(property, false);
        }
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::properties);
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings.lock().unwrap().set(value, pspec);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            // The counts first: with those of a frame in hand, idle means that it is dealt with.
            let counts = self.counts.lock().unwrap().clone();
            let worker = self.worker.lock().unwrap();
            let queue = worker.as_ref().map(|w| &w.queue);
            let (dropped, idle) = queue.map_or((0, true), |q| (q.dropped(), q.is_idle()));
            return counts.to_structure(dropped, idle).to_value();
        }
        let value = self.settings.lock().unwrap().get(pspec.name());
        value.unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for FineTune {}

impl ElementImpl for FineTune {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Fine-tuning",
                "Sink/Analyzer/Video",
                "Trains the student on labelled frames in the background, and sends weights that are better on held-back \
                 frames upstream to the running student",
                "The splitinfer project",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(FORMATS)
                .build();
            let template = gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &caps,
            );
            template.into_iter().collect()
        });
        TEMPLATES.as_ref()
    }
}

impl BaseSinkImpl for FineTune {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *self.counts.lock().unwrap() = Counts::default();
        let settings = self.settings.lock().unwrap().clone();
        let worker = Worker::start(&self.obj(), settings, Arc::clone(&self.counts))?;
        *self.worker.lock().unwrap() = Some(worker);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Not under the lock: the thread may ask for a property before it ends.
        let worker = self.worker.lock().unwrap().take();
        drop(worker);
        *self.video.lock().unwrap() = None;
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let video = gst_video::VideoInfo::from_caps(caps)
            .map_err(|_| gst::loggable_error!(CAT, "no video caps: {caps}"))?;
        *self.video.lock().unwrap() = Some(video);
        Ok(())
    }

    fn event(&self, event: gst::Event) -> bool {
        // Whatever takes new weights has started by now; when this element started it may not have, sinks being the first. Or
        // it lacks what the last ones built on.
        let begins = event.type_() == gst::EventType::Segment;
        if (begins || splitinfer_meta::is_weights_missing_event(&event))
            && let Some(worker) = &*self.worker.lock().unwrap()
        {
            worker.queue.begin();
        }
        self.parent_event(event)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let video = self.video.lock().unwrap().clone();
        let video = video.ok_or(gst::FlowError::NotNegotiated)?;
        if let Some(worker) = &*self.worker.lock().unwrap() {
            worker.queue.push(buffer.clone(), video);
        }
        self.counts.lock().unwrap().frames += 1;
        Ok(gst::FlowSuccess::Ok)
    }
}

impl FineTune {
    pub(super) fn cpu_share(&self) -> f64 {
        self.settings.lock().unwrap().cpu_share.clamp(0.01, 1.0)
    }
}
