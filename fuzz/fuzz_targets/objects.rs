// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Bodies of results and payloads of reports. Compared as bytes, because NaN differs from itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::objects;

fuzz_target!(|data: &[u8]| {
    if let Ok(decoded) = objects::decode(data) {
        let bytes = objects::encode(&decoded).expect("what was decoded is within bounds");
        let again = objects::decode(&bytes).expect("what was encoded is readable");
        assert_eq!(objects::encode(&again), Ok(bytes));
    }
});
