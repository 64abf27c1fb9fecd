// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The measurement of the tensor code, one subject a file. `codes` lists what is measured: a new code is a
//! [`StreamCode`] and an entry there.

pub mod accuracy;
pub mod agreement;
pub mod at_error;
pub mod bdrate;
pub mod codes;
pub mod curve;
pub mod figures;
pub mod framing;
pub mod knee;
pub mod loss;
pub mod loss_run;
pub mod minmax;
pub mod mosaic;
pub mod mosaic_video;
pub mod picture_video;
pub mod plot;
pub mod predictive;
pub mod report;
pub mod run;
pub mod still;
pub mod subject;
pub mod summary;
pub mod truth;
pub mod video;

use anyhow::Result;
use splitinfer_tensor::Tensor;

/// What crosses at a cut in one frame.
pub type Tensors = Vec<Tensor>;

/// One way to send a stream of frames, both ends of it. Frames are given to it in their order, and decoded in the
/// same order, so that a code may predict from the frames before. `F` is [`Tensors`] or a `Picture`.
pub trait StreamCode<F> {
    /// Before the first frame: by how many half octaves each channel's step may be above the mean, by how much the outputs depend on
    /// it. For codes that can make use of it.
    fn attune(&mut self, _coarser: &[Vec<i8>]) {}

    /// # Errors
    /// When the code refuses the frame.
    fn encode(&mut self, frame: &F) -> Result<Vec<u8>>;

    /// # Errors
    /// When the bytes are not what [`encode`](Self::encode) gave.
    fn decode(&mut self, bytes: &[u8]) -> Result<F>;
}

/// A code whose bytes come in pieces that can be decoded without each other.
pub trait PieceCode {
    /// As [`StreamCode::attune`].
    fn attune(&mut self, _coarser: &[Vec<i8>]) {}

    /// # Errors
    /// When the code refuses the frame.
    fn encode_pieces(&mut self, frame: &Tensors) -> Result<Vec<Vec<u8>>>;

    /// The frame as well as it can be told from the pieces that arrived, in their order.
    ///
    /// # Errors
    /// When the pieces are not what [`encode_pieces`](Self::encode_pieces) gave.
    fn decode_partial(&mut self, pieces: &[Option<&[u8]>]) -> Result<Tensors>;

    /// What the sender hears, some frames later, of which pieces of a frame (counted from 0) arrived: for codes that must
    /// not predict from what the receiver lacks.
    fn feedback(&mut self, _frame: usize, _arrived: &[bool]) {}
}

/// What a code stands for in the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The project's code, every frame by itself.
    Intra,
    /// The project's code, predicting from earlier frames.
    Predicted,
    /// What it is compared with.
    Baseline,
}

type Maker<T> = Box<dyn Fn(f64) -> Result<Box<T>>>;

/// A code with the settings it is measured at.
pub struct Code<F> {
    pub name: &'static str,
    pub role: Role,
    /// What the numbers in `qualities` are: `bits`, `q`, `crf`, `qp`, `step`.
    pub knob: &'static str,
    /// From coarse to fine.
    pub qualities: Vec<f64>,
    /// Makes the code afresh for one stream at one quality.
    pub make: Maker<dyn StreamCode<F>>,
    /// The same in pieces, where it can be had, for the measurement with loss.
    pub pieces: Option<Maker<dyn PieceCode>>,
}
