// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GObject and GstElement: pads, events, queries, properties. What is decided about a frame is in `watch.rs`.

use super::settings::{self, Settings};
use super::watch::{Seen, Watch};
use crate::branch::{Branch, Item};
use crate::report::Report;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "svdgate",
        gst::DebugColorFlags::empty(),
        Some("Quality gate for online adaptation"),
    )
});

pub struct SvdGate {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    adaptpad: Mutex<Option<gst::Pad>>,
    settings: Mutex<Settings>,
    watch: Mutex<Watch>,
    dice: Mutex<ChaCha8Rng>,
    branch: Branch,
    /// The adapt pad has still to be told when it is: it may get no frame for long, and a sink without one does not
    /// preroll.
    gap_due: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for SvdGate {
    const NAME: &'static str = "GstSvdGate";
    type Type = super::SvdGate;
    type ParentType = gst::Element;

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
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .build();
        Self {
            sinkpad,
            srcpad,
            adaptpad: Mutex::default(),
            settings: Mutex::default(),
            watch: Mutex::new(Watch::new(&Settings::default())),
            dice: Mutex::new(dice(0)),
            branch: Branch::default(),
            gap_due: AtomicBool::new(false),
        }
    }
}

impl ObjectImpl for SvdGate {
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
        let mut settings = self.settings.lock().unwrap();
        settings.set(value, pspec);
        let settings = *settings;
        self.watch.lock().unwrap().set(&settings);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "quality" => self.watch.lock().unwrap().quality().to_value(),
            "stats" => {
                let dropped = self.branch.dropped();
                self.watch.lock().unwrap().stats(dropped).to_value()
            }
            name => {
                let value = self.settings.lock().unwrap().get(name);
                value.unwrap_or_else(|| pspec.default_value().clone())
            }
        }
    }
}

impl GstObjectImpl for SvdGate {}

impl ElementImpl for SvdGate {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Quality gate",
                "Filter/Analyzer/Video",
                "Scores the last predictions on each object without ground truth, and sends the windows that score badly to \
                 the branch that adapts the model",
                "The splitinfer project",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection::*, PadPresence::*};
            let pads = [
                ("sink", Sink, Always),
                ("src", Src, Always),
                ("adapt", Src, Request),
            ];
            let template = |(name, direction, presence)| {
                gst::PadTemplate::new(name, direction, presence, &template_caps()).ok()
            };
            pads.into_iter().filter_map(template).collect()
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            let settings = *self.settings.lock().unwrap();
            *self.watch.lock().unwrap() = Watch::new(&settings);
            *self.dice.lock().unwrap() = dice(settings.seed);
            self.branch.reset();
        }
        if transition == gst::StateChange::PausedToReady {
            self.branch.stop();
        }
        self.parent_change_state(transition)
    }

    /// There is one adapt pad.
    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let mut slot = self.adaptpad.lock().unwrap();
        if slot.is_some() {
            gst::warning!(CAT, imp = self, "there is an adapt pad already");
            return None;
        }
        let pad = gst::Pad::builder_from_template(template)
            .name("adapt")
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panic activating the adapt pad")),
                    |imp| imp.activate_adapt(pad, mode, active),
                )
            })
            .event_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.adapt_event(event))
            })
            .build();
        *slot = Some(pad.clone());
        drop(slot);
        if let Err(error) = self.obj().add_pad(&pad) {
            gst::error!(CAT, imp = self, "cannot add the adapt pad: {error}");
            self.adaptpad.lock().unwrap().take();
            return None;
        }
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let _ = pad.set_active(false);
        self.adaptpad.lock().unwrap().take();
        let _ = self.obj().remove_pad(pad);
    }
}

fn dice(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(match seed {
        0 => rand::random(),
        seed => seed,
    })
}

/// Without pictures (`splitinfer-server` gives lines of JSON where an edge sends no frames) everything passes.
fn template_caps() -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    let any = gst::CapsFeatures::new_any();
    let make = caps.make_mut();
    make.append_structure_full(gst::Structure::new_empty("video/x-raw"), Some(any));
    make.append_structure(gst::Structure::new_empty("application/x-json"));
    caps
}

impl SvdGate {
    fn adaptpad(&self) -> Option<gst::Pad> {
        self.adaptpad.lock().unwrap().clone()
    }

    fn chain(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let wanted = self.adaptpad().is_some_and(|pad| pad.is_linked());
        if wanted && self.gap_due.swap(false, Ordering::Relaxed) {
            let time = buffer.pts().unwrap_or(gst::ClockTime::ZERO);
            let gap = gst::event::Gap::builder(time).duration(buffer.duration());
            self.branch.push_event(gap.build());
        }
        let random = self.dice.lock().unwrap().random();
        let mut watch = self.watch.lock().unwrap();
        let seen = watch.frame(&mut buffer, wanted, random);
        let most = watch.most_on_the_way();
        drop(watch);
        self.tell(seen, most);
        self.srcpad.push(buffer)
    }

    /// Sends frames to the branch, of which `most` may be on their way, posts messages, and asks upstream for pictures.
    fn tell(&self, seen: Seen, most: usize) {
        if let Some(every) = seen.pictures {
            self.ask_for_pictures(every);
        }
        for frame in seen.send {
            self.branch.push_frame(frame, most);
        }
        for structure in seen.messages {
            let message = gst::message::Element::builder(structure).src(&*self.obj());
            let _ = self.obj().post_message(message.build());
        }
    }

