// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What happens to a frame, on the source pad's task; with a server also on that of the element inside.

use gst::prelude::*;
use gst::subclass::prelude::*;
use splitinfer_meta::{Labels, attach_labels};

use super::error::error;
use super::imp::{CAT, TeacherLabel, Work};
use super::remote::{Remote, Take, TakeEvent};
use super::teacher::Said;
use crate::branch::Item;
use crate::mark;
use crate::report::Report;

impl TeacherLabel {
    /// One turn of the task.
    pub(super) fn next(&self) {
        match self.branch.next() {
            None => {
                let _ = self.srcpad.pause_task();
            }
            Some(Item::Event(event)) => self.pass_on(event),
            Some(Item::Frame(frame)) => {
                let flow = match self.remote() {
                    Some(remote) => {
                        remote.await_server(&self.branch);
                        remote.ask(frame)
                    }
                    None => self.label(frame).and_then(|frame| self.srcpad.push(frame)),
                };
                self.pushed(flow);
                if flow.is_err() {
                    gst::debug!(CAT, imp = self, "the task stops: {flow:?}");
                    self.branch.stop();
                    let _ = self.srcpad.pause_task();
                }
            }
        }
    }

    fn pass_on(&self, event: gst::Event) {
        if let Some(remote) = self.remote() {
            remote.push_event(event);
            return;
        }
        if let gst::EventView::Caps(caps) = event.view() {
            let video = gst_video::VideoInfo::from_caps(caps.caps()).ok();
            self.work.lock().unwrap().video = video;
        }
        self.srcpad.push_event(event);
    }

    /// What the pads downstream said.
    fn pushed(&self, flow: Result<gst::FlowSuccess, gst::FlowError>) {
        *self.flow.lock().unwrap() = flow;
    }

    fn label(&self, frame: gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        let mut work = self.work.lock().unwrap();
        let Work { teacher, video } = &mut *work;
        let (Some(teacher), Some(video)) = (teacher, video) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let said = teacher.label(&frame, video).map_err(|problem| {
            gst::element_imp_error!(self, gst::LibraryError::Failed, ("the teacher: {problem}"));
            gst::FlowError::Error
        })?;
        drop(work);
        self.labelled(frame, &said)
    }

    fn labelled(&self, frame: gst::Buffer, said: &Said) -> Result<gst::Buffer, gst::FlowError> {
        let frame = self.with_labels(frame, &said.labels)?;
        let canary = mark::read(&frame).filter(|m| m.canary);
        let wrong = canary.and_then(|mark| {
            let student = splitinfer_meta::read(&frame)
                .map(|r| r.objects)
                .unwrap_or_default();
            let error = error(&student, &said.objects);
            let frame = mark.frame;
            self.sinkpad
                .push_event(Report::Canary { frame, error }.event());
            error
        });
        let mut counts = self.counts.lock().unwrap();
        counts.labelled += 1;
        counts.took += said.took;
        counts.canary_error = wrong.or(counts.canary_error);
        Ok(frame)
    }

    fn with_labels(
        &self,
        mut frame: gst::Buffer,
        labels: &Labels,
    ) -> Result<gst::Buffer, gst::FlowError> {
        match attach_labels(frame.make_mut(), labels) {
            Ok(()) => Ok(frame),
            Err(error) => {
                gst::error!(CAT, imp = self, "no labels on the frame: {error}");
                Err(gst::FlowError::Error)
            }
        }
    }

    /// What the element inside calls with what comes back from the server.
    pub(super) fn takers(&self) -> (Take, TakeEvent) {
        let (weak, for_events) = (self.downgrade(), self.downgrade());
        let take: Take = Box::new(move |copy| {
            let imp = weak.upgrade().ok_or(gst::FlowError::Flushing)?;
            imp.catch_panic(|| Err(gst::FlowError::Error), |imp| imp.answered(&copy))
        });
        let take_event: TakeEvent = Box::new(move |event| {
            let imp = for_events.upgrade();
            imp.is_some_and(|imp| imp.catch_panic(|| false, |imp| imp.srcpad.push_event(event)))
        });
        (take, take_event)
    }

    /// A copy has come back: its frame leaves.
    fn answered(&self, copy: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let remote = self.remote().ok_or(gst::FlowError::Flushing)?;
        let Some((frame, said)) = remote.answer(copy) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let frame = match said {
            Some(said) => self.labelled(frame, &said)?,
            None => self.unanswered(frame, &remote)?,
        };
        let flow = self.srcpad.push(frame);
        self.pushed(flow);
        flow
    }

    /// It leaves all the same: it may be the last of those that are learnt from together.
    fn unanswered(
        &self,
        frame: gst::Buffer,
        remote: &Remote,
    ) -> Result<gst::Buffer, gst::FlowError> {
        self.counts.lock().unwrap().unanswered += 1;
        self.with_labels(frame, &remote.silence())
    }
}
