// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GObject, GstElement and GstBin (for the element that asks a server): pads, events, properties, states. What happens to a
//! frame is in `work.rs`.

use super::counts::Counts;
use super::remote::Remote;
use super::settings::{self, Settings};
use super::teacher::Teacher;
use crate::branch::Branch;
use crate::mark;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use splitinfer_inference::picture::FORMATS;
use std::sync::{Arc, LazyLock, Mutex};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "teacherlabel",
        gst::DebugColorFlags::empty(),
        Some("Labels by a teacher"),
    )
});

/// What the task works with where the teacher runs here.
#[derive(Default)]
pub(super) struct Work {
    pub(super) teacher: Option<Teacher>,
    pub(super) video: Option<gst_video::VideoInfo>,
}

pub struct TeacherLabel {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    settings: Mutex<Settings>,
    pub(super) counts: Mutex<Counts>,
    pub(super) branch: Branch,
    pub(super) work: Mutex<Work>,
    /// With a server, while the element is started.
    remote: Mutex<Option<Arc<Remote>>>,
    /// Stream time from which on a frame may be labelled again.
    next: Mutex<Option<gst::ClockTime>>,
    /// What the pads downstream said last.
    pub(super) flow: Mutex<Result<gst::FlowSuccess, gst::FlowError>>,
}

#[glib::object_subclass]
impl ObjectSubclass for TeacherLabel {
    const NAME: &'static str = "GstTeacherLabel";
    type Type = super::TeacherLabel;
    type ParentType = gst::Bin;

    fn with_class(klass: &Self::Class) -> Self {
        let template = |name| {
            klass
                .pad_template(name)
                .unwrap_or_else(|| unreachable!("declared below"))
        };
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.chain(buffer),
                )
            })
            .event_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(event))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panic activating the source pad")),
                    |imp| imp.activate_src(pad, mode, active),
                )
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            counts: Mutex::default(),
            branch: Branch::default(),
            work: Mutex::default(),
            remote: Mutex::default(),
            next: Mutex::default(),
            flow: Mutex::new(Ok(gst::FlowSuccess::Ok)),
        }
    }
}

impl ObjectImpl for TeacherLabel {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            if let Err(error) = obj.add_pad(pad) {
                gst::error!(CAT, imp = self, "cannot add pad {}: {error}", pad.name());
            }
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
            return self.stats().to_value();
        }
        let value = self.settings.lock().unwrap().get(pspec.name());
        value.unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for TeacherLabel {}

impl ElementImpl for TeacherLabel {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Teacher",
                "Filter/Analyzer/Video",
                "Runs a larger model on the frames that reach it and attaches what it says, for finetune",
                "The splitinfer project",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::PadDirection::*;
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(FORMATS)
                .build();
            let template = |(name, direction)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
            };
            [("sink", Sink), ("src", Src)]
                .into_iter()
                .filter_map(template)
                .collect()
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused
            && let Err(error) = self.start()
        {
            self.post_error_message(error);
            return Err(gst::StateChangeError);
        }
        if transition == gst::StateChange::PausedToReady {
            self.branch.stop();
            // Else the task would end only when the server has answered.
            if let Some(remote) = self.remote() {
                remote.stop();
            }
        }
        let changed = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && changed.is_err())
        {
            self.stop();
        }
        changed
    }
}

impl BinImpl for TeacherLabel {
    fn handle_message(&self, message: gst::Message) {
        let remote = self.remote().filter(|r| r.is_source(&message));
        match (remote, message.type_()) {
            // What the element inside tells of its plan is nobody's business outside.
            (Some(_), gst::MessageType::Element) => {}
            (Some(remote), gst::MessageType::Warning | gst::MessageType::Error) => {
                remote.lost();
                self.parent_handle_message(message);
            }
            _ => self.parent_handle_message(message),
        }
    }
}

