// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reading the values of constants, in whichever of ONNX's ways they are stored.

use half::f16;
use splitinfer_tensor::{DType, Data, Tensor};

use crate::proto::TensorProto;

/// The values of a constant; `None` for a type that [`DType`] lacks or for data of the wrong length.
pub fn read_constant(proto: &TensorProto) -> Option<Tensor> {
    let dtype = DType::from_onnx(proto.data_type())?;
    let shape: Option<Vec<usize>> = proto
        .dims
        .iter()
        .map(|d| usize::try_from(*d).ok())
        .collect();
    let shape = shape?;
    if let Some(raw) = &proto.raw_data {
        return Tensor::from_le_bytes(dtype, shape, raw).ok();
    }
    Tensor::from_data(shape, typed(proto, dtype)).ok()
}

/// Data in the field of its type. Narrow types lie in `int32_data`, float16 as its bits.
fn typed(proto: &TensorProto, dtype: DType) -> Data {
    let narrow = proto.int32_data.iter();
    match dtype {
        DType::F32 => Data::F32(proto.float_data.clone()),
        DType::F64 => Data::F64(proto.double_data.clone()),
        DType::I64 => Data::I64(proto.int64_data.clone()),
        DType::I32 => Data::I32(proto.int32_data.clone()),
        DType::U8 => Data::U8(narrow.map(|v| *v as u8).collect()),
        DType::I8 => Data::I8(narrow.map(|v| *v as i8).collect()),
        DType::Bool => Data::Bool(narrow.map(|v| u8::from(*v != 0)).collect()),
        DType::F16 => Data::F16(narrow.map(|v| f16::from_bits(*v as u16)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tensor;

    #[test]
    fn raw_and_typed_data_read_the_same() {
        let value = Tensor::new(vec![2], vec![1.5f32, -2.0]).unwrap();
        let raw = tensor("t", &value);
        assert_eq!(read_constant(&raw), Some(value.clone()));
        let typed = TensorProto {
            raw_data: None,
            float_data: vec![1.5, -2.0],
            ..raw
        };
        assert_eq!(read_constant(&typed), Some(value));
    }

    #[test]
    fn narrow_types_lie_in_the_32_bit_field() {
        let proto = |dtype: DType, int32_data| TensorProto {
            dims: vec![2],
            data_type: Some(dtype.to_onnx()),
            int32_data,
            ..Default::default()
        };
        let half = read_constant(&proto(DType::F16, vec![0x3c00, 0xc000])).unwrap();
        assert_eq!(half.to_f32_vec(), [1.0, -2.0]);
        let bool = read_constant(&proto(DType::Bool, vec![1, 0])).unwrap();
        assert_eq!(bool.to_f32_vec(), [1.0, 0.0]);
        assert_eq!(read_constant(&proto(DType::I8, vec![1])), None);
    }
}
