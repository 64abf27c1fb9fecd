// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What goes out: frames with results, in order, from a task of the pad; and what downstream asks.

use std::time::Duration;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::completion;
use super::flow::Step;
use super::frame::Frame;
use super::imp::{CAT, SplitInferEdge};
use super::rest::Unfinished;

/// Added to the measured time when the element reports its latency without a server.
const LATENCY_STEP: Duration = Duration::from_millis(5);

impl SplitInferEdge {
    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if let gst::EventView::Qos(qos) = event.view() {
            let (_, proportion, diff, timestamp) = qos.get();
            self.qos.lock().unwrap().update(proportion, diff, timestamp);
        }
        if let Some(update) = splitinfer_meta::read_weights_event(&event) {
            return self.weights_event(pad, event, update);
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
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

    pub(super) fn activate_src(
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

    pub(super) fn start_task(&self) -> Result<(), gst::LoggableError> {
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
    fn finish(&self, frame: Box<Frame>) -> Result<gst::Buffer, gst::FlowError> {
        let Some(started) = self.started() else {
            return Err(gst::FlowError::Flushing);
        };
        let on_deadline = self.settings.lock().unwrap().on_deadline();
        let finished = completion::finish(*frame, &started, &self.flow, on_deadline);
        let finished = finished.map_err(|why| match why {
            Unfinished::Flushing => gst::FlowError::Flushing,
            Unfinished::Failed(message) => {
                self.post_error_message(message);
                gst::FlowError::Error
            }
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
