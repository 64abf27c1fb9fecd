// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The result of one frame, as plain data.

use splitinfer_tensor::{DType, Tensor, TensorError};

/// Who computed the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Completed {
    /// This machine, all of it or after a deadline had passed.
    Edge,
    /// The server.
    Server,
    /// Nobody: the frame was skipped, or its deadline passed with `on-deadline=skip`.
    #[default]
    None,
}

impl Completed {
    /// As it stands in metadata and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Server => "server",
            Self::None => "none",
        }
    }
}

impl std::str::FromStr for Completed {
    type Err = UnknownCompleted;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "edge" => Ok(Self::Edge),
            "server" => Ok(Self::Server),
            "none" => Ok(Self::None),
            _ => Err(UnknownCompleted(s.to_owned())),
        }
    }
}

/// A word that names nobody who could have completed a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("completed is {0:?}, but can only be \"edge\", \"server\" or \"none\"")]
pub struct UnknownCompleted(String);

impl std::fmt::Display for Completed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that was found on a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Number of the class in the model's output.
    pub class: u32,
    /// Name of the class; the number as text where the model has no names.
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    /// x, y, width, height in pixels of the frame.
    pub box_: [f32; 4],
    /// Identity across frames, where something tracks.
    pub track: Option<u64>,
    /// x, y in pixels of the frame, score.
    pub keypoints: Vec<[f32; 3]>,
    /// How good the prediction seems without ground truth, 0 (bad) to 1; set by `svdgate`.
    pub quality: Option<f32>,
    /// Agreement with the answer to a mirrored frame, 0 to 1, where that was asked.
    pub mirror_agreement: Option<f32>,
}

/// An output tensor of a model whose head is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTensor {
    pub name: String,
    pub dtype: DType,
    /// Shape, row-major.
    pub dims: Vec<usize>,
    /// Little-endian elements, as in ONNX `raw_data`.
    pub data: gst::glib::Bytes,
}

impl RawTensor {
    /// A tensor under its name.
    pub fn new(name: &str, tensor: &Tensor) -> Self {
        Self {
            name: name.to_owned(),
            dtype: tensor.dtype(),
            dims: tensor.shape().to_vec(),
            data: gst::glib::Bytes::from_owned(tensor.to_le_bytes()),
        }
    }

    /// The tensor.
    ///
    /// # Errors
    /// When the data are not as long as type and shape ask for.
    pub fn tensor(&self) -> Result<Tensor, TensorError> {
        Tensor::from_le_bytes(self.dtype, self.dims.clone(), &self.data)
    }
}

/// What became of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameResult {
    /// Number of the frame in its stream, from 0.
    pub frame: u64,
    /// Where the model was cut: `edge`, `server`, or the name of the cut.
    pub split: String,
    /// Number of the weights that computed it, from 0.
    pub model_version: u64,
    /// From the frame's entry into the element to its result.
    pub latency: gst::ClockTime,
    /// What that may take at most, where somebody set a limit.
    pub budget: Option<gst::ClockTime>,
    pub completed: Completed,
    /// What share of the tensors' bytes had come when the server completed the frame, where that was not all: 0 to 1.
    pub received: Option<f64>,
    pub objects: Vec<Object>,
    /// Agreement with the result on a mirrored frame, this one or one shortly before, 0 to 1, where it was computed.
    pub mirror_agreement: Option<f64>,
    /// Which keypoints a line connects when drawn, as pairs of indices into `Object::keypoints`.
    pub skeleton: Vec<[u32; 2]>,
    /// The model's outputs, if its head is not known.
    pub tensors: Vec<RawTensor>,
}
