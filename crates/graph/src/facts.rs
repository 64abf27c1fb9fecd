// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is known of a model's tensors once it has run: types, shapes, and the values that shapes decide.

use std::collections::HashMap;

use splitinfer_tensor::{DType, Tensor};

/// What one run (or better two, on different inputs) told about a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFact {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// The shape was the same for two different inputs. A tensor with `false` here cannot cross a cut.
    pub stable: bool,
    /// The value, for tensors that [`Model::shape_only`](crate::Model::shape_only) lists: they are put into
    /// the parts that need them as initializers, never sent. Ignored for other tensors.
    pub value: Option<Tensor>,
}

impl TensorFact {
    /// Bytes of the tensor, uncompressed.
    pub fn byte_len(&self) -> u64 {
        byte_len(self.dtype, &self.shape)
    }
}

/// What is known of each tensor, by name. A tensor of a type that cannot cross (a string, a sequence)
/// has no entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(pub HashMap<String, TensorFact>);

impl Facts {
    pub fn get(&self, name: &str) -> Option<&TensorFact> {
        self.0.get(name)
    }
}

/// Bytes of a tensor; `u64::MAX` when the product does not fit.
pub(crate) fn byte_len(dtype: DType, shape: &[usize]) -> u64 {
    product(shape).saturating_mul(dtype.size() as u64)
}

/// The product of a shape; `u64::MAX` when it does not fit.
pub(crate) fn product(shape: &[usize]) -> u64 {
    shape.iter().fold(1u64, |n, d| n.saturating_mul(*d as u64))
}
