// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From what a model gave for a frame to the frame's answer.

use std::time::Duration;

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Affine, CodeError, Encode};
use splitinfer_vision::{Object, Placement};
use splitinfer_wire::{Status, Wants};

use super::decode::Ready;
use super::published::publish;
use crate::convert;
use crate::net::server::OutcomeBody;

/// Every bit of an output is kept: an edge that asks for raw tensors wants what the model gave.
const EXACT: u8 = 32;

pub(super) type Outputs = Vec<(String, Tensor)>;

/// Why a frame has no result.
#[derive(Clone, Debug)]
pub(super) struct Failure(pub Status, pub String);

impl Failure {
    pub(super) fn bad(e: impl std::fmt::Display) -> Self {
        Self(Status::BadInput, e.to_string())
    }

    /// The payload cannot be decoded; `whole`: although all of it came. An edge that starts afresh helps itself where only the
    /// reference is missing.
    pub(super) fn undecodable(e: &CodeError, whole: bool) -> Self {
        let status = match e {
            CodeError::Reference(_) => Status::NoReference,
            _ if !whole => Status::Incomplete,
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

/// What a model gave for a frame.
pub(super) struct Found {
    pub outputs: Outputs,
    pub objects: Vec<Object>,
}

/// `compute`: how long the model ran. The pipeline behind the edge's pad is told as well.
pub(super) fn answer(
    ready: &Ready,
    outputs: Outputs,
    compute: Duration,
) -> Result<Answer, Failure> {
    let header = &ready.job.header;
    let head = &ready.version.prepared.subject.head;
    let mut objects = head.read(&outputs).map_err(Failure::internal)?;
    let placement = Placement::from_f32x6(header.placement)
        .ok_or_else(|| Failure::bad("the placement of the picture in the frame is not possible"))?;
    for object in &mut objects {
        placement.to_frame(object);
    }
    let body = match ready.job.session.wants {
        Wants::Objects => {
            OutcomeBody::Objects(objects.iter().cloned().map(convert::to_wire).collect())
        }
        Wants::Tensors => {
            let tensors: Vec<_> = outputs.iter().map(|(_, t)| t.clone()).collect();
            let bytes = Affine::default()
                .encode(header.number, &tensors, EXACT)
                .map_err(Failure::internal)?;
            OutcomeBody::Tensors(bytes.into())
        }
    };
    publish(&ready.job, Found { outputs, objects });
    Ok(Answer {
        body,
        decode: ready.decode,
        compute,
    })
}
