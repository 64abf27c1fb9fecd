// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The threads that compute: payload to tensors, tail or whole model, outputs to objects.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use splitinfer_meta::{Completed, FrameResult};
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Affine, CodeError, Decode, Encode, Limits, picture};
use splitinfer_vision::{Object, Picture, Placement};
use splitinfer_wire::{Content, FrameHeader, Status, Wants, WireObject};

use super::models::Route;
use super::pads::Outlet;
use super::service::{Served, Serving};
use super::versions::Version;
use crate::convert;
use crate::net::server::{Job, Outcome, OutcomeBody};

/// Every bit of an output is kept: an edge that asks for raw tensors wants what the model gave.
const EXACT: u8 = 32;

type Outputs = Vec<(String, Tensor)>;

/// Why a frame has no result.
struct Failure(Status, String);

impl Failure {
    fn bad(e: impl std::fmt::Display) -> Self {
        Self(Status::BadInput, e.to_string())
    }

    /// The payload cannot be decoded. An edge that starts afresh helps itself where only the reference is missing.
    fn undecodable(e: &CodeError) -> Self {
        let status = match e {
            CodeError::Reference(_) => Status::NoReference,
            _ => Status::BadInput,
        };
        Self(status, e.to_string())
    }

    fn internal(e: impl std::fmt::Display) -> Self {
        Self(Status::Internal, e.to_string())
    }
}

/// What a model gave for a frame, and how long it took.
struct Computed {
    outputs: Outputs,
    objects: Vec<Object>,
    decode: Duration,
    compute: Duration,
}

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
        if !job.is_wanted(begun) {
            job.session.figures.dropped.fetch_add(1, Ordering::Relaxed);
            serving.totals.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let queue = begun.saturating_duration_since(job.received);
        // What the network sent must not end the server, even where a library it passes through has a fault.
        let answer = catch_unwind(AssertUnwindSafe(|| answer(serving, &job)))
            .unwrap_or_else(|_| Err(Failure::internal("the frame made the server fail")));
        serving.utilisation.worked(begun.elapsed());
        let version = job.header.model_version;
        let (body, decode, compute) = match answer {
            Ok(answer) => answer,
            Err(Failure(status, text)) => {
                gst::debug!(
                    super::CAT,
                    "frame {} of {}: {text}",
                    job.header.number,
                    job.session.client.peer
                );
                job.session.figures.failures.fetch_add(1, Ordering::Relaxed);
                serving.totals.failures.fetch_add(1, Ordering::Relaxed);
                (
                    OutcomeBody::Failure(status, text),
                    Duration::ZERO,
                    Duration::ZERO,
                )
            }
        };
        if !matches!(body, OutcomeBody::Failure(..)) {
            let payload = job.payload.len();
            job.session.figures.result(payload, queue, compute);
            serving.totals.result(payload, queue, compute);
        }
        job.finish(Outcome {
            model_version: version,
            queue,
            decode,
            compute,
            body,
        });
    }
}

type Answered = (OutcomeBody, Duration, Duration);

fn answer(serving: &Serving, job: &Job<Served>) -> Result<Answered, Failure> {
    let (session, header) = (&*job.session, &job.header);
    if header.content == Content::Report {
        report(job)?;
        return Ok((OutcomeBody::None, Duration::ZERO, Duration::ZERO));
    }
    let version = session.versions.get(header.model_version).ok_or_else(|| {
        let text = format!(
            "version {} of the weights is not ready here",
            header.model_version
        );
        Failure(Status::WrongModel, text)
    })?;
    let limits = Limits {
        max_bytes: serving.max_tensor_bytes,
        ..Limits::default()
    };
    let computed = compute(&version, header, &job.payload, &limits)?;
    let (decode, spent) = (computed.decode, computed.compute);
    let body = match session.wants {
        Wants::Objects => {
            OutcomeBody::Objects(computed.objects.iter().cloned().map(to_wire).collect())
        }
        Wants::Tensors => {
            let tensors: Vec<_> = computed.outputs.iter().map(|(_, t)| t.clone()).collect();
            let bytes = Affine::default()
                .encode(header.number, &tensors, EXACT)
                .map_err(Failure::internal)?;
            OutcomeBody::Tensors(bytes.into())
        }
    };
    publish(job, computed);
    Ok((body, decode, spent))
}

