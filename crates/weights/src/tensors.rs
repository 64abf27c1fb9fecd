// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The weights of a model: float values out of its initializers, and back.

use std::collections::HashMap;

use bytes::Bytes;
use half::f16;
use splitinfer_graph::Model;
use splitinfer_graph::proto::{GraphProto, TensorProto};
use splitinfer_tensor::DType;

use crate::error::UpdateError;

/// Element types that weights may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F16,
    F32,
    F64,
}

impl Kind {
    pub(crate) fn of(tensor: &TensorProto) -> Option<Self> {
        match DType::from_onnx(tensor.data_type())? {
            DType::F16 => Some(Self::F16),
            DType::F32 => Some(Self::F32),
            DType::F64 => Some(Self::F64),
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::F16 => 16,
            Self::F32 => 32,
            Self::F64 => 64,
        }
    }

    /// The nearest value of this type. Halves by way of singles, which rounds alike on every machine.
    pub(crate) fn round(self, value: f64) -> u64 {
        match self {
            Self::F16 => u64::from(f16::from_f32(value as f32).to_bits()),
            Self::F32 => u64::from((value as f32).to_bits()),
            Self::F64 => value.to_bits(),
        }
    }

    pub(crate) fn value(self, bits: u64) -> f64 {
        match self {
            Self::F16 => f16::from_bits(bits as u16).to_f64(),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F64 => f64::from_bits(bits),
        }
    }
}

/// One weight tensor, element by element as the bits of its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weight {
    pub(crate) kind: Kind,
    pub(crate) bits: Vec<u64>,
}

impl Weight {
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.bits.iter().map(|b| self.kind.value(*b))
    }

    /// As ONNX `raw_data`.
    pub(crate) fn to_le_bytes(&self) -> Vec<u8> {
        let size = self.kind.bytes();
        let each = self.bits.iter().map(|b| b.to_le_bytes());
        each.flat_map(|b| b.into_iter().take(size)).collect()
    }
}

fn graph(model: &Model) -> Option<&GraphProto> {
    model.proto().graph.as_ref()
}

/// The dense initializers of a model, in its order: what the indices of an update count.
pub(crate) fn initializers(model: &Model) -> &[TensorProto] {
    graph(model).map_or(&[], |g| &g.initializer)
}

/// The values of an initializer; `None` if they are not floating-point numbers.
///
/// # Errors
/// When the model's own data does not fit its shape.
pub(crate) fn read(tensor: &TensorProto) -> Result<Option<Weight>, UpdateError> {
    let Some(kind) = Kind::of(tensor) else {
        return Ok(None);
    };
    let bits: Vec<u64> = match &tensor.raw_data {
        Some(raw) if !raw.is_empty() => raw.chunks(kind.bytes()).map(little_endian).collect(),
        _ => match kind {
            Kind::F32 => tensor
                .float_data
                .iter()
                .map(|v| u64::from(v.to_bits()))
                .collect(),
            Kind::F64 => tensor.double_data.iter().map(|v| v.to_bits()).collect(),
            Kind::F16 => tensor
                .int32_data
                .iter()
                .map(|v| u64::from(*v as u16))
                .collect(),
        },
    };
    if bits.len() != elements(tensor) {
        let text = format!("'{}' does not hold what its shape says", tensor.name());
        return Err(UpdateError::OtherGraph(text));
    }
    Ok(Some(Weight { kind, bits }))
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Of an initializer, by its shape.
pub(crate) fn elements(tensor: &TensorProto) -> usize {
    let sizes = tensor.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0));
    sizes.fold(1, usize::saturating_mul)
}

/// The same model with other values in some initializers, by index.
///
/// # Errors
/// As [`Model::from_proto`].
pub(crate) fn replace(model: &Model, new: &HashMap<usize, Weight>) -> Result<Model, UpdateError> {
    let mut proto = model.proto().clone();
    let tensors = proto.graph.as_mut().map(|g| &mut g.initializer);
    for (i, tensor) in tensors.into_iter().flatten().enumerate() {
        let Some(weight) = new.get(&i) else { continue };
        tensor.float_data.clear();
        tensor.double_data.clear();
        tensor.int32_data.clear();
        tensor.raw_data = Some(Bytes::from(weight.to_le_bytes()));
    }
    Ok(Model::from_proto(proto)?)
}

/// Checks that two models differ in nothing but weights.
///
/// # Errors
/// Says in what else they differ.
pub(crate) fn same_graph(a: &Model, b: &Model) -> Result<(), UpdateError> {
    let other = |what: String| Err(UpdateError::OtherGraph(what));
    let (Some(x), Some(y)) = (graph(a), graph(b)) else {
        return other("one has no graph".into());
    };
    if x.node != y.node {
        return other("their operators differ".into());
    }
    if x.input != y.input || x.output != y.output {
        return other("their inputs or outputs differ".into());
    }
    if x.initializer.len() != y.initializer.len() || x.sparse_initializer != y.sparse_initializer {
        return other("they have other initializers".into());
    }
    for (s, t) in x.initializer.iter().zip(&y.initializer) {
        if s.name() != t.name() {
            return other(format!("'{}' is '{}' there", s.name(), t.name()));
        }
        if s.dims != t.dims || s.data_type != t.data_type {
            return other(format!(
                "'{}' is {:?} of type {} there and {:?} of type {} here",
                s.name(),
                t.dims,
                t.data_type(),
                s.dims,
                s.data_type()
            ));
        }
        if Kind::of(s).is_none() && s != t {
            return Err(UpdateError::NotAWeight(s.name().to_owned()));
        }
    }
    Ok(())
}
