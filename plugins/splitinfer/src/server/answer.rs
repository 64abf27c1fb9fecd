// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From a frame's payload to its answer: tensors or a picture, tail or whole model, outputs to objects.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Affine, CodeError, Decode, Encode, Limits, picture};
use splitinfer_vision::{Object, Picture, Placement};
use splitinfer_wire::{Content, FrameHeader, Status, Wants};

use super::models::Route;
use super::published::publish;
use super::service::{Served, Serving};
use super::versions::Version;
use crate::convert;
use crate::net::server::{Job, OutcomeBody};

/// Every bit of an output is kept: an edge that asks for raw tensors wants what the model gave.
const EXACT: u8 = 32;

pub(super) type Outputs = Vec<(String, Tensor)>;

/// Why a frame has no result.
pub(super) struct Failure(pub Status, pub String);

impl Failure {
    pub(super) fn bad(e: impl std::fmt::Display) -> Self {
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

    pub(super) fn internal(e: impl std::fmt::Display) -> Self {
        Self(Status::Internal, e.to_string())
    }
}

/// What a frame is answered with, and how long that took.
pub(super) struct Answer {
    pub body: OutcomeBody,
    pub decode: Duration,
    pub compute: Duration,
}

impl Answer {
    /// There is nothing to say but that the frame has been worked on.
    pub(super) fn empty(decode: Duration) -> Self {
        Self {
            body: OutcomeBody::None,
            decode,
            compute: Duration::ZERO,
        }
    }
}

/// A picture that has been decoded before, and how long that took.
pub(super) struct Decoded {
    pub picture: Picture,
    pub took: Duration,
}

/// What a model gave for a frame.
pub(super) struct Found {
    pub outputs: Outputs,
    pub objects: Vec<Object>,
}

/// What is left to run.
enum Work<'a> {
    Tail {
        candidate: usize,
        route: &'a Route,
        tensors: Vec<Tensor>,
    },
    Whole(Tensor),
}

/// `decoded`: the picture of a video.
pub(super) fn answer(
    serving: &Serving,
    job: &Job<Served>,
    decoded: Option<Decoded>,
) -> Result<Answer, Failure> {
    let (session, header) = (&*job.session, &job.header);
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
    let begun = Instant::now();
    let before = decoded.as_ref().map_or(Duration::ZERO, |d| d.took);
    let work = decode(&version, header, &job.payload, decoded, &limits)?;
    let decode = before + begun.elapsed();
    let begun = Instant::now();
    let found = compute(&version, header, work)?;
    let compute = begun.elapsed();
    let body = match session.wants {
        Wants::Objects => OutcomeBody::Objects(
            found
                .objects
                .iter()
                .cloned()
                .map(convert::to_wire)
                .collect(),
        ),
        Wants::Tensors => {
            let tensors: Vec<_> = found.outputs.iter().map(|(_, t)| t.clone()).collect();
            let bytes = Affine::default()
                .encode(header.number, &tensors, EXACT)
                .map_err(Failure::internal)?;
            OutcomeBody::Tensors(bytes.into())
        }
    };
    publish(job, found);
    Ok(Answer {
        body,
        decode,
        compute,
    })
}

fn decode<'a>(
    version: &'a Version,
    header: &FrameHeader,
    payload: &[u8],
    decoded: Option<Decoded>,
    limits: &Limits,
) -> Result<Work<'a>, Failure> {
    let subject = &*version.prepared.subject;
    let picture = match (header.content, decoded) {
        (Content::Candidate(candidate), _) => {
            let candidate = usize::from(candidate);
            let route = subject.routes.get(candidate);
            let route =
                route.ok_or_else(|| Failure::bad(format!("there is no candidate {candidate}")))?;
            return Ok(Work::Tail {
                candidate,
                route,
                tensors: crossing(version, route, payload, limits)?,
            });
        }
        (_, Some(decoded)) => decoded.picture,
        _ => {
            let (width, height, rgb) =
                picture::decode_jpeg(payload, limits).map_err(Failure::bad)?;
            Picture::new(width, height, rgb).map_err(Failure::bad)?
        }
    };
    let input = subject.with_preprocessor(|p| p.tensor(&picture));
    input.map(Work::Whole).map_err(Failure::bad)
}

fn compute(version: &Version, header: &FrameHeader, work: Work) -> Result<Found, Failure> {
    let split = &version.prepared.split;
    let subject = &*version.prepared.subject;
    let begun = Instant::now();
    let (outputs, timing) = match work {
        Work::Tail {
            candidate,
            route,
            tensors,
        } => (
            split.tail(route.cut, &tensors),
            &subject.timings.tails[candidate],
        ),
        Work::Whole(input) => (split.whole(&input), &subject.timings.whole),
    };
    let outputs = outputs.map_err(Failure::internal)?;
    timing.add(begun.elapsed());
    let mut objects = subject.head.read(&outputs).map_err(Failure::internal)?;
    let placement = Placement::from_f32x6(header.placement)
        .ok_or_else(|| Failure::bad("the placement of the picture in the frame is not possible"))?;
    for object in &mut objects {
        placement.to_frame(object);
    }
    Ok(Found { outputs, objects })
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
