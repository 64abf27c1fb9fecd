// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the pipeline behind an edge's pad is told of its frames.

use splitinfer_meta::{Completed, FrameResult};
use splitinfer_wire::Content;

use super::answer::Found;
use super::pads::{Outlet, Told};
use super::service::Served;
use crate::convert;
use crate::net::server::Job;

/// Hands the result to the pipeline behind the edge's pad, unless the edge itself tells what became of the frame.
pub(super) fn publish(job: &Job<Served>, found: Found) {
    let (session, header) = (&*job.session, &job.header);
    // Nothing is made of a result that nobody would see.
    if session.reports || !session.outlet.as_ref().is_some_and(Outlet::is_linked) {
        return;
    }
    let raw = session.subject.head.is_raw();
    let since = u64::try_from(job.received.elapsed().as_nanos()).unwrap_or(0);
    let result = FrameResult {
        frame: header.number,
        split: match header.content {
            Content::Candidate(candidate) => session.subject.split_name(candidate).to_owned(),
            Content::Video => "server-video".to_owned(),
            Content::Picture | Content::Report => "server".to_owned(),
        },
        model_version: header.model_version,
        latency: gst::ClockTime::from_nseconds(since),
        completed: Completed::Server,
        received: job.received_share(),
        objects: found.objects.into_iter().map(convert::object).collect(),
        tensors: match raw {
            true => found.outputs.iter().map(convert::raw_tensor).collect(),
            false => Vec::new(),
        },
        ..FrameResult::default()
    };
    let pts = header.pts_ns.map(gst::ClockTime::from_nseconds);
    let told = Told::Completed(result, pts);
    let bytes = told.bytes();
    let mut all = session.told.lock().unwrap();
    all.hold(header.number, told, bytes);
}