    /// Who has all pictures anyway takes no notice.
    fn ask_for_pictures(&self, every: u32) {
        let heard = self
            .sinkpad
            .push_event(splitinfer_meta::pictures_event(every));
        gst::log!(
            CAT,
            imp = self,
            "picture of every {every}. frame, heard: {heard}"
        );
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        gst::log!(CAT, imp = self, "sink event {event:?}");
        let adapt = self.adaptpad();
        match event.view() {
            EventView::FlushStart(_) => {
                self.branch.stop();
                let forwarded = self.srcpad.push_event(event.clone());
                if let Some(pad) = adapt {
                    pad.push_event(event);
                    let _ = pad.pause_task();
                }
                return forwarded;
            }
            EventView::FlushStop(_) => {
                self.watch.lock().unwrap().interrupt();
                let forwarded = self.srcpad.push_event(event.clone());
                if let Some(pad) = adapt {
                    pad.push_event(event);
                    if let Err(error) = self.start_task(&pad) {
                        error.log();
                    }
                }
                return forwarded;
            }
            // What comes next is another stream, or measured in other pixels.
            EventView::StreamStart(_) | EventView::Caps(_) => {
                let mut watch = self.watch.lock().unwrap();
                watch.interrupt();
                let linked = adapt.as_ref().is_some_and(|pad| pad.is_linked());
                let every = linked.then(|| watch.pictures()).flatten();
                drop(watch);
                if let Some(every) = every {
                    self.ask_for_pictures(every);
                }
            }
            EventView::Segment(_) => self.gap_due.store(true, Ordering::Relaxed),
            _ => {}
        }
        // The adapt pad's own task pushes what is serialized: here it might have to wait.
        match (event.is_serialized(), adapt) {
            (true, _) => self.branch.push_event(event.clone()),
            (false, Some(pad)) => {
                pad.push_event(event.clone());
            }
            (false, None) => {}
        }
        self.srcpad.push_event(event)
    }

    /// The main stream alone decides; a branch that adapts takes what there is.
    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if !self.srcpad.is_linked() {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        }
        let answered = self.srcpad.peer_query(query);
        if answered && let gst::QueryViewMut::Caps(caps) = query.view_mut() {
            let ours = pad.pad_template_caps();
            let both = caps.result_owned().map(|c| c.intersect(&ours));
            caps.set_result(&both.unwrap_or(ours));
        }
        answered
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let of_caps = [gst::QueryType::Caps, gst::QueryType::AcceptCaps].contains(&query.type_());
        match of_caps && self.sinkpad.is_linked() {
            true => self.sinkpad.peer_query(query),
            false => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// From the branch that adapts: what the teacher and the trainer report is for this element, how slow the branch is
    /// concerns nobody upstream, and everything else, such as new weights, goes there.
    fn adapt_event(&self, event: gst::Event) -> bool {
        if let Some(report) = Report::read(&event) {
            return self.report(report);
        }
        match event.view() {
            gst::EventView::Qos(_) | gst::EventView::Latency(_) => true,
            _ => self.sinkpad.push_event(event),
        }
    }

    fn report(&self, report: Result<Report, String>) -> bool {
        let report = match report {
            Ok(report) => report,
            Err(problem) => {
                gst::warning!(CAT, imp = self, "{problem}");
                return false;
            }
        };
        let mut watch = self.watch.lock().unwrap();
        let seen = watch.report(report);
        let most = watch.most_on_the_way();
        drop(watch);
        self.tell(seen, most);
        true
    }

    fn activate_adapt(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "only push mode is supported"));
        }
        if active {
            self.start_task(pad)
        } else {
            self.branch.stop();
            pad.stop_task()
                .map_err(|e| gst::loggable_error!(CAT, "cannot stop the task: {e}"))
        }
    }

    /// Begins with what a pad has to have been told before its first buffer, in case it comes late.
    fn start_task(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
        self.branch.start();
        self.gap_due.store(true, Ordering::Relaxed);
        self.sinkpad.sticky_events_foreach(|event| {
            if event.type_() != gst::EventType::Eos {
                self.branch.push_event(event.clone());
            }
            std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
        });
        let (weak, pad_weak) = (self.downgrade(), pad.downgrade());
        pad.start_task(move || {
            if let (Some(imp), Some(pad)) = (weak.upgrade(), pad_weak.upgrade()) {
                let obj = imp.obj();
                Self::catch_panic_pad_function(
                    Some(obj.upcast_ref()),
                    || {},
                    |imp: &Self| imp.push_next(&pad),
                );
            }
        })
        .map_err(|e| gst::loggable_error!(CAT, "cannot start the task: {e}"))
    }

    /// One turn of the adapt pad's task. What happens on its branch never stops the main stream.
    fn push_next(&self, pad: &gst::Pad) {
        let result = match self.branch.next() {
            None => {
                let _ = pad.pause_task();
                return;
            }
            Some(Item::Event(event)) => {
                pad.push_event(event);
                return;
            }
            Some(Item::Frame(frame)) => pad.push(frame),
        };
        match result {
            // An application may still be putting the branch together.
            Ok(_) | Err(gst::FlowError::NotLinked | gst::FlowError::Flushing) => {}
            Err(error) => {
                gst::debug!(CAT, imp = self, "the adapt pad takes no more: {error}");
                self.branch.stop();
                let _ = pad.pause_task();
            }
        }
    }
}
