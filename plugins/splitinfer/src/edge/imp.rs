// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! GObject and GstElement: pads, events, queries, states and properties. What happens to a frame is in `streaming.rs`
//! (the part done here) and `completion.rs` (the rest).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::SendFrames;
use super::completion;
use super::engine::Engine;
use super::flow::{Flow, Step};
use super::link::{Link, Notice};
use super::mirror::Mirror;
use super::qos::{Late, Qos};
use super::reporter::Reporter;
use super::settings::{self, Settings};
use super::stats::Stats;
use super::streaming::{Begun, Streaming};
use super::swap::{Current, Swap, Tasks};
use splitinfer_inference::picture;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "splitinfer-edge",
        gst::DebugColorFlags::empty(),
        Some("Collaborative inference, edge side"),
    )
});

/// Added to the measured time when the element reports its latency without a server.
const LATENCY_STEP: Duration = Duration::from_millis(5);

pub struct SplitInferEdge {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    settings: Mutex<Settings>,
    /// Present from READY to PAUSED and back.
    started: Mutex<Option<Arc<Started>>>,
    flow: Arc<Flow>,
    streaming: Mutex<Streaming>,
    qos: Mutex<Qos>,
    stats: Arc<Mutex<Stats>>,
    /// The server refused this edge for good.
    refused: AtomicBool,
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

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings.lock().unwrap().clone();
        self.flow.wait_for_room(settings.max_in_flight)?;
        if self.refused.load(Ordering::Relaxed) {
            return Err(gst::FlowError::Error);
        }
        let arrived = Instant::now();
        let Some(started) = self.started() else {
            return Err(gst::FlowError::Flushing);
        };
        let mut streaming = self.streaming.lock().unwrap();
        let late = self.late(&settings, &streaming, &buffer);
        let failed = |message| {
            self.post_error_message(message);
            gst::FlowError::Error
        };
        let begun = streaming
            .begin(&started, &settings, buffer, arrived, late.is_some())
            .map_err(failed)?;
        self.report(&begun);
        // The frame has to be in the queue before the answer to it can arrive.
        let number = begun.frame.number;
        self.flow.push_frame(begun.frame)?;
        if let (Some(request), Some(link)) = (begun.request, &started.link) {
            link.send(number, request);
        }
        streaming.finish(&started, &settings).map_err(failed)?;
        Ok(gst::FlowSuccess::Ok)
    }

    /// Whether the sink would show the frame too late anyway; says so on the bus, as mainline elements do.
    fn late(
        &self,
        settings: &Settings,
        streaming: &Streaming,
        buffer: &gst::Buffer,
    ) -> Option<Late> {
        if !settings.qos {
            return None;
        }
        let (running_time, stream_time) = streaming.times(buffer.pts());
        let mut qos = self.qos.lock().unwrap();
        let late = qos.check(running_time)?;
        let message = gst::message::Qos::builder(streaming.is_live())
            .src(&*self.obj())
            .running_time(running_time)
            .stream_time(stream_time)
            .timestamp(buffer.pts())
            .duration(buffer.duration())
            .values(late.jitter, late.proportion, 1_000_000)
            .stats(
                gst::format::Buffers::from_u64(qos.processed),
                gst::format::Buffers::from_u64(qos.skipped),
            )
            .build();
        drop(qos);
        let _ = self.obj().post_message(message);
        Some(late)
    }

    /// Counts what was begun and posts a change of the split.
    fn report(&self, begun: &Begun) {
        let mut stats = self.stats.lock().unwrap();
        stats.begun(begun);
        let measured = stats.median();
        drop(stats);
        if let Some(plan) = &begun.plan {
            gst::info!(
                CAT,
                imp = self,
                "split {} → {}: {}",
                plan.old,
                plan.new,
                plan.reason
            );
            let message = gst::message::Element::builder(plan.to_structure(measured))
                .src(&*self.obj())
                .build();
            let _ = self.obj().post_message(message);
        }
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        gst::log!(CAT, imp = self, "sink event {event:?}");
        match event.view() {
            EventView::FlushStart(_) => {
                let forwarded = self.srcpad.push_event(event);
                self.flow.stop();
                let _ = self.srcpad.pause_task();
                return forwarded;
            }
            EventView::FlushStop(_) => {
                let forwarded = self.srcpad.push_event(event);
                self.streaming.lock().unwrap().flush();
                self.qos.lock().unwrap().reset();
                self.flow.start();
                return self.start_task().is_ok() && forwarded;
            }
            EventView::Caps(caps) => {
                if let Err(error) = self.streaming.lock().unwrap().set_caps(caps.caps()) {
                    gst::error!(CAT, imp = self, "unusable caps {}: {error}", caps.caps());
                    return false;
                }
            }
            EventView::Segment(segment) => {
                self.streaming
                    .lock()
                    .unwrap()
                    .set_segment(segment.segment());
                self.qos.lock().unwrap().reset();
            }
            _ => {}
        }
        if event.is_serialized() {
            self.flow.push_event(event).is_ok()
        } else {
            gst::Pad::event_default(pad, Some(&*self.obj()), event)
        }
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        // What was queued before the query, caps above all, has to reach downstream before it.
        if query.is_serialized() && self.flow.wait_until_empty().is_err() {
            return false;
        }
        if query.type_() == gst::QueryType::Allocation {
            return self.srcpad.peer_query(query);
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if let gst::EventView::Qos(qos) = event.view() {
            let (_, proportion, diff, timestamp) = qos.get();
            self.qos.lock().unwrap().update(proportion, diff, timestamp);
        }
        if let Some(update) = splitinfer_meta::read_weights_event(&event) {
            return self.weights_event(pad, event, update);
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let gst::QueryViewMut::Latency(latency) = query.view_mut() else {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        };
        let mut upstream = gst::query::Latency::new();
        if !self.sinkpad.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let added = self.added_latency();
        self.streaming_is_live(live);
        // Frames wait here, up to max-in-flight of them: that much more can be buffered than upstream can.
        latency.set(live, min + added, max.map(|m| m + added));
        true
    }

    fn streaming_is_live(&self, live: bool) {
        self.stats.lock().unwrap().live = live;
    }

    /// With a server a frame may take as long as its budget; without, about as long as the model takes here.
    fn added_latency(&self) -> gst::ClockTime {
        let budget = self.settings.lock().unwrap().latency_budget;
        let time = match self.started() {
            Some(started) if started.link.is_some() => budget,
            _ => self.stats.lock().unwrap().reported_latency,
        };
        gst::ClockTime::try_from(time).unwrap_or(gst::ClockTime::ZERO)
    }

    /// Frames have become slower than the latency reported so far: the pipeline is asked to distribute a new one.
    fn watch_latency(&self, taken: Duration) {
        let mut stats = self.stats.lock().unwrap();
        if taken <= stats.reported_latency || !stats.live {
            return;
        }
        let steps = taken.as_micros() / LATENCY_STEP.as_micros() + 1;
        stats.reported_latency = LATENCY_STEP * u32::try_from(steps).unwrap_or(u32::MAX);
        drop(stats);
        let server = self.started().is_some_and(|s| s.link.is_some());
        if !server {
            let message = gst::message::Latency::builder().src(&*self.obj()).build();
            let _ = self.obj().post_message(message);
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
            self.start_task()
        } else {
            self.flow.stop();
            pad.stop_task()
                .map_err(|e| gst::loggable_error!(CAT, "cannot stop the task: {e}"))
        }
    }

    fn start_task(&self) -> Result<(), gst::LoggableError> {
        let weak = self.downgrade();
        self.srcpad
            .start_task(move || {
                let Some(imp) = weak.upgrade() else { return };
                let obj = imp.obj();
                Self::catch_panic_pad_function(
                    Some(obj.upcast_ref()),
                    || {},
                    |imp: &Self| imp.push_next(),
                );
            })
            .map_err(|e| gst::loggable_error!(CAT, "cannot start the task: {e}"))
    }

    /// One turn of the source pad's task.
    fn push_next(&self) {
        let step = match self.flow.next() {
            Ok(step) => step,
            Err(error) => {
                gst::debug!(CAT, imp = self, "pausing: {error}");
                let _ = self.srcpad.pause_task();
                return;
            }
        };
        let was_frame = matches!(step, Step::Frame(_));
        let result = match step {
            Step::Event(event) => {
                self.srcpad.push_event(event);
                Ok(())
            }
            Step::Frame(frame) => self
                .finish(frame)
                .and_then(|buffer| self.srcpad.push(buffer).map(|_| ())),
        };
        if let Err(error) = result {
            gst::debug!(CAT, imp = self, "downstream returned {error}");
        }
        if self.flow.done(was_frame, result) {
            let error = result.err().unwrap_or(gst::FlowError::Error);
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Internal data stream error"),
                ["streaming stopped, reason {error}"]
            );
            self.srcpad.push_event(gst::event::Eos::new());
        }
    }

    /// Completes the frame if the server did not, and gives its buffer the result.
    fn finish(&self, frame: Box<super::frame::Frame>) -> Result<gst::Buffer, gst::FlowError> {
        let Some(started) = self.started() else {
            return Err(gst::FlowError::Flushing);
        };
        let on_deadline = self.settings.lock().unwrap().on_deadline();
        let finished = completion::finish(*frame, &started, on_deadline).map_err(|message| {
            self.post_error_message(message);
            gst::FlowError::Error
        })?;
        self.stats.lock().unwrap().finished(&finished);
        self.watch_latency(finished.latency);
        if let Some(reporter) = &started.reporter {
            let caps = self.srcpad.current_caps();
            reporter.finished(&finished.result, &finished.buffer, caps);
        }
        Ok(finished.buffer)
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
