// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GObject and GstElement: pads, states and properties. What happens to a frame is in `streaming.rs`
//! (the part done here) and `completion.rs` (the rest), what its pads do in `sink_pad.rs` and `src_pad.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::SendFrames;
use super::engine::Engine;
use super::flow::Flow;
use super::link::{Link, Notice};
use super::mirror::Mirror;
use super::qos::Qos;
use super::reporter::Reporter;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::streaming::Streaming;
use super::swap::{Current, Swap, Tasks};
use splitinfer_inference::picture;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "splitinfer-edge",
        gst::DebugColorFlags::empty(),
        Some("Collaborative inference, edge side"),
    )
});

pub struct SplitInferEdge {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) settings: Mutex<Settings>,
    /// Present from READY to PAUSED and back.
    pub(super) started: Mutex<Option<Arc<Started>>>,
    pub(super) flow: Arc<Flow>,
    pub(super) streaming: Mutex<Streaming>,
    pub(super) qos: Mutex<Qos>,
    pub(super) stats: Arc<Mutex<Stats>>,
    /// The server refused this edge for good.
    pub(super) refused: AtomicBool,
}

/// What exists while the element is started.
pub(super) struct Started {
    /// What the next frame begins with.
    pub(super) current: Arc<Current>,
    pub(super) link: Option<Arc<Link>>,
    pub(super) swap: Swap,
    /// With `mirror-check`.
    pub(super) mirror: Option<Mirror>,
    /// With `send-frames`.
    pub(super) reporter: Option<Reporter>,
}

#[glib::object_subclass]
impl ObjectSubclass for SplitInferEdge {
    const NAME: &'static str = "GstSplitInferEdge";
    type Type = super::SplitInferEdge;
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
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "Panic activating the source pad")),
                    |imp| imp.activate_src(pad, mode, active),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            started: Mutex::default(),
            flow: Arc::default(),
            streaming: Mutex::default(),
            qos: Mutex::default(),
            stats: Arc::default(),
            refused: AtomicBool::new(false),
        }
    }
}

impl ObjectImpl for SplitInferEdge {
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
        if pspec.name() == "split" {
            self.check_split();
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return self.stats().to_value();
        }
        let settings = self.settings.lock().unwrap();
        settings
            .get(pspec)
            .unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for SplitInferEdge {}

impl ElementImpl for SplitInferEdge {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Collaborative inference, edge",
                "Filter/Analyzer/Video",
                "Runs an ONNX model on every frame, the first part of it here and the rest on a splitinfer-server, within \
                 a latency budget; without a server, or when it is slow, everything here",
                "The splitinfer project",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(picture::FORMATS)
                .build();
            [
                ("src", gst::PadDirection::Src),
                ("sink", gst::PadDirection::Sink),
            ]
            .into_iter()
            .filter_map(|(name, direction)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
            })
            .collect()
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            self.start().map_err(|message| {
                self.post_error_message(message);
                gst::StateChangeError
            })?;
        }
        if transition == gst::StateChange::PausedToReady {
            self.flow.stop();
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && result.is_err())
        {
            self.stop();
        }
        result
    }
}

