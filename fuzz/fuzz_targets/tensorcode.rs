// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Payloads of frames: the tensor code. What is decoded stays within the limits given.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_tensorcode::{Limits, decoder};

fuzz_target!(|data: &[u8]| {
    let limits = Limits {
        max_bytes: 1 << 20,
        ..Limits::default()
    };
    if let Ok(tensors) = decoder().decode(data, &limits) {
        let bytes: usize = tensors
            .iter()
            .map(|t| t.shape().iter().product::<usize>() * t.dtype().size())
            .sum();
        assert!(bytes <= limits.max_bytes);
        assert!(tensors.len() <= limits.max_tensors);
    }
});
