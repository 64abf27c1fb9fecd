// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The control stream: whatever is decoded must encode to something that decodes to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::{Message, MessageReader};

fuzz_target!(|data: &[u8]| {
    let mut reader = MessageReader::default();
    reader.push(data);
    while let Ok(Some(message)) = reader.next_message() {
        let bytes = message.encode().expect("what was decoded is within bounds");
        let again = Message::decode(message.code(), &bytes[6..]);
        assert_eq!(again, Ok(Some(message)));
    }
});
