// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model's picture as H.264, by the encoders and decoders that GStreamer has: a picture in, its bytes out; the bytes in,
//! the picture out, without waiting for the next one.

mod decoder;
mod encoder;
mod pictures;
mod sizes;
#[cfg(test)]
mod tests;
mod through;

pub use decoder::VideoDecoder;
pub use encoder::{Coded, VideoEncoder};

/// Why a picture cannot be coded, or a coder not be had; for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct VideoError(String);

impl VideoError {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
