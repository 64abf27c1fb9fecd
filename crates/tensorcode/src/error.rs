// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use splitinfer_tensor::{DType, TensorError};

/// Why tensors or a picture could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    // Encoding: the caller asked for something the code cannot do.
    #[error("{0} bits a value: must be 2 to 8, 16, 32, or 0 (chosen automatically)")]
    Bits(u8),
    #[error("{what} is {got}, but the bit stream holds at most {max}")]
    TooLarge {
        what: &'static str,
        got: usize,
        max: usize,
    },
    #[error(
        "a picture of {width}×{height} RGB pixels takes {expected} bytes, but {got} were given"
    )]
    Picture {
        width: u32,
        height: u32,
        expected: usize,
        got: usize,
    },
    #[error("the compressor failed: {0}")]
    Compress(std::io::Error),
    #[error("the picture cannot be coded as JPEG: {0}")]
    EncodeJpeg(#[from] jpeg_encoder::EncodingError),

    // Decoding: the bytes are at fault.
    #[error("not a tensor stream: it starts with {0:02x?} instead of \"SITC\"")]
    Magic([u8; 4]),
    #[error(
        "tensor stream version {got} is not supported (this side knows {known}): update the older side"
    )]
    Version { got: u8, known: u8 },
    #[error("tensor code {0} is not known to this side: update the older side")]
    Code(u8),
    #[error("the tensor stream ends at byte {at}, {missing} bytes too early")]
    Truncated { at: usize, missing: usize },
    #[error("{0} bytes follow after the end of the tensor stream")]
    Trailing(usize),
    #[error("tensor {tensor}: {what}")]
    Corrupt { tensor: usize, what: &'static str },
    #[error("tensor {tensor} has element type {code}, which is not known to this side")]
    ElementType { tensor: usize, code: u8 },
    #[error("a number in the tensor stream is larger than any that can be meant")]
    Number,
    #[error("it is predicted from frame {0}, which this side does not have")]
    Reference(u64),
    #[error("{what}: {got} announced, {max} accepted")]
    Limit {
        what: &'static str,
        got: usize,
        max: usize,
    },
    #[error("tensor {tensor} ({dtype}) cannot be built: {source}")]
    Tensor {
        tensor: usize,
        dtype: DType,
        source: TensorError,
    },
    #[error("not a JPEG picture that can be decoded: {0}")]
    DecodeJpeg(String),
}
