// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frame to input tensor, output tensors to objects.
//!
//! ```text
//! Frame ──Preprocessor::picture──▶ Picture + Placement ──Preprocessor::tensor──▶ Tensor ──▶ model
//! Objects on the frame ◀──Placement::to_frame── Objects on the picture ◀──Head::read── output tensors
//!                                               Objects on the picture ──Targets::of──▶ what they should have been
//! ```
//!
//! [`ModelInfo`] says how a model wants its picture and how its outputs are to be read. It comes from a `.modelinfo`
//! sidecar (`docs/sidecar.md`) or is recognised from the names and shapes of the model's tensors.

mod convert;
mod error;
mod frame;
pub mod heads;
pub mod mirror;
pub mod modelinfo;
mod nms;
mod normalise;
mod object;
mod picture;
mod placement;
mod preprocess;
mod resize;
mod targets;

pub use error::VisionError;
pub use frame::{ColorMatrix, ColorRange, Frame, PixelFormat, Plane};
pub use heads::Head;
pub use modelinfo::{ModelInfo, SidecarError, TensorInfo};
pub use object::Object;
pub use picture::Picture;
pub use placement::Placement;
pub use preprocess::Preprocessor;
pub use targets::Targets;
pub use targets::cells::Cells;
