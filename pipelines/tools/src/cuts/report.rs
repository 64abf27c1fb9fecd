// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The table as data.

use serde::Serialize;

/// Everything that was found out about a model.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the model's file.
    pub model: String,
    pub input: TensorColumn,
    pub parameters: u64,
    /// Multiply–accumulate operations of the whole model.
    pub macs: u64,
    /// The whole model in one session, median, in milliseconds.
    pub whole_ms: f64,
    /// Version of ONNX Runtime, and how it was used.
    pub onnxruntime: String,
    pub provider: &'static str,
    /// 0: one a physical core.
    pub threads: usize,
    /// Places where the model can be cut at all.
    pub legal_cuts: usize,
    /// What the model was fed: noise, or frames of a video.
    pub fed: String,
    /// Bits a value of the coded sizes.
    pub bits: u8,
    /// The picture that crosses if the whole model runs on the server; `None` if the model takes no picture.
    pub picture: Option<Picture>,
    pub candidates: Vec<Row>,
    /// Whether every candidate passed; `None` if that was not asked.
    pub verified: Option<bool>,
    /// What was assumed about the model's input because no sidecar says it.
    pub assumptions: Vec<String>,
}

/// A tensor of the model.
#[derive(Clone, Debug, Serialize)]
pub struct TensorColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub dtype: &'static str,
    pub shape: Vec<usize>,
}

/// The picture in the model's size, RGB.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    pub raw_bytes: u64,
    /// As JPEG, median; only for real pictures.
    pub coded_bytes: Option<u64>,
}

/// A place to cut.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Position in this table, from 0.
    pub candidate: usize,
    /// The tensors' names, joined by `+`.
    pub name: String,
    pub tensors: Vec<TensorColumn>,
    /// Of all tensors together, as they are.
    pub raw_bytes: u64,
    /// The same quantised and compressed, median.
    pub coded_bytes: u64,
    pub head_parameters: u64,
    pub tail_parameters: u64,
    pub head_macs: u64,
    pub tail_macs: u64,
    /// Medians on this machine, in milliseconds.
    pub head_ms: f64,
    pub tail_ms: f64,
    /// Largest absolute difference of any output between whole model and tail after head, both as they are used,
    /// with ONNX Runtime's fused operators; only if verified.
    pub max_difference: Option<f64>,
    /// What is wrong with this candidate.
    pub failure: Option<String>,
}

impl Report {
    /// Whether a candidate was found not to be the whole model.
    pub fn failed(&self) -> bool {
        self.verified == Some(false)
    }

    pub fn to_json(&self) -> String {
        // Numbers, texts and lists of them: there is nothing in it that JSON could not hold.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
