// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tensors to bytes and back: what crosses the network at a split point.
//!
//! [`encoder`] and [`decoder`] give the code that the project uses by default; behind the two traits it can
//! be replaced by a better one. The bit streams of both codes are specified in `docs/tensor-code.md`:
//! [`Predictive`] for what crosses a cut frame after frame, [`Affine`] for single tensors, among them exact ones.
//!
//! ```
//! use splitinfer_tensor::Tensor;
//! use splitinfer_tensorcode::{AUTO, Limits, decoder, encoder, max_errors};
//! let sent = Tensor::new(vec![1, 2, 4, 4], (0..32).map(|i| i as f32 / 31.0).collect()).unwrap();
//! let bytes = encoder().encode(0, &[sent.clone()], AUTO).unwrap();
//! let limits = Limits::default();
//! let received = decoder().decode(&bytes, &limits).unwrap();
//! let bound = max_errors(&bytes, &limits).unwrap()[0];
//! let pairs = sent.to_f32_vec().into_iter().zip(received[0].to_f32_vec());
//! assert!(pairs.map(|(a, b)| (a - b).abs()).all(|e| e <= bound));
//! ```

mod affine;
mod change;
mod control;
mod error;
pub mod picture;
mod predictive;
mod sensitivity;
mod stream;
mod streams;
mod tuning;

use std::ops::Range;

pub use affine::{Affine, AffineDecoder, Coding, TensorHeader, describe};
pub use change::relative_change;
pub use control::StepControl;
pub use error::CodeError;
pub use predictive::{Predictive, PredictiveDecoder};
pub use sensitivity::{Disturbed, Part, Response, Sensitivity};
use splitinfer_tensor::Tensor;
pub use stream::{Decoder, max_errors};
pub use streams::Decoders;
pub use tuning::{Findings, Look, Tuning};

/// Value of `bits` that leaves the depth to the code.
pub const AUTO: u8 = 0;

/// What [`AUTO`] stands for in [`Predictive`] while nobody has set a step (docs/tensor-code.md says what it costs and does).
pub const AUTO_BITS: u8 = 7;

/// Tensors to bytes. One encoder per stream of one cut, because a code may predict from earlier frames.
pub trait Encode: Send {
    /// Encodes the tensors of one frame. Frames are numbered upwards, not necessarily one by one. `bits` is 2–8 or 16
    /// (quantised), 32 (every value exactly as it is), or [`AUTO`].
    ///
    /// Integers and booleans are exact at any depth. So is a tensor that holds a NaN or an infinity.
    ///
    /// # Errors
    /// When `bits` is none of these, or when there are more or larger tensors than the bit stream can hold.
    fn encode(&mut self, frame: u64, tensors: &[Tensor], bits: u8) -> Result<Vec<u8>, CodeError>;

    /// The receiver has decoded this frame, so that later ones may be predicted from it. Nothing is predicted from what
    /// was not acknowledged; without it, every frame stands alone.
    fn acknowledge(&mut self, frame: u64);

    /// Starts afresh: what follows can be decoded without anything that came before. To be called whenever the cut, the
    /// scene or the model version changes, and when the receiver has lost what it acknowledged (a new connection).
    fn reset(&mut self);
}

/// Bytes to tensors. The counterpart of one [`Encode`].
pub trait Decode: Send {
    /// Decodes what one call of [`Encode::encode`] gave: same number, types and shapes, values within
    /// [`max_errors`].
    ///
    /// Never panics, and allocates no more than twelve times `limits.max_bytes`, whatever `bytes` holds.
    ///
    /// # Errors
    /// When `bytes` is not such a stream, is damaged in a way that shows, announces more than `limits`, or builds on a
    /// frame that this side does not have ([`CodeError::Reference`]: the sender must start afresh).
    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<Vec<Tensor>, CodeError>;

    /// As [`Decode::decode`] although the `missing` parts of `bytes` have not come (whatever stands there): what they
    /// hold is taken from the frame before, as far as the code can. The frame must not be acknowledged.
    ///
    /// # Errors
    /// As [`Decode::decode`], and when what is missing cannot be done without.
    fn decode_partial(
        &mut self,
        bytes: &[u8],
        missing: &[Range<usize>],
        limits: &Limits,
    ) -> Result<Vec<Tensor>, CodeError>;

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
    Box::new(Predictive::default())
}

/// The decoder of everything that [`encoder`] gives.
pub fn decoder() -> Box<dyn Decode> {
    Box::new(Decoder::default())
}
