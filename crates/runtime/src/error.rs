// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What can go wrong, in words for whoever has to put it right.

use splitinfer_graph::GraphError;
use splitinfer_tensor::DType;
use std::path::PathBuf;

/// Why ONNX Runtime could not be used, or would not do what was asked. Every text is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No library anywhere. `tried` tells where, each with the reason it did not do.
    #[error("ONNX Runtime was not found ({}). {HOW_TO_GET}", tried.join("; "))]
    LibraryMissing { tried: Vec<String> },

    /// The one that `ORT_DYLIB_PATH` names does not serve.
    #[error("ORT_DYLIB_PATH names {}, which cannot be used: {reason}. {HOW_TO_GET}", path.display())]
    LibraryUnusable { path: PathBuf, reason: String },

    /// The provider is not in this build of ONNX Runtime.
    #[error(
        "the execution provider `{wanted}` is not in this ONNX Runtime ({library}), which has: {}; \
         choose one of those or install an ONNX Runtime built with `{wanted}`",
        available.join(", ")
    )]
    ProviderMissing {
        wanted: &'static str,
        library: String,
        available: Vec<String>,
    },

    /// The provider is there, but did not start (no such device, driver missing, …).
    #[error("the execution provider `{wanted}` could not be used with device {device}: {reason}")]
    ProviderFailed {
        wanted: &'static str,
        device: i32,
        reason: String,
    },

    /// ONNX Runtime refused the model.
    #[error("ONNX Runtime cannot load this model: {0}")]
    Load(String),

    /// ONNX Runtime failed while running.
    #[error("inference failed: {0}")]
    Run(String),

    #[error("the process is ending")]
    ProcessEnding,

    /// The model wants other inputs than were given.
    #[error("the model has no input `{name}`; its inputs are: {}", inputs.join(", "))]
    NoSuchInput { name: String, inputs: Vec<String> },

    #[error("the model's input `{name}` was not given")]
    InputMissing { name: String },

    #[error("input `{name}` must be {expected}, but a {got} was given")]
    InputMismatch {
        name: String,
        expected: String,
        got: String,
    },

    #[error("the run was stopped, as its outcome is of no use any more")]
    Stopped,

    /// Dimensions that are only symbols: nothing can be measured before they have numbers.
    #[error(
        "input `{input}` has the shape {shape} with dimensions that are not fixed ({}); give it one, \
         for example {input}={example}",
        symbols.join(", ")
    )]
    ShapeNotFixed {
        input: String,
        shape: String,
        symbols: Vec<String>,
        example: String,
    },

    #[error("input `{0}` has no known type and shape in the model file")]
    InputUnknown(String),

    #[error("tensor `{name}` is of type {type_name}, which cannot cross between two machines")]
    Unsupported { name: String, type_name: String },

    #[error("a split model has exactly one input, but this one has {}: {}", .0.len(), .0.join(", "))]
    ManyInputs(Vec<String>),

    #[error("there is no candidate number {wanted}: this model has {count}, counted from 0")]
    NoSuchCandidate { wanted: usize, count: usize },

    #[error(
        "candidates must come in the order of the graph, but `{later}` stands after `{earlier}`"
    )]
    CandidatesOutOfOrder { earlier: String, later: String },

    #[error("the cut `{cut}` carries {expected} tensors, but {got} were given")]
    TensorCount {
        cut: String,
        expected: usize,
        got: usize,
    },

    #[error("tensor `{name}` of the cut must be {expected}, but a {got} was given")]
    TensorMismatch {
        name: String,
        expected: String,
        got: String,
    },

    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The end of every message about a library that is not there.
pub(crate) const HOW_TO_GET: &str = "Install version 1.17 or later (Debian 13: `apt install libonnxruntime1.21`; \
     elsewhere run the project's `pipelines/setup.sh`), or set ORT_DYLIB_PATH to a libonnxruntime.so you have";

/// ONNX Runtime's messages run over several lines; ours are one.
pub(crate) fn one_line(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `float32 [1, 3, 416, 416]`
pub(crate) fn describe(dtype: DType, shape: &[usize]) -> String {
    format!("{dtype} {shape:?}")
}

impl RuntimeError {
    pub(crate) fn load(e: ort::Error<impl Sized>) -> Self {
        Self::Load(one_line(e.message()))
    }

    pub(crate) fn run(e: &ort::Error) -> Self {
        Self::Run(one_line(e.message()))
    }
}
