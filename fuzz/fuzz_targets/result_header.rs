// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The header in front of a result.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::ResultHeader;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some((header, len))) = ResultHeader::decode(data) {
        assert!(len <= data.len());
        let bytes = header.encode();
        assert_eq!(ResultHeader::decode(&bytes), Ok(Some((header, bytes.len()))));
    }
});