impl TeacherLabel {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        match Remote::new(&self.obj(), &settings, self.takers())? {
            Some(remote) => *self.remote.lock().unwrap() = Some(Arc::new(remote)),
            None => self.work.lock().unwrap().teacher = Some(Teacher::load(&settings)?),
        }
        *self.counts.lock().unwrap() = Counts::default();
        *self.next.lock().unwrap() = None;
        *self.flow.lock().unwrap() = Ok(gst::FlowSuccess::Ok);
        self.branch.reset();
        Ok(())
    }

    fn stop(&self) {
        *self.work.lock().unwrap() = Work::default();
        // Not under the lock: the threads that end here may ask for it.
        let remote = self.remote.lock().unwrap().take();
        if let Some(remote) = remote {
            remote.leave(&self.obj());
        }
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        (*self.flow.lock().unwrap())?;
        self.counts.lock().unwrap().frames += 1;
        // What it shows is not what its result is about.
        if buffer.flags().contains(gst::BufferFlags::GAP) {
            self.counts.lock().unwrap().gaps += 1;
            return Ok(gst::FlowSuccess::Ok);
        }
        let (rate, most) = {
            let settings = self.settings.lock().unwrap();
            (settings.max_rate, settings.max_waiting as usize)
        };
        let canary = mark::read(&buffer).is_some_and(|m| m.canary);
        if rate > 0.0 && !canary && !self.is_due(buffer.pts(), rate) {
            self.counts.lock().unwrap().over_rate += 1;
            return Ok(gst::FlowSuccess::Ok);
        }
        self.branch.push_frame(buffer, most);
        Ok(gst::FlowSuccess::Ok)
    }

    /// Whether the rate allows a frame of this time; one without a time is always due.
    fn is_due(&self, pts: Option<gst::ClockTime>, rate: f64) -> bool {
        let mut next = self.next.lock().unwrap();
        let Some(pts) = pts else { return true };
        // A time far before the next is another stream's.
        let interval = gst::ClockTime::from_seconds_f64(1.0 / rate);
        if next.is_some_and(|next| pts < next && pts + interval > next) {
            return false;
        }
        *next = Some(pts + interval);
        true
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        gst::log!(CAT, imp = self, "sink event {event:?}");
        match event.type_() {
            gst::EventType::FlushStart => {
                self.branch.stop();
                let forwarded = self.push_around(event);
                let _ = self.srcpad.pause_task();
                forwarded
            }
            gst::EventType::FlushStop => {
                if let Some(remote) = self.remote() {
                    remote.forget();
                }
                let forwarded = self.push_around(event);
                *self.next.lock().unwrap() = None;
                *self.flow.lock().unwrap() = Ok(gst::FlowSuccess::Ok);
                if let Err(error) = self.start_task() {
                    error.log();
                }
                forwarded
            }
            _ if event.is_serialized() => {
                self.branch.push_event(event);
                true
            }
            _ => self.srcpad.push_event(event),
        }
    }

    /// A flush goes through the element inside, too.
    fn push_around(&self, event: gst::Event) -> bool {
        match self.remote() {
            Some(remote) => remote.push_event(event),
            None => self.srcpad.push_event(event),
        }
    }

    fn activate_src(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "only push mode is supported"));
        }
        if active {
            return self.start_task();
        }
        self.branch.stop();
        pad.stop_task()
            .map_err(|e| gst::loggable_error!(CAT, "cannot stop the task: {e}"))
    }

    fn start_task(&self) -> Result<(), gst::LoggableError> {
        self.branch.start();
        let weak = self.downgrade();
        self.srcpad
            .start_task(move || {
                if let Some(imp) = weak.upgrade() {
                    let obj = imp.obj();
                    Self::catch_panic_pad_function(Some(obj.upcast_ref()), || {}, Self::next);
                }
            })
            .map_err(|e| gst::loggable_error!(CAT, "cannot start the task: {e}"))
    }

    pub(super) fn remote(&self) -> Option<Arc<Remote>> {
        self.remote.lock().unwrap().clone()
    }

    fn stats(&self) -> gst::Structure {
        let counts = *self.counts.lock().unwrap();
        let mut stats = counts.to_structure(self.branch.dropped());
        if let Some(remote) = self.remote() {
            remote.tell(&mut stats);
        }
        stats
    }
}
