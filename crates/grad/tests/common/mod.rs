// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the tests share.

use splitinfer_runtime::load_library;

/// Whether there is an ONNX Runtime; without one the tests say so and skip.
pub fn runtime() -> bool {
    match load_library(None) {
        Ok(_) => true,
        Err(e) => {
            eprintln!("SKIPPED: {e}");
            false
        }
    }
}
