// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What comes in: pictures, events and queries.

use std::sync::atomic::Ordering;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{CAT, SplitInferEdge};
use super::qos::Late;
use super::settings::Settings;
use super::streaming::{Begun, Streaming};

impl SplitInferEdge {
    pub(super) fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
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

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
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

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        // What was queued before the query, caps above all, has to reach downstream before it.
        if query.is_serialized() && self.flow.wait_until_empty().is_err() {
            return false;
        }
        if query.type_() == gst::QueryType::Allocation {
            return self.srcpad.peer_query(query);
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }
}
