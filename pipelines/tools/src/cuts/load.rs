// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model as the tool needs it: shapes fixed, tensors inside measured, sidecar read.

use super::{InputShape, Request};
use anyhow::{Context, Result, bail};
use splitinfer_graph::{Dim, Facts, Model, ValueInfo};
use splitinfer_runtime::{fix_shapes, load_library, probe};
use splitinfer_vision::{ModelInfo, TensorInfo};
use std::path::Path;

pub(super) struct Loaded {
    pub model: Model,
    pub facts: Facts,
    /// How pictures get into the model, or why that is not known (which matters only if there are pictures).
    pub info: Result<(ModelInfo, Vec<String>)>,
    /// Version of ONNX Runtime.
    pub runtime: String,
}

pub(super) fn load(request: &Request) -> Result<Loaded> {
    let runtime = load_library(None)?.version;
    let Sized { model, info, .. } = sized(&request.model, &request.shapes)?;
    let facts =
        probe(&model, &request.options).with_context(|| request.model.display().to_string())?;
    Ok(Loaded {
        model,
        facts,
        info,
        runtime,
    })
}

/// A model whose shapes are fixed.
pub(crate) struct Sized {
    /// As the file has it.
    pub original: Model,
    pub model: Model,
    /// How pictures get into the model and what had to be assumed, or why that is not known.
    pub info: Result<(ModelInfo, Vec<String>)>,
}

/// Fixes the shapes as they are given, or else as the sidecar says; a symbolic batch alone becomes 1.
///
/// # Errors
/// When the file is no model, or its shapes stay open.
pub(crate) fn sized(path: &Path, given: &[InputShape]) -> Result<Sized> {
    let original = Model::load(path)?;
    let given = shapes(&original, given)?;
    let mut sized = original.clone();
    for (name, shape) in &given {
        sized = sized.with_input_shape(name, shape)?;
    }
    let infos = |values: Vec<ValueInfo>| values.into_iter().map(tensor_info).collect::<Vec<_>>();
    let info = ModelInfo::load_or_guess(path, &infos(sized.inputs()), &infos(sized.outputs()));
    if given.is_empty()
        && let Ok((info, _)) = &info
    {
        // As the elements do: the sidecar may say a size that the model leaves open.
        sized = sized.with_input_shape(&info.input.name, &info.input.shape())?;
    }
    Ok(Sized {
        model: fix_shapes(&sized, &[]).with_context(|| path.display().to_string())?,
        original,
        info: info.map_err(Into::into),
    })
}

fn shapes(model: &Model, given: &[InputShape]) -> Result<Vec<(String, Vec<usize>)>> {
    let inputs = model.inputs();
    given
        .iter()
        .map(|s| {
            let name = match (&s.name, &inputs[..]) {
                (Some(name), _) => name.clone(),
                (None, [only]) => only.name.clone(),
                _ => {
                    let names: Vec<_> = inputs.iter().map(|i| i.name.as_str()).collect();
                    bail!(
                        "--input-shape {:?}: say which input it is for (NAME=SHAPE): {}",
                        s.shape,
                        names.join(", ")
                    );
                }
            };
            Ok((name, s.shape.clone()))
        })
        .collect()
}

pub(crate) fn tensor_info(value: ValueInfo) -> TensorInfo {
    let size = |dim| match dim {
        Dim::Fixed(n) => Some(n),
        Dim::Symbol(_) => None,
    };
    TensorInfo {
        name: value.name,
        dtype: value.dtype,
        dims: value.shape.into_iter().flatten().map(size).collect(),
    }
}
