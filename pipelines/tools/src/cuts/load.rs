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

pub(super) struct Loaded {
    pub model: Model,
    pub facts: Facts,
    /// How pictures get into the model, or why that is not known (which matters only if there are pictures).
    pub info: Result<(ModelInfo, Vec<String>)>,
    /// Version of ONNX Runtime.
    pub runtime: String,
}

pub(super) fn load(request: &Request) -> Result<Loaded> {
    let path = &request.model;
    let model = Model::load(path)?;
    let runtime = load_library(None)?.version;
    let given = shapes(&model, &request.shapes)?;
    let mut sized = model.clone();
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
    let name = || path.display().to_string();
    let model = fix_shapes(&sized, &[]).with_context(name)?;
    let facts = probe(&model, &request.options).with_context(name)?;
    Ok(Loaded {
        model,
        facts,
        info: info.map_err(Into::into),
        runtime,
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
