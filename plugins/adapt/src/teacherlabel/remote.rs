// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The teacher on a server: a `splitinfer-edge` inside this element asks it.
//!
//! What goes to it is a copy of each frame, as it puts what the server finds where the student's result is; the frame
//! itself waits here for what the copy brings back.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult, Labels};

use super::LabelKind;
use super::settings::Settings;
use super::teacher::{Said, check_labels, file_name};
use crate::branch::Branch;

const EDGE: &str = "splitinfer-edge";

/// One frame is on the network while the server works on another.
const IN_FLIGHT: u32 = 2;

/// How often it is looked whether the server is there, before the first frame.
const LOOK: Duration = Duration::from_millis(20);

/// What the pad does with what comes back.
pub(super) type Take =
    Box<dyn Fn(gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> + Send + Sync>;
pub(super) type TakeEvent = Box<dyn Fn(gst::Event) -> bool + Send + Sync>;

/// The element inside, and the frames that are with it.
pub(super) struct Remote {
    teacher: String,
    labels: LabelKind,
    edge: gst::Element,
    to: gst::Pad,
    from: gst::Pad,
    asked: Mutex<Asked>,
    /// For the first connection.
    patience: Duration,
    awaited: AtomicBool,
    /// The element inside has said that there is no server.
    lost: AtomicBool,
}

#[derive(Default)]
struct Asked {
    next: u64,
    frames: VecDeque<(u64, gst::Buffer)>,
}

impl Remote {
    /// Makes the element, in its place but not started. `None` where the settings name no server.
    ///
    /// # Errors
    /// One message for the bus: the model cannot be used, or the element is not there.
    pub(super) fn new(
        parent: &super::TeacherLabel,
        settings: &Settings,
        (take, take_event): (Take, TakeEvent),
    ) -> Result<Option<Self>, gst::ErrorMessage> {
        let Some(server) = settings.server() else {
            return Ok(None);
        };
        let path = settings.model()?;
        check_labels(Path::new(path), settings.labels)?;
        let edge = make()?;
        edge.set_property("model", path);
        edge.set_property("server", server);
        edge.set_property("remote-only", true);
        edge.set_property("raw-outputs", settings.labels == LabelKind::Dense);
        edge.set_property("latency-budget", settings.latency_budget);
        edge.set_property("max-in-flight", IN_FLIGHT);
        edge.set_property("video-encoder", "none");
        // No frame here is late for a sink.
        edge.set_property("qos", false);
        for (name, value) in settings.security() {
            edge.set_property(name, value);
        }
        let to = gst::Pad::builder(gst::PadDirection::Src)
            .name("to-server")
            .build();
        let from = gst::Pad::builder(gst::PadDirection::Sink)
            .name("from-server")
            .chain_function(move |_, _, buffer| take(buffer))
            .event_function(move |_, _, event| take_event(event))
            .build();
        let remote = Self {
            teacher: file_name(Path::new(path)),
            labels: settings.labels,
            edge,
            to,
            from,
            asked: Mutex::default(),
            patience: Duration::from_millis(settings.latency_budget.into()),
            awaited: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        };
        remote.join(parent).map_err(|e| {
            gst::error_msg!(
                gst::CoreError::Failed,
                ("no {EDGE} can be put into this element: {e}")
            )
        })?;
        Ok(Some(remote))
    }

    fn join(&self, parent: &super::TeacherLabel) -> Result<(), gst::glib::BoolError> {
        parent.add(&self.edge)?;
        let linked = |pad: &str| {
            self.edge
                .static_pad(pad)
                .ok_or_else(|| gst::glib::bool_error!("no pad {pad}"))
        };
        let link = |a: &gst::Pad, b: &gst::Pad| {
            a.link(b)
                .map_err(|e| gst::glib::bool_error!("{} does not link: {e}", a.name()))
        };
        link(&self.to, &linked("sink")?)?;
        link(&linked("src")?, &self.from)?;
        self.from.set_active(true)?;
        self.to.set_active(true)
    }

    /// Ends every wait inside; nothing comes back from then on.
    pub(super) fn stop(&self) {
        let _ = self.edge.set_state(gst::State::Ready);
    }

    /// Takes the element out again.
    pub(super) fn leave(&self, parent: &super::TeacherLabel) {
        let _ = self.edge.set_state(gst::State::Null);
        let _ = parent.remove(&self.edge);
        let _ = self.to.set_active(false);
        let _ = self.from.set_active(false);
        self.forget();
    }

    /// No frame comes back any more.
    pub(super) fn forget(&self) {
        self.asked.lock().unwrap().frames.clear();
    }

    /// Whether a message is of the element inside.
    pub(super) fn is_source(&self, message: &gst::Message) -> bool {
        message.src() == Some(self.edge.upcast_ref())
    }

    /// There is no server.
    pub(super) fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Before the first frame: waits for the server as long as for an answer, unless it is lost before or the branch is
    /// stopped. So a stream that begins at once does not lose its first frames.
    pub(super) fn await_server(&self, branch: &Branch) {
        if self.awaited.swap(true, Ordering::Relaxed) {
            return;
        }
        let until = Instant::now() + self.patience;
        while Instant::now() < until && !self.lost.load(Ordering::Relaxed) && !self.is_connected() {
            if !branch.rest(LOOK) {
                return;
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.stats().get("connected") == Ok(true)
    }

    fn stats(&self) -> gst::Structure {
        self.edge.property("stats")
    }

    /// What it says of the link, for the statistics.
    pub(super) fn tell(&self, stats: &mut gst::StructureRef) {
        let edge = self.stats();
        for name in ["connected", "link-sent-bytes", "link-received-bytes"] {
            if let Ok(value) = edge.value(name) {
                stats.set_value(name, value.clone());
            }
        }
    }

    pub(super) fn push_event(&self, event: gst::Event) -> bool {
        self.to.push_event(event)
    }

    /// Asks the server about a frame; waits while enough frames are with it.
    pub(super) fn ask(&self, frame: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut copy = frame.copy();
        let mut asked = self.asked.lock().unwrap();
        let number = asked.next;
        asked.next += 1;
        asked.frames.push_back((number, frame));
        drop(asked);
        let question = copy.make_mut();
        splitinfer_meta::detach(question);
        question.set_offset(number);
        self.to.push(copy)
    }

    /// The frame whose copy came back, and what the teacher said of it, if it did.
    pub(super) fn answer(&self, copy: &gst::BufferRef) -> Option<(gst::Buffer, Option<Said>)> {
        let mut asked = self.asked.lock().unwrap();
        let frame = loop {
            let (number, frame) = asked.frames.pop_front()?;
            if number == copy.offset() {
                break frame;
            }
        };
        drop(asked);
        let result = splitinfer_meta::read(copy);
        let answered = result.filter(|r| r.completed == Completed::Server);
        Some((frame, answered.map(|result| self.said(result))))
    }

    fn said(&self, result: FrameResult) -> Said {
        let dense = self.labels == LabelKind::Dense;
        Said {
            took: result.latency.into(),
            labels: Labels {
                objects: (!dense).then(|| result.objects.clone()),
                tensors: result.tensors,
                ..self.silence()
            },
            objects: result.objects,
        }
    }

    /// The labels of a frame that the teacher said nothing of.
    pub(super) fn silence(&self) -> Labels {
        Labels {
            teacher: self.teacher.clone(),
            ..Labels::default()
        }
    }
}

fn make() -> Result<gst::Element, gst::ErrorMessage> {
    let edge = gst::ElementFactory::make(EDGE).build().map_err(|_| {
        gst::error_msg!(
            gst::CoreError::MissingPlugin,
            (
                "server is set, and there is no element {EDGE} to reach it with: install the plugin splitinfer, and see that \
                 GST_PLUGIN_PATH has its folder"
            )
        )
    })?;
    match edge.has_property("remote-only") && edge.has_property("raw-outputs") {
        true => Ok(edge),
        false => Err(gst::error_msg!(
            gst::CoreError::MissingPlugin,
            ("server is set, and the plugin splitinfer that is installed is older than this element: it cannot ask a teacher")
        )),
    }
}
