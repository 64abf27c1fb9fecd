// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model file with its sidecar.

use std::path::Path;

use splitinfer_graph::{Dim, Model, ValueInfo};
use splitinfer_vision::{ModelInfo, TensorInfo};

/// A model as an element uses it.
#[derive(Clone)]
pub struct LoadedModel {
    /// As the file has it: what versions of weights refer to.
    pub file: Model,
    /// With the input shape that the sidecar names.
    pub sized: Model,
    pub info: ModelInfo,
    /// What no sidecar said, in words.
    pub assumptions: Vec<String>,
}

impl LoadedModel {
    /// Loads a model, and its sidecar or what its names and shapes tell.
    ///
    /// # Errors
    /// One message for the bus: the file cannot be read or is no model, the sidecar is wrong, or the two do not
    /// fit.
    pub fn load(path: &Path) -> Result<Self, gst::ErrorMessage> {
        let file = Model::load(path)
            .map_err(|e| gst::error_msg!(gst::ResourceError::OpenRead, ("{e}")))?;
        let infos =
            |values: Vec<ValueInfo>| values.iter().map(tensor_info).collect::<Vec<TensorInfo>>();
        let (info, assumptions) =
            ModelInfo::load_or_guess(path, &infos(file.inputs()), &infos(file.outputs()))
                .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("{e}")))?;
        let sized = file.with_input_shape(&info.input.name, &info.input.shape());
        let sized = sized.map_err(|e| {
            gst::error_msg!(gst::LibraryError::Settings, ("{}: {e}", path.display()))
        })?;
        Ok(Self {
            file,
            sized,
            info,
            assumptions,
        })
    }
}

/// A model's input or output as a sidecar describes it.
pub fn tensor_info(value: &ValueInfo) -> TensorInfo {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(n) => Some(*n),
        Dim::Symbol(_) => None,
    };
    TensorInfo {
        name: value.name.clone(),
        dtype: value.dtype,
        dims: value.shape.iter().flatten().map(size).collect(),
    }
}
