// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What an element needs to run a model on frames, whatever it does with the results: ONNX Runtime found, the
//! model with its sidecar loaded, GStreamer's frames seen as `splitinfer-vision` sees them.
//!
//! Each plugin links a copy of its own; nothing here is shared between them at run time.

mod library;
mod model;
pub mod picture;
mod provider;

pub use library::load_library;
pub use model::{LoadedModel, tensor_info};
pub use splitinfer_runtime::Provider;
