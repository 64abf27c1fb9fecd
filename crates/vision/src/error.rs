// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use crate::modelinfo::SidecarError;

/// Why a frame could not be prepared or an output could not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VisionError {
    /// The planes of a frame do not hold what its format and size ask for.
    #[error("a {format} frame of {width}x{height}: {problem}")]
    Frame {
        format: &'static str,
        width: u32,
        height: u32,
        problem: String,
    },
    /// A picture has not the size the model wants.
    #[error("the model takes a picture of {expected}, not of {got}")]
    Picture { expected: String, got: String },
    /// An output tensor is missing or has the wrong shape for the head that is to read it.
    #[error("head={head} cannot read output '{tensor}': {problem}")]
    Output {
        head: &'static str,
        tensor: String,
        problem: String,
    },
    /// Nobody knows what the model should have answered.
    #[error(
        "objects cannot be turned into what a model with head={head} should answer, only for heads {known}"
    )]
    Targets {
        head: &'static str,
        known: &'static str,
    },
    /// A SIMD kernel refused its arguments, which the checks before it should have made impossible.
    #[error("{what} failed: {problem}")]
    Kernel { what: &'static str, problem: String },
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
}
