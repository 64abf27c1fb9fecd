// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The header in front of a frame, and its copy at the end of a stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::{Beginning, FrameHeader};

fuzz_target!(|data: &[u8]| {
    if let Ok(Some((header, len))) = FrameHeader::decode(data) {
        assert!(len <= data.len());
        let bytes = header.encode().expect("what was decoded is within bounds");
        assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header, bytes.len()))));
    }
    for end in [data.len(), data.len() + 1000] {
        if let Some(beginning) = Beginning::read(data, end) {
            assert!(beginning.header_len <= beginning.bytes.len());
            assert!(beginning.bytes.len() < data.len());
        }
    }
});
