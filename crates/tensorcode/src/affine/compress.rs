// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The general-purpose compressor behind the quantiser: Zstandard, RFC 8878, level 1.
//!
//! Chosen by measurement against LZ4 and other levels (docs/tensor-code.md): it alone brings an entropy coder,
//! and quantised activations hardly repeat.

use crate::CodeError;
use zstd::bulk;

const LEVEL: i32 = 1;

/// Keeps the compressor's tables between frames.
#[derive(Default)]
pub(crate) struct Compressor(Option<bulk::Compressor<'static>>);

impl Compressor {
    pub(crate) fn compress(&mut self, body: &[u8]) -> Result<Vec<u8>, CodeError> {
        let kept = match &mut self.0 {
            Some(kept) => kept,
            none => none.insert(bulk::Compressor::new(LEVEL).map_err(CodeError::Compress)?),
        };
        kept.compress(body).map_err(CodeError::Compress)
    }
}

/// Keeps the decompressor's tables between frames.
#[derive(Default)]
pub(crate) struct Decompressor(Option<bulk::Decompressor<'static>>);

impl Decompressor {
    /// Gives exactly `len` bytes or `None`; allocates no more than `len` for them.
    pub(crate) fn decompress(&mut self, payload: &[u8], len: usize) -> Option<Vec<u8>> {
        let kept = match &mut self.0 {
            Some(kept) => kept,
            none => none.insert(bulk::Decompressor::new().ok()?),
        };
        let mut body = Vec::with_capacity(len);
        kept.decompress_to_buffer(payload, &mut body).ok()?;
        (body.len() == len).then_some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_another_length_than_announced_is_refused() {
        let body = [7; 1000];
        let payload = Compressor::default().compress(&body).unwrap();
        let mut decompressor = Decompressor::default();
        assert_eq!(
            decompressor.decompress(&payload, 1000).as_deref(),
            Some(&body[..])
        );
        assert_eq!(decompressor.decompress(&payload, 999), None);
        assert_eq!(decompressor.decompress(&payload, 1001), None);
        assert_eq!(decompressor.decompress(&payload[1..], 1000), None);
    }
}
