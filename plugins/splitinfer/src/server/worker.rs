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

use super::answer::{Answer, Failure, answer};
use super::service::{Served, Serving};
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
            _ if job.is_wanted(begun) => {
                let answer = guarded(|| answer(serving, &job, None));
                finish(serving, job, begun, answer);
            }
            _ => dropped(serving, &job),
        }
        serving.utilisation.worked(begun.elapsed());
    }
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

/// Counts what became of the frame, and sends it back. `begun`: when work on it did.
pub(super) fn finish(
    serving: &Serving,
    job: Job<Served>,
    begun: Instant,
    answer: Result<Answer, Failure>,
) {
    let queue = begun.saturating_duration_since(job.received);
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
            figures.result(job.payload.len(), queue, answer.compute);
        }
    }
    reply(job, begun, answer);
}

pub(super) fn reply(job: Job<Served>, begun: Instant, answer: Answer) {
    let queue = begun.saturating_duration_since(job.received);
    let model_version = job.header.model_version;
    job.finish(Outcome {
        model_version,
        queue,
        decode: answer.decode,
        compute: answer.compute,
        body: answer.body,
    });
}