fn compute(
    version: &Version,
    header: &FrameHeader,
    payload: &[u8],
    limits: &Limits,
) -> Result<Computed, Failure> {
    let split = &version.prepared.split;
    let subject = &*version.prepared.subject;
    let begun = Instant::now();
    let (decoded, outputs) = match header.content {
        Content::Candidate(candidate) => {
            let route = subject
                .routes
                .get(usize::from(candidate))
                .ok_or_else(|| Failure::bad(format!("there is no candidate {candidate}")))?;
            let tensors = crossing(version, route, payload, limits)?;
            let decoded = Instant::now();
            let outputs = split.tail(route.cut, &tensors).map_err(Failure::internal)?;
            subject.timings.tails[usize::from(candidate)].add(decoded.elapsed());
            (decoded, outputs)
        }
        Content::Picture | Content::Report => {
            let (width, height, rgb) =
                picture::decode_jpeg(payload, limits).map_err(Failure::bad)?;
            let picture = Picture::new(width, height, rgb).map_err(Failure::bad)?;
            let input = subject
                .with_preprocessor(|p| p.tensor(&picture))
                .map_err(Failure::bad)?;
            let decoded = Instant::now();
            let outputs = split.whole(&input).map_err(Failure::internal)?;
            subject.timings.whole.add(decoded.elapsed());
            (decoded, outputs)
        }
    };
    let mut objects = subject.head.read(&outputs).map_err(Failure::internal)?;
    let placement = Placement::from_f32x6(header.placement)
        .ok_or_else(|| Failure::bad("the placement of the picture in the frame is not possible"))?;
    for object in &mut objects {
        placement.to_frame(object);
    }
    Ok(Computed {
        outputs,
        objects,
        decode: decoded.saturating_duration_since(begun),
        compute: decoded.elapsed(),
    })
}

/// The tensors of a cut, checked and in the order of the cut.
fn crossing(
    version: &Version,
    route: &Route,
    payload: &[u8],
    limits: &Limits,
) -> Result<Vec<Tensor>, Failure> {
    let cut = version
        .prepared
        .split
        .candidates()
        .get(route.cut)
        .ok_or_else(|| Failure::internal("the candidate has no cut"))?;
    // Earlier frames are of use even if a decoder has failed on one of them.
    let mut decoder = version
        .decoder
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut sent: Vec<_> = decoder
        .decode(payload, limits)
        .map_err(|e| Failure::undecodable(&e))?
        .into_iter()
        .map(Some)
        .collect();
    drop(decoder);
    if sent.len() != cut.tensors.len() {
        let (got, want) = (sent.len(), cut.tensors.len());
        return Err(Failure::bad(format!(
            "{got} tensors came, {want} cross this cut"
        )));
    }
    cut.tensors
        .iter()
        .zip(&route.order)
        .map(|(spec, &at)| {
            let tensor = sent.get_mut(at).and_then(Option::take);
            let fits = |t: &Tensor| t.dtype() == spec.dtype && t.shape() == spec.shape;
            tensor.filter(fits).ok_or_else(|| {
                Failure::bad(format!(
                    "'{}' must be {} of shape {:?}",
                    spec.name, spec.dtype, spec.shape
                ))
            })
        })
        .collect()
}

/// Hands the result to the pipeline behind the edge's pad.
fn publish(job: &Job<Served>, computed: Computed) {
    let (session, header) = (&*job.session, &job.header);
    let raw = session.subject.head.is_raw();
    emit(job, || FrameResult {
        frame: header.number,
        split: match header.content {
            Content::Candidate(candidate) => session.subject.split_name(candidate).to_owned(),
            Content::Picture | Content::Report => "server".to_owned(),
        },
        model_version: header.model_version,
        completed: Completed::Server,
        objects: computed.objects.into_iter().map(convert::object).collect(),
        tensors: match raw {
            true => computed.outputs.iter().map(convert::raw_tensor).collect(),
            false => Vec::new(),
        },
        ..FrameResult::default()
    });
}

/// An edge tells of a frame it completed itself.
fn report(job: &Job<Served>) -> Result<(), Failure> {
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

fn to_wire(object: Object) -> WireObject {
    WireObject {
        class: object.class,
        label: object.label,
        score: object.score,
        box_: object.box_,
        track: object.track,
        keypoints: object.keypoints,
        quality: object.quality,
    }
}
