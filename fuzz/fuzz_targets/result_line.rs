// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A line of JSON with a result, as an edge sends it to the server's pipeline.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_meta::{from_json, to_json};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok((result, pts)) = from_json(text) else {
        return;
    };
    // What was understood is written so that it is understood in the same way.
    let line = to_json(&result, pts);
    assert!(!line.contains('\n'));
    let (again, pts_again) = from_json(&line).expect("a result");
    assert_eq!((to_json(&again, pts_again), pts_again), (line, pts));
});
