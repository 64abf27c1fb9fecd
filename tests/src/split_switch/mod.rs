// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The parts of the measurement `split-switch`: what it takes to be able to cut a model anywhere, and what a switch does
//! to a stream.

pub mod child;
pub mod edge;
pub mod edge_memory;
pub mod files;
pub mod frames;
pub mod holding;
pub mod live;
pub mod memory;
pub mod shared;
pub mod stages;
pub mod stream;
pub mod turns;
pub mod ways;

use splitinfer_runtime::SessionOptions;

/// ONNX Runtime's threads, everywhere.
pub const THREADS: usize = 1;

/// With [`THREADS`].
pub fn options() -> SessionOptions {
    SessionOptions {
        threads: THREADS,
        ..SessionOptions::default()
    }
}
