// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Finding an output by its role and checking its shape.

use std::borrow::Cow;

use splitinfer_tensor::{Data, Tensor};

use crate::VisionError;
use crate::modelinfo::ModelInfo;

/// The outputs of one run, by role.
pub(super) struct Outputs<'a> {
    info: &'a ModelInfo,
    tensors: &'a [(String, Tensor)],
}

/// One output as floats, with the shape that was checked.
pub(super) struct Output<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
    pub values: Cow<'a, [f32]>,
}

impl<'a> Outputs<'a> {
    pub fn new(info: &'a ModelInfo, tensors: &'a [(String, Tensor)]) -> Self {
        Self { info, tensors }
    }

    /// An output the head cannot do without.
    pub fn get(&self, role: &str) -> Result<Output<'a>, VisionError> {
        self.find(role)?.ok_or_else(|| {
            self.error(
                role,
                format!("the sidecar names no output for it (tensor-{role}=)"),
            )
        })
    }

    /// An output the head can do without; `None` where the model has none.
    pub fn find(&self, role: &str) -> Result<Option<Output<'a>>, VisionError> {
        let Some(name) = self.info.head.roles.get(role) else {
            return Ok(None);
        };
        let Some((_, tensor)) = self.tensors.iter().find(|(n, _)| n == name) else {
            let names: Vec<_> = self.tensors.iter().map(|(n, _)| n.as_str()).collect();
            let problem = format!("it is not among the outputs: {}", names.join(", "));
            return Err(self.error(name, problem));
        };
        let values = match tensor.data() {
            Data::F32(v) => Cow::Borrowed(v.as_slice()),
            _ => Cow::Owned(tensor.to_f32_vec()),
        };
        Ok(Some(Output {
            name,
            shape: tensor.shape(),
            values,
        }))
    }

    pub fn error(&self, tensor: &str, problem: String) -> VisionError {
        VisionError::Output {
            head: self.info.head.kind.name(),
            tensor: tensor.to_owned(),
            problem,
        }
    }

    /// The output has not the shape that was expected.
    pub fn wrong_shape(&self, output: &Output<'_>, expected: &str) -> VisionError {
        let problem = format!("its shape is {:?}, expected {expected}", output.shape);
        self.error(output.name, problem)
    }
}

impl Output<'_> {
    /// The shape without leading ones down to `rank` dimensions, so that `[17, 3]`, `[1, 17, 3]` and `[1, 1, 17, 3]` are
    /// the same; `None` if more is left.
    pub fn squeezed<const RANK: usize>(&self) -> Option<[usize; RANK]> {
        let lead = self.shape.len().checked_sub(RANK)?;
        let (ones, rest) = self.shape.split_at(lead);
        ones.iter()
            .all(|d| *d == 1)
            .then(|| rest.try_into().ok())
            .flatten()
    }
}
