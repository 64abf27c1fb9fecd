// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Payloads of frames: the tensor code, by a decoder that holds an earlier frame to predict from. What is decoded stays
//! within the limits given. The first two bytes of the input say which part of the stream is missing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Limits, decoder, encoder};

/// Frame 1, with one tensor.
fn earlier() -> Vec<u8> {
    let values = (0..162).map(|i| (i % 11) as f32).collect();
    let tensor = Tensor::new(vec![1, 3, 9, 6], values).expect("the shape fits");
    encoder().encode(1, &[tensor], 6).expect("a small tensor")
}

fuzz_target!(|data: &[u8]| {
    let Some(([from, len], data)) = data.split_first_chunk() else {
        return;
    };
    let limits = Limits {
        max_bytes: 1 << 20,
        ..Limits::default()
    };
    let mut decoder = decoder();
    decoder.decode(&earlier(), &limits).expect("the earlier frame is sound");
    let from = usize::from(*from);
    let missing = from..from + usize::from(*len);
    let _ = decoder.decode_partial(data, std::slice::from_ref(&missing), &limits);
    if let Ok(tensors) = decoder.decode(data, &limits) {
        let bytes: usize = tensors
            .iter()
            .map(|t| t.shape().iter().product::<usize>() * t.dtype().size())
            .sum();
        assert!(bytes <= limits.max_bytes);
        assert!(tensors.len() <= limits.max_tensors);
    }
});
