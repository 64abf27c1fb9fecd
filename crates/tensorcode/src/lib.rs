// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tensors to bytes and back: what crosses the network at a split point.
//!
//! [`encoder`] and [`decoder`] give the code that the project uses by default; behind the two traits it can
//! be replaced by a better one. The bit stream is specified in `docs/tensor-code.md`.
//!
//! ```
//! use splitinfer_tensor::Tensor;
//! use splitinfer_tensorcode::{AUTO, Limits, decoder, encoder, max_errors};
//! let sent = Tensor::new(vec![1, 2, 4, 4], (0..32).map(|i| i as f32 / 31.0).collect()).unwrap();
//! let bytes = encoder().encode(&[sent.clone()], AUTO).unwrap();
//! let limits = Limits::default();
//! let received = decoder().decode(&bytes, &limits).unwrap();
//! let bound = max_errors(&bytes, &limits).unwrap()[0];
//! let pairs = sent.to_f32_vec().into_iter().zip(received[0].to_f32_vec());
//! assert!(pairs.map(|(a, b)| (a - b).abs()).all(|e| e <= bound));
//! ```

mod affine;
mod compress;
mod error;
mod header;
mod layout;
mod pack;
pub mod picture;
mod quantise;

pub use affine::{Affine, AffineDecoder};
pub use error::CodeError;
pub use header::{Coding, TensorHeader, describe, max_errors};
use splitinfer_tensor::Tensor;

/// Value of `bits` that leaves the depth to the code. [`Affine`] takes [`AUTO_BITS`].
pub const AUTO: u8 = 0;

/// What [`AUTO`] stands for in this version: always 8 bits, so that no value is off by more than about 1/510 of
/// its channel's range. A code with rate control may choose per frame.
pub const AUTO_BITS: u8 = 8;

/// Tensors to bytes. One encoder per stream of one cut, because a code may predict from earlier frames.
pub trait Encode: Send {
    /// Encodes the tensors of one frame. `bits` is 2–8 or 16 (quantised), 32 (every value exactly as it is),
    /// or [`AUTO`].
    ///
    /// Integers and booleans are exact at any depth. So is a tensor that holds a NaN or an infinity.
    ///
    /// # Errors
    /// When `bits` is none of these, or when there are more or larger tensors than the bit stream can hold.
    fn encode(&mut self, tensors: &[Tensor], bits: u8) -> Result<Vec<u8>, CodeError>;

    /// Starts afresh: what follows can be decoded without anything that came before. To be called whenever
    /// the cut, the scene or the model version changes, and when the receiver may lack an earlier frame
    /// (new connection, frame reset at its deadline).
    fn reset(&mut self);
}

/// Bytes to tensors. The counterpart of one [`Encode`].
pub trait Decode: Send {
    /// Decodes what one call of [`Encode::encode`] gave: same number, types and shapes, values within
    /// [`max_errors`].
    ///
    /// Never panics, and allocates no more than eight times `limits.max_bytes`, whatever `bytes` holds.
    ///
    /// # Errors
    /// When `bytes` is not such a stream, is damaged in a way that shows, or announces more than `limits`.
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError>;

    /// Forgets earlier frames, as [`Encode::reset`] on the other side.
    fn reset(&mut self);
}

/// How much a decoder accepts. What exceeds it is refused before it is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all decoded tensors (or of the decoded picture) together.
    pub max_bytes: usize,
    /// Tensors in one stream.
    pub max_tensors: usize,
    /// Dimensions of a tensor.
    pub max_rank: usize,
}

impl Default for Limits {
    /// 64 MiB, 64 tensors, 8 dimensions.
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_tensors: 64,
            max_rank: 8,
        }
    }
}

/// The encoder that the project uses by default.
pub fn encoder() -> Box<dyn Encode> {
    Box::new(Affine::default())
}

/// The decoder of everything that [`encoder`] gives.
pub fn decoder() -> Box<dyn Decode> {
    Box::new(AffineDecoder::default())
}
