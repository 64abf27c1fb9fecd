// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The end of a frame's work, on the source pad's task: take the server's answer or complete the frame here, and give
//! the buffer its result.

use std::time::Duration;

use splitinfer_meta::{Completed, FrameResult};

use super::OnDeadline;
use super::flow::Flow;
use super::frame::{Frame, ServerTimes, Work};
use super::imp::Started;
use super::rest::{Done, Parties, Unfinished};

/// A buffer that is ready to leave, and what became of it.
pub(super) struct Finished {
    pub(super) buffer: gst::Buffer,
    /// As it is on the buffer.
    pub(super) result: FrameResult,
    /// From the arrival of the frame to its result.
    pub(super) latency: Duration,
    pub(super) server: Option<ServerTimes>,
    /// The server was asked and did not answer in time.
    pub(super) missed: bool,
    /// The server was asked and had too much to do.
    pub(super) refused: bool,
    /// Inference was wanted for this frame.
    pub(super) inferred: bool,
}

/// Completes a frame. Its result carries the coordinates of the frame.
pub(super) fn finish(
    frame: Frame,
    started: &Started,
    flow: &Flow,
    on_deadline: OnDeadline,
) -> Result<Finished, Unfinished> {
    let inferred = !matches!(frame.work, Work::Skipped);
    let Done {
        outcome,
        server,
        received,
        missed,
        refused,
    } = match frame.work {
        Work::Skipped => Done::default(),
        Work::Done(outcome) => Done {
            outcome,
            ..Done::default()
        },
        Work::Remote(remote) => {
            let parties = Parties {
                engine: &frame.engine,
                flow,
                link: started.link.as_deref(),
            };
            parties.finish(frame.number, remote, on_deadline)?
        }
    };
    let latency = frame.arrived.elapsed();
    let completed = outcome.completed;
    let mirror = started.mirror.as_ref();
    let found = mirror
        .filter(|_| completed != Completed::None)
        .map(|mirror| {
            mirror.finished(frame.number, &outcome.objects);
            outcome.objects.clone()
        });
    let mut result = FrameResult {
        frame: frame.number,
        split: frame.split.to_string(),
        model_version: frame.engine.version(),
        latency: gst::ClockTime::try_from(latency).unwrap_or(gst::ClockTime::ZERO),
        budget: gst::ClockTime::try_from(frame.budget).ok(),
        completed,
        received,
        objects: outcome
            .objects
            .into_iter()
            .map(crate::convert::object)
            .collect(),
        tensors: outcome
            .tensors
            .iter()
            .map(crate::convert::raw_tensor)
            .collect(),
        ..FrameResult::default()
    };
    if let (Some(mirror), Some(found)) = (mirror, found) {
        mirror.report(&found, &mut result);
    }
    let mut buffer = frame.buffer;
    splitinfer_meta::attach(buffer.make_mut(), &result);
    Ok(Finished {
        buffer,
        result,
        latency,
        server,
        missed,
        refused,
        inferred,
    })
}