impl SplitInferEdge {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        settings.check()?;
        let engine = Arc::new(Engine::load(&settings)?);
        for assumption in &engine.assumptions {
            gst::info!(
                CAT,
                imp = self,
                "no sidecar says it, so assumed: {assumption}"
            );
        }
        settings
            .split
            .resolve(engine.candidates(), settings.remote_only)
            .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("{e}")))?;
        let streaming = Streaming::new(&engine, &settings)?;
        *self.streaming.lock().unwrap() = streaming;
        *self.stats.lock().unwrap() = Stats::default();
        self.qos.lock().unwrap().reset();
        self.refused.store(false, Ordering::Relaxed);
        self.flow.start();
        let (tasks, inbox) = Tasks::new();
        let link = self.open_link(&settings, &engine, tasks.clone())?;
        let link = link.map(Arc::new);
        let mirror = mirror(&settings, &engine)?;
        let reporter = reporter(&settings, link.as_ref())?;
        let current = Arc::new(Current::new(engine));
        let element = self.swap_element();
        let swap = Swap::start((tasks, inbox), Arc::clone(&current), link.as_ref(), element)
            .map_err(|e| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}")))?;
        let started = Started {
            current,
            link,
            swap,
            mirror,
            reporter,
        };
        *self.started.lock().unwrap() = Some(Arc::new(started));
        Ok(())
    }

    fn open_link(
        &self,
        settings: &Settings,
        engine: &Engine,
        tasks: Tasks,
    ) -> Result<Option<Link>, gst::ErrorMessage> {
        let weak = self.downgrade();
        let tell = Box::new(move |notice| {
            if let Some(imp) = weak.upgrade() {
                imp.tell(notice);
            }
        });
        Link::open(settings, engine, Arc::clone(&self.flow), tell, tasks)
    }

    /// Tells the application once that the server was lost, and once that it is back.
    fn tell(&self, notice: Notice) {
        match notice {
            Notice::Lost(what) => {
                let instead = self.settings.lock().unwrap().without_server();
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::Read,
                    ("{what}; {instead} until the server answers again")
                );
            }
            Notice::Back(what) => {
                gst::element_imp_info!(self, gst::ResourceError::Read, ("{what}"), ["{what}"]);
            }
            Notice::Refused(what) => {
                gst::element_imp_error!(self, gst::ResourceError::NotAuthorized, ("{what}"));
                // An application may miss a message that comes while the pipeline is still being started; it does not
                // miss the end of the stream.
                self.refused.store(true, Ordering::Relaxed);
            }
        }
    }

    fn stop(&self) {
        // Closing the link joins its thread, which may want locks of this element: none is held here.
        let started = self.started.lock().unwrap().take();
        drop(started);
        *self.streaming.lock().unwrap() = Streaming::default();
    }

    pub(super) fn started(&self) -> Option<Arc<Started>> {
        self.started.lock().unwrap().clone()
    }

    /// A split that the model does not have cannot be refused by a property: it is reported, and changes nothing.
    fn check_split(&self) {
        let Some(started) = self.started() else {
            return;
        };
        let settings = self.settings.lock().unwrap().clone();
        let engine = started.current.get();
        let split = settings
            .split
            .resolve(engine.candidates(), settings.remote_only);
        if let Err(error) = split {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{error}"));
        }
    }

    fn stats(&self) -> gst::Structure {
        let started = self.started();
        let link = started.as_ref().and_then(|s| s.link.as_deref());
        let engine = started.as_ref().map(|s| s.current.get());
        let stats = self.stats.lock().unwrap();
        let mut structure = stats.to_structure(engine.as_deref(), link);
        drop(stats);
        structure.set("lost-buffers", self.flow.lost());
        if let Some(reporter) = started.as_ref().and_then(|s| s.reporter.as_ref()) {
            for (name, count) in reporter.counts().fields() {
                structure.set(name, count);
            }
        }
        structure
    }

    pub(super) fn count(&self, what: impl FnOnce(&mut Stats)) {
        what(&mut self.stats.lock().unwrap());
    }

    pub(super) fn update_rate(&self) -> u64 {
        self.settings.lock().unwrap().update_rate()
    }
}

/// What tells the pipeline behind the server of frames, where that is wanted.
fn reporter(
    settings: &Settings,
    link: Option<&Arc<Link>>,
) -> Result<Option<Reporter>, gst::ErrorMessage> {
    let link = link.filter(|_| settings.send_frames != SendFrames::Never);
    let started = link.map(|link| Reporter::start(Arc::clone(link)));
    started
        .transpose()
        .map_err(|e| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}")))
}

/// What is asked to look at frames in the mirror, where that is wanted and objects are known.
fn mirror(settings: &Settings, engine: &Engine) -> Result<Option<Mirror>, gst::ErrorMessage> {
    if settings.mirror_check == 0 || engine.is_raw() {
        return Ok(None);
    }
    let started = Mirror::start(settings.mirror_check);
    started
        .map(Some)
        .map_err(|e| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}")))
}
