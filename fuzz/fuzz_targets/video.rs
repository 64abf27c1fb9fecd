// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Payloads of pictures of a video, a length before each, and the order into which their receiver puts them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::{VideoChain, VideoHeader};

fuzz_target!(|data: &[u8]| {
    let mut chain = VideoChain::default();
    let mut decoded = None::<u32>;
    let mut rest = data;
    while let [length, payloads @ ..] = rest {
        let (payload, behind) = payloads.split_at(usize::from(*length).min(payloads.len()));
        rest = behind;
        let Ok((header, picture)) = VideoHeader::decode(payload) else {
            for _ in chain.broken() {}
            decoded = None;
            continue;
        };
        assert_eq!([&header.encode()[..], picture].concat(), payload);
        for ready in chain.arrived(header, header).ready {
            assert!(ready.key || decoded.is_some_and(|d| d + 1 == ready.sequence));
            decoded = Some(ready.sequence);
        }
    }
});
