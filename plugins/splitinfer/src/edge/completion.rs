// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The rest of a frame's work, on the source pad's task: take the server's answer or complete the frame here, and give
//! the buffer its result.

use std::time::{Duration, Instant};

use splitinfer_meta::{Completed, FrameResult};
use splitinfer_vision::Placement;

use super::OnDeadline;
use super::engine::Engine;
use super::frame::{Answer, Frame, Outcome, ServerTimes, Work};
use super::imp::Started;

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
    /// Inference was wanted for this frame.
    pub(super) inferred: bool,
}

/// Completes a frame. Its result carries the coordinates of the frame.
pub(super) fn finish(
    frame: Frame,
    started: &Started,
    on_deadline: OnDeadline,
) -> Result<Finished, gst::ErrorMessage> {
    let inferred = !matches!(frame.work, Work::Skipped);
    let mut server = None;
    let mut received = None;
    let mut missed = false;
    let outcome = match frame.work {
        Work::Skipped => Outcome::default(),
        Work::Done(outcome) => outcome,
        Work::Remote(remote) => {
            let (rest, placement, answer) = remote.into_parts();
            match taken(answer, &frame.engine, &placement) {
                Some((outcome, times, share)) => {
                    server = Some(times);
                    received = share;
                    outcome
                }
                None => {
                    missed = true;
                    if let Some(link) = &started.link {
                        link.missed(frame.number, Instant::now());
                    }
                    match on_deadline {
                        OnDeadline::Complete => {
                            let begun = Instant::now();
                            let outcome = frame.engine.complete(&rest, &placement)?;
                            if let Some(link) = &started.link {
                                link.completed(rest.choice(), begun.elapsed());
                            }
                            outcome
                        }
                        OnDeadline::Skip => Outcome::default(),
                    }
                }
            }
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
        inferred,
    })
}

/// A usable answer, and of what share of the payload where that was not all.
fn taken(
    answer: Option<Answer>,
    engine: &Engine,
    placement: &Placement,
) -> Option<(Outcome, ServerTimes, Option<f64>)> {
    let Some(Answer::Completed {
        found,
        model_version,
        server,
        received,
    }) = answer
    else {
        return None;
    };
    if model_version != engine.version() {
        gst::warning!(
            super::imp::CAT,
            "the server answered with version {model_version} of the weights, the frame began with {}",
            engine.version()
        );
        return None;
    }
    match engine.take(found, placement) {
        Ok(outcome) => Some((outcome, server, received)),
        Err(problem) => {
            gst::warning!(
                super::imp::CAT,
                "unusable answer from the server: {problem}"
            );
            None
        }
    }
}
