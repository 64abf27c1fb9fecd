// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the pipeline behind an edge's pad is told of its frames.

use splitinfer_meta::{Completed, FrameResult};
use splitinfer_wire::Content;

use super::answer::{Failure, Found};
use super::pads::Outlet;
use super::service::Served;
use crate::convert;
use crate::net::server::Job;

/// Hands the result to the pipeline behind the edge's pad.
pub(super) fn publish(job: &Job<Served>, found: Found) {
    let (session, header) = (&*job.session, &job.header);
    let raw = session.subject.head.is_raw();
    emit(job, || FrameResult {
        frame: header.number,
        split: match header.content {
            Content::Candidate(candidate) => session.subject.split_name(candidate).to_owned(),
            Content::Video => "server-video".to_owned(),
            Content::Picture | Content::Report => "server".to_owned(),
        },
        model_version: header.model_version,
        completed: Completed::Server,
        objects: found.objects.into_iter().map(convert::object).collect(),
        tensors: match raw {
            true => found.outputs.iter().map(convert::raw_tensor).collect(),
            false => Vec::new(),
        },
        ..FrameResult::default()
    });
}

/// An edge tells of a frame it completed itself.
pub(super) fn report(job: &Job<Served>) -> Result<(), Failure> {
    let objects = splitinfer_wire::objects::decode(&job.payload).map_err(Failure::bad)?;
    emit(job, || FrameResult {
        frame: job.header.number,
        split: "edge".to_owned(),
        model_version: job.header.model_version,
        completed: Completed::Edge,
        objects: objects
            .into_iter()
            .map(|o| convert::object(convert::from_wire(o)))
            .collect(),
        ..FrameResult::default()
    });
    Ok(())
}

/// Nothing is made of a result that nobody would see.
fn emit(job: &Job<Served>, result: impl FnOnce() -> FrameResult) {
    let session = &job.session;
    if !session.outlet.as_ref().is_some_and(Outlet::is_linked) {
        return;
    }
    let mut result = result();
    let since = job.received.elapsed().as_nanos();
    result.latency = gst::ClockTime::from_nseconds(u64::try_from(since).unwrap_or(0));
    let pts = job.header.pts_ns.map(gst::ClockTime::from_nseconds);
    let line = splitinfer_meta::to_json(&result, pts);
    session.lines.lock().unwrap().hold(job.header.number, line);
}
