// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The threads that compute.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use splitinfer_wire::Content;

use super::answer::{Answer, Failure, Outputs, answer};
use super::decode::{Decoded, Ready, decode};
use super::lane::Turn;
use super::models::Prepared;
use super::service::{Served, Serving};
use super::station::Station;
use super::video;
use crate::net::server::{Job, Outcome, OutcomeBody};

/// Starts `count` threads; they end when the queue is closed.
///
/// # Errors
/// When the system has no more threads.
pub fn start(count: usize, serving: &Arc<Serving>) -> std::io::Result<Vec<JoinHandle<()>>> {
    (0..count)
        .map(|i| {
            let serving = serving.clone();
            std::thread::Builder::new()
                .name(format!("splitinfer-run{i}"))
                .spawn(move || work(&serving))
        })
        .collect()
}

fn work(serving: &Serving) {
    while let Some(job) = serving.queue.pop() {
        let begun = Instant::now();
        match job.header.content {
            Content::Video => video::serve(serving, job),
            _ if job.is_wanted(begun) => serve(serving, job, begun, None),
            _ => dropped(serving, &job),
        }
        serving.utilisation.worked(begun.elapsed());
    }
}

/// Decodes the frame, and computes it and others that wait for the same part of its model, unless another worker does
/// already, which will see to this one, too. `decoded`: the picture of a video.
pub(super) fn serve(serving: &Serving, job: Job<Served>, begun: Instant, decoded: Option<Decoded>) {
    let ready = match decode(serving, job, begun, decoded) {
        Ok(ready) => ready,
        Err(refused) => {
            let (job, failure) = *refused;
            let queue = begun.saturating_duration_since(job.received);
            return finish(serving, job, queue, Err(failure));
        }
    };
    let prepared = ready.version.prepared.clone();
    let station = prepared.station(ready.cut());
    serving.backlog.decoded(&ready.job.forecast);
    let crowded = station.put(ready);
    if crowded || !serving.policy.window.is_zero() {
        serving.consider_company(&prepared, station);
    }
    let edges = || serving.edges_of(&prepared.subject);
    while let Some(turn) = station.turn(serving.policy, edges) {
        compute(serving, &prepared, station, turn);
    }
}

fn compute(serving: &Serving, prepared: &Prepared, station: &Station, mut turn: Turn<'_, Ready>) {
    let now = Instant::now();
    for frame in &turn.frames {
        let waited = frame.waited(now);
        serving.backlog.taken(&frame.job.forecast, waited);
    }
    let frames: Vec<_> = std::mem::take(&mut turn.frames)
        .into_iter()
        .filter_map(|frame| still_wanted(serving, frame, now))
        .collect();
    if frames.is_empty() {
        return;
    }
    let longest = frames.iter().map(|f| f.job.forecast.work).max();
    let run = serving.backlog.runs(longest.unwrap_or_default(), now);
    let tensors: Vec<_> = frames.iter().map(|f| f.tensors.as_slice()).collect();
    let computed = guarded(|| Ok(station.compute(&prepared.split, &tensors)));
    let took = now.elapsed();
    // The next ones are computed while these are answered.
    drop((run, turn));
    serving.together.add(frames.len());
    match computed {
        Ok(outputs) => {
            for (frame, outputs) in frames.into_iter().zip(outputs) {
                prepared.subject.timing(frame.candidate).add(took);
                conclude(
                    serving,
                    frame,
                    now,
                    took,
                    outputs.map_err(Failure::internal),
                );
            }
        }
        Err(failure) => {
            for frame in frames {
                conclude(serving, frame, now, took, Err(failure.clone()));
            }
        }
    }
}

/// The frame, unless nobody waits for its answer any more, or the server stops.
fn still_wanted(serving: &Serving, frame: Ready, now: Instant) -> Option<Ready> {
    if frame.job.is_wanted(now) && !serving.queue.is_closed() {
        return Some(frame);
    }
    dropped(serving, &frame.job);
    // The edge has to know that a picture of its video has been decoded.
    if frame.job.header.content == Content::Video {
        reply(frame.job, frame.queue, Answer::empty(frame.decode));
    }
    None
}

fn conclude(
    serving: &Serving,
    frame: Ready,
    begun: Instant,
    took: Duration,
    outputs: Result<Outputs, Failure>,
) {
    let answer = outputs.and_then(|outputs| guarded(|| answer(&frame, outputs, took)));
    let queue = frame.waited(begun);
    finish(serving, frame.job, queue, answer);
}

/// What the network sent must not end the server, even where a library it passes through has a fault.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(Failure::internal("the frame made the server fail")))
}

/// Nobody waits for the answer any more.
pub(super) fn dropped(serving: &Serving, job: &Job<Served>) {
    for figures in [&job.session.figures, &serving.totals] {
        figures.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts what became of the frame, and sends it back. `queue`: how long it has waited.
pub(super) fn finish(
    serving: &Serving,
    job: Job<Served>,
    queue: Duration,
    answer: Result<Answer, Failure>,
) {
    let answer = answer.unwrap_or_else(|Failure(status, text)| {
        let (number, peer) = (job.header.number, job.session.client.peer);
        gst::debug!(super::CAT, "frame {number} of {peer}: {text}");
        for figures in [&job.session.figures, &serving.totals] {
            figures.failures.fetch_add(1, Ordering::Relaxed);
        }
        Answer {
            body: OutcomeBody::Failure(status, text),
            decode: Duration::ZERO,
            compute: Duration::ZERO,
        }
    });
    if !matches!(answer.body, OutcomeBody::Failure(..)) {
        for figures in [&job.session.figures, &serving.totals] {
            let missing = job.missing_bytes();
            figures.result(job.payload.len() - missing, missing, queue, answer.compute);
        }
    }
    reply(job, queue, answer);
}

pub(super) fn reply(job: Job<Served>, queue: Duration, answer: Answer) {
    let (model_version, missing) = (job.header.model_version, job.missing_bytes());
    job.finish(Outcome {
        model_version,
        queue,
        decode: answer.decode,
        compute: answer.compute,
        body: answer.body,
        missing,
    });
}
