// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From a frame's payload to what a model computes with: the tensors of a cut, or the picture as the model's input.

use std::ops::Range;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Decode, Limits, picture};
use splitinfer_vision::Picture;
use splitinfer_wire::{Content, Status};

use super::answer::Failure;
use super::models::Route;
use super::service::{Served, Serving};
use super::versions::Version;
use crate::net::server::Job;

/// A picture that has been decoded before, and how long that took.
pub(super) struct Decoded {
    pub picture: Picture,
    pub took: Duration,
}

/// A frame that nothing is left to be done of but to run the model.
pub(super) struct Ready {
    pub job: Job<Served>,
    pub version: Arc<Version>,
    /// The edge's number of the candidate; `None`: the whole model.
    pub candidate: Option<usize>,
    /// The tensors of the cut, in its order, or the input of the whole model.
    pub tensors: Vec<Tensor>,
    /// How long it has waited for a worker.
    pub queue: Duration,
    pub decode: Duration,
    /// When it was ready.
    pub since: Instant,
}

impl Ready {
    /// How long it has waited, decoding aside, when it is computed now.
    pub fn waited(&self, now: Instant) -> Duration {
        self.queue + now.saturating_duration_since(self.since)
    }

    /// Index among the cuts of the prepared model; `None`: the whole model.
    pub fn cut(&self) -> Option<usize> {
        let route = self.version.prepared.subject.routes.get(self.candidate?)?;
        Some(route.cut)
    }
}

/// What a frame brings.
struct Brought {
    version: Arc<Version>,
    candidate: Option<usize>,
    tensors: Vec<Tensor>,
}

/// `begun`: when a worker took the frame; `decoded`: the picture of a video.
///
/// # Errors
/// Gives the job back, and why it cannot be computed.
pub(super) fn decode(
    serving: &Serving,
    job: Job<Served>,
    begun: Instant,
    decoded: Option<Decoded>,
) -> Result<Ready, Box<(Job<Served>, Failure)>> {
    let queue = begun.saturating_duration_since(job.received);
    let before = decoded.as_ref().map_or(Duration::ZERO, |d| d.took);
    let now = Instant::now();
    let brought = super::worker::guarded(|| brought(serving, &job, decoded));
    match brought {
        Ok(Brought {
            version,
            candidate,
            tensors,
        }) => Ok(Ready {
            job,
            version,
            candidate,
            tensors,
            queue,
            decode: before + now.elapsed(),
            since: Instant::now(),
        }),
        Err(failure) => Err(Box::new((job, failure))),
    }
}

fn brought(
    serving: &Serving,
    job: &Job<Served>,
    decoded: Option<Decoded>,
) -> Result<Brought, Failure> {
    let (header, payload) = (&job.header, &*job.payload);
    let version = job.session.versions.get(header.model_version);
    let version = version.ok_or_else(|| {
        let number = header.model_version;
        let text = format!("version {number} of the weights is not ready here");
        Failure(Status::WrongModel, text)
    })?;
    let subject = &*version.prepared.subject;
    let limits = Limits {
        max_bytes: serving.max_tensor_bytes,
        ..Limits::default()
    };
    let picture = match (header.content, decoded) {
        (Content::Candidate(candidate), _) => {
            let candidate = usize::from(candidate);
            let route = subject.routes.get(candidate);
            let route =
                route.ok_or_else(|| Failure::bad(format!("there is no candidate {candidate}")))?;
            let payload = (payload, &*job.missing);
            let tensors = crossing(&version, (candidate, route), payload, &limits)?;
            return Ok(Brought {
                version,
                candidate: Some(candidate),
                tensors,
            });
        }
        (_, Some(decoded)) => decoded.picture,
        _ => {
            let (width, height, rgb) =
                picture::decode_jpeg(payload, &limits).map_err(Failure::bad)?;
            Picture::new(width, height, rgb).map_err(Failure::bad)?
        }
    };
    let input = subject.with_preprocessor(|p| p.tensor(&picture));
    let tensors = vec![input.map_err(Failure::bad)?];
    Ok(Brought {
        version,
        candidate: None,
        tensors,
    })
}

/// The tensors of a cut, checked and in the order of the cut. What parts of the payload that are missing held is as in the
/// frame that it is predicted from; nothing is predicted from what comes of that.
fn crossing(
    version: &Version,
    (candidate, route): (usize, &Route),
    (payload, missing): (&[u8], &[Range<usize>]),
    limits: &Limits,
) -> Result<Vec<Tensor>, Failure> {
    let cut = version
        .prepared
        .split
        .candidates()
        .get(route.cut)
        .ok_or_else(|| Failure::internal("the candidate has no cut"))?;
    // Earlier frames are of use even if a decoder has failed on one of them.
    let mut decoders = version
        .decoders
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let decoder = decoders.of(candidate, limits);
    let decoded = match missing.is_empty() {
        true => decoder.decode(payload, limits),
        false => decoder.decode_partial(payload, missing, limits),
    };
    let mut sent: Vec<_> = decoded
        .map_err(|e| Failure::undecodable(&e, missing.is_empty()))?
        .into_iter()
        .map(Some)
        .collect();
    drop(decoders);
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
