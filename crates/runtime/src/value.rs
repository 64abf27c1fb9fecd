// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Between our tensors and ONNX Runtime's values. Inputs are views of the caller's memory; outputs are copied
//! once, out of the session's arena.

use crate::error::{RuntimeError, one_line};
use half::f16;
use ort::session::SessionInputValue;
use ort::value::{DynTensor, DynValue, TensorElementType, TensorRef, ValueType};
use splitinfer_tensor::{DType, Data, Element, Tensor};

pub(crate) fn dtype_of(element: TensorElementType) -> Option<DType> {
    Some(match element {
        TensorElementType::Float32 => DType::F32,
        TensorElementType::Uint8 => DType::U8,
        TensorElementType::Int8 => DType::I8,
        TensorElementType::Int32 => DType::I32,
        TensorElementType::Int64 => DType::I64,
        TensorElementType::Bool => DType::Bool,
        TensorElementType::Float16 => DType::F16,
        TensorElementType::Float64 => DType::F64,
        _ => return None,
    })
}

pub(crate) fn element(dtype: DType) -> TensorElementType {
    match dtype {
        DType::F32 => TensorElementType::Float32,
        DType::U8 => TensorElementType::Uint8,
        DType::I8 => TensorElementType::Int8,
        DType::I32 => TensorElementType::Int32,
        DType::I64 => TensorElementType::Int64,
        DType::Bool => TensorElementType::Bool,
        DType::F16 => TensorElementType::Float16,
        DType::F64 => TensorElementType::Float64,
    }
}

/// `float32`, or ONNX Runtime's own name for what has none here.
pub(crate) fn type_name(value: &ValueType) -> String {
    match value.tensor_type() {
        Some(element) => {
            dtype_of(element).map_or_else(|| element.to_string(), |d| d.name().to_owned())
        }
        None => "sequence, map or optional".to_owned(),
    }
}

/// The tensor as an input of a session, without a copy (but for booleans, whose bytes must first be made sure of).
pub(crate) fn view(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape();
    Ok(match tensor.data() {
        Data::F32(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::U8(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::I8(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::I32(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::I64(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::F16(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::F64(v) => TensorRef::from_array_view((shape, v.as_slice()))?.into(),
        Data::Bool(v) => {
            let v: Vec<bool> = v.iter().map(|b| *b != 0).collect();
            ort::value::Tensor::from_array((shape, v))?.into()
        }
    })
}

/// The tensor as a value that owns its memory, without a copy (but for booleans).
pub(crate) fn owned(tensor: Tensor) -> ort::Result<DynValue> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.into_data() {
        Data::F32(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::U8(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::I8(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::I32(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::I64(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::F16(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::F64(v) => ort::value::Tensor::from_array((shape, v))?.into_dyn(),
        Data::Bool(v) => {
            let v: Vec<bool> = v.iter().map(|b| *b != 0).collect();
            ort::value::Tensor::from_array((shape, v))?.into_dyn()
        }
    })
}

/// Writes a tensor of floats into a value of the same type and shape.
///
/// # Errors
/// For other types.
pub(crate) fn copy_in(
    name: &str,
    value: &mut DynTensor,
    tensor: &Tensor,
) -> Result<(), RuntimeError> {
    let failed = |e: ort::Error| RuntimeError::run(&e);
    match tensor.data() {
        Data::F32(v) => value
            .try_extract_tensor_mut()
            .map_err(failed)?
            .1
            .copy_from_slice(v),
        Data::F64(v) => value
            .try_extract_tensor_mut()
            .map_err(failed)?
            .1
            .copy_from_slice(v),
        _ => {
            return Err(RuntimeError::Unsupported {
                name: name.to_owned(),
                type_name: tensor.dtype().to_string(),
            });
        }
    }
    Ok(())
}

/// A tensor of floats as one of our own.
///
/// # Errors
/// For other types.
pub(crate) fn copy_out(name: &str, value: &DynTensor) -> Result<Tensor, RuntimeError> {
    let shape: Vec<usize> = value
        .shape()
        .iter()
        .map(|d| usize::try_from(*d).unwrap_or(0))
        .collect();
    let tensor = match value.try_extract_tensor::<f32>() {
        Ok((_, v)) => Tensor::new(shape, v.to_vec()),
        Err(_) => {
            let (_, v) = value
                .try_extract_tensor::<f64>()
                .map_err(|e| RuntimeError::run(&e))?;
            Tensor::new(shape, v.to_vec())
        }
    };
    tensor.map_err(|e| RuntimeError::Run(format!("`{name}`: {e}")))
}

/// Type and shape of a value; `None` if it is no tensor, or of an element type that [`DType`] lacks.
pub(crate) fn kind(value: &ValueType) -> Option<(DType, Vec<usize>)> {
    let dtype = value.tensor_type().and_then(dtype_of)?;
    let shape = value.tensor_shape()?;
    // A value that exists has no negative dimension.
    let size = |d: &i64| usize::try_from(*d).unwrap_or(0);
    Some((dtype, shape.iter().map(size).collect()))
}

/// A value out of a session as a tensor of our own.
///
/// # Errors
/// [`RuntimeError::Unsupported`] when it is no tensor, or of an element type that [`DType`] lacks.
pub(crate) fn to_tensor(name: &str, value: &DynValue) -> Result<Tensor, RuntimeError> {
    let unsupported = || RuntimeError::Unsupported {
        name: name.to_owned(),
        type_name: type_name(value.dtype()),
    };
    let dtype = value
        .dtype()
        .tensor_type()
        .and_then(dtype_of)
        .ok_or_else(unsupported)?;
    match dtype {
        DType::F32 => copy::<f32>(value),
        DType::U8 => copy::<u8>(value),
        DType::I8 => copy::<i8>(value),
        DType::I32 => copy::<i32>(value),
        DType::I64 => copy::<i64>(value),
        DType::F16 => copy::<f16>(value),
        DType::F64 => copy::<f64>(value),
        DType::Bool => extract::<bool>(value).and_then(|(shape, v)| {
            let bytes = v.iter().map(|b| u8::from(*b)).collect();
            Tensor::from_data(shape, Data::Bool(bytes)).map_err(|e| e.to_string())
        }),
    }
    .map_err(|e| RuntimeError::Run(format!("output `{name}`: {e}")))
}

fn copy<T: Element + ort::value::PrimitiveTensorElementType>(
    value: &DynValue,
) -> Result<Tensor, String> {
    let (shape, v) = extract::<T>(value)?;
    Tensor::new(shape, v.to_vec()).map_err(|e| e.to_string())
}

fn extract<T: ort::value::PrimitiveTensorElementType>(
    value: &DynValue,
) -> Result<(Vec<usize>, &[T]), String> {
    let (shape, v) = value
        .try_extract_tensor::<T>()
        .map_err(|e| one_line(e.message()))?;
    // A value that exists has no negative dimension.
    Ok((
        shape
            .iter()
            .map(|d| usize::try_from(*d).unwrap_or(0))
            .collect(),
        v,
    ))
}
