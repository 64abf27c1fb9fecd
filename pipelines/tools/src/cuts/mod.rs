// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The cut table of a model: where it can be cut, what crosses there, what each side costs and how long it takes
//! here; and the proof that head and tail together are the model.

mod args;
mod examine;
pub(crate) mod load;
mod report;
mod samples;
mod text;
mod verify;

pub use args::{Args, InputShape};
pub use examine::report;
pub use report::{Picture, Report, Row, TensorColumn};
pub use verify::{TOLERANCE, TOLERANCE_F16};

use splitinfer_runtime::SessionOptions;
use std::path::PathBuf;

/// What to find out about which model.
#[derive(Clone, Debug)]
pub struct Request {
    pub model: PathBuf,
    /// Shapes for inputs that have symbolic dimensions.
    pub shapes: Vec<InputShape>,
    /// At most so many candidates; `None`: every legal cut.
    pub limit: Option<usize>,
    pub options: SessionOptions,
    /// Bits a value of what is coded.
    pub bits: u8,
    /// Run every head and tail against the whole model.
    pub verify: bool,
    /// Feed frames of this video instead of noise.
    pub video: Option<PathBuf>,
    /// How many frames of it, evenly spread.
    pub frames: usize,
    /// Timed runs of each part.
    pub runs: usize,
}
