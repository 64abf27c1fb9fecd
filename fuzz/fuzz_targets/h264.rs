// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Access units of a video, as a server's decoder gets them: a length of two bytes before each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_video::VideoDecoder;

const SIZE: (u32, u32) = (96, 64);

fuzz_target!(|data: &[u8]| {
    gst::init().expect("GStreamer is there");
    let mut decoder = VideoDecoder::new(SIZE.0, SIZE.1).expect("a decoder is there");
    let mut rest = data;
    while let [high, low, units @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (unit, behind) = units.split_at(length.min(units.len()));
        rest = behind;
        let Ok(picture) = decoder.decode(unit) else {
            return;
        };
        assert_eq!((picture.width, picture.height), SIZE);
    }
});
