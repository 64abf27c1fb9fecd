// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tensor that all parts of the project hand to one another: dense, row-major, owned.
//!
//! ```
//! use splitinfer_tensor::{DType, Tensor};
//! let t = Tensor::new(vec![1, 2], vec![0.5f32, 1.0]).unwrap();
//! assert_eq!(t.dtype(), DType::F32);
//! assert_eq!(t.as_slice::<f32>().unwrap()[1], 1.0);
//! ```

use half::f16;

/// Element types that cross a cut or enter a model. Codes are those of ONNX `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    I32 = 6,
    I64 = 7,
    Bool = 9,
    F16 = 10,
    F64 = 11,
}

impl DType {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// From the code of ONNX `TensorProto.DataType`; `None` for types that no element here handles.
    pub const fn from_onnx(code: i32) -> Option<Self> {
        Some(match code {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            _ => return None,
        })
    }

    /// The code of ONNX `TensorProto.DataType`.
    pub const fn to_onnx(self) -> i32 {
        self as i32
    }

    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// As GStreamer's tensor metadata and `.modelinfo` files spell it (`float32`, `uint8`, …).
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Bool => "bool",
            Self::F16 => "float16",
            Self::F64 => "float64",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The elements of a [`Tensor`]. Booleans are bytes that are 0 or 1, as in ONNX `raw_data`.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<u8>),
    F16(Vec<f16>),
    F64(Vec<f64>),
}

/// Runs `$body` with `$v` bound to the vector of whichever type the data has.
macro_rules! with_vec {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Data::F32($v) => $body,
            Data::U8($v) => $body,
            Data::I8($v) => $body,
            Data::I32($v) => $body,
            Data::I64($v) => $body,
            Data::Bool($v) => $body,
            Data::F16($v) => $body,
            Data::F64($v) => $body,
        }
    };
}

impl Data {
    pub fn len(&self) -> usize {
        with_vec!(self, v => v.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of some of the elements.
    fn range(&self, range: std::ops::Range<usize>) -> Self {
        match self {
            Self::F32(v) => Self::F32(v[range].to_vec()),
            Self::U8(v) => Self::U8(v[range].to_vec()),
            Self::I8(v) => Self::I8(v[range].to_vec()),
            Self::I32(v) => Self::I32(v[range].to_vec()),
            Self::I64(v) => Self::I64(v[range].to_vec()),
            Self::Bool(v) => Self::Bool(v[range].to_vec()),
            Self::F16(v) => Self::F16(v[range].to_vec()),
            Self::F64(v) => Self::F64(v[range].to_vec()),
        }
    }

    /// False, and nothing is done, when the other is of another type.
    fn append(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a.extend_from_slice(b),
            (Self::U8(a), Self::U8(b)) | (Self::Bool(a), Self::Bool(b)) => a.extend_from_slice(b),
            (Self::I8(a), Self::I8(b)) => a.extend_from_slice(b),
            (Self::I32(a), Self::I32(b)) => a.extend_from_slice(b),
            (Self::I64(a), Self::I64(b)) => a.extend_from_slice(b),
            (Self::F16(a), Self::F16(b)) => a.extend_from_slice(b),
            (Self::F64(a), Self::F64(b)) => a.extend_from_slice(b),
            _ => return false,
        }
        true
    }

    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::U8(_) => DType::U8,
            Self::I8(_) => DType::I8,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::Bool(_) => DType::Bool,
            Self::F16(_) => DType::F16,
            Self::F64(_) => DType::F64,
        }
    }
}

/// Why a tensor could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error("a tensor of shape {shape:?} has {expected} elements, but {got} were given")]
    Length {
        shape: Vec<usize>,
        expected: usize,
        got: usize,
    },
    #[error("a tensor of shape {shape:?} is larger than this machine can address")]
    Overflow { shape: Vec<usize> },
    #[error("a {dtype} tensor of shape {shape:?} takes {expected} bytes, but {got} were given")]
    Bytes {
        dtype: DType,
        shape: Vec<usize>,
        expected: usize,
        got: usize,
    },
    #[error(
        "the tensors cannot be put together, or the tensor cannot be taken apart, along the first axis"
    )]
    Mixed,
}

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// # Errors
    /// When `data` does not hold exactly the product of `shape`.
    pub fn new<T: Element>(shape: Vec<usize>, data: Vec<T>) -> Result<Self, TensorError> {
        Self::from_data(shape, T::into_data(data))
    }

    /// # Errors
    /// When `data` does not hold exactly the product of `shape`.
    pub fn from_data(shape: Vec<usize>, data: Data) -> Result<Self, TensorError> {
        let expected = count(&shape)?;
        if expected != data.len() {
            return Err(TensorError::Length {
                shape,
                expected,
                got: data.len(),
            });
        }
        Ok(Self { shape, data })
    }

    /// From little-endian bytes, as in ONNX `raw_data`.
    ///
    /// # Errors
    /// When `bytes` has not exactly the length that type and shape ask for.
    pub fn from_le_bytes(
        dtype: DType,
        shape: Vec<usize>,
        bytes: &[u8],
    ) -> Result<Self, TensorError> {
        let n = count(&shape)?;
        let expected = n
            .checked_mul(dtype.size())
            .ok_or_else(|| TensorError::Overflow {
                shape: shape.clone(),
            })?;
        if expected != bytes.len() {
            return Err(TensorError::Bytes {
                dtype,
                shape,
                expected,
                got: bytes.len(),
            });
        }
        fn read<const N: usize, T>(bytes: &[u8], f: fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
        }
        let data = match dtype {
            DType::F32 => Data::F32(read(bytes, f32::from_le_bytes)),
            DType::U8 => Data::U8(bytes.to_vec()),
            DType::I8 => Data::I8(read(bytes, i8::from_le_bytes)),
            DType::I32 => Data::I32(read(bytes, i32::from_le_bytes)),
            DType::I64 => Data::I64(read(bytes, i64::from_le_bytes)),
            DType::Bool => Data::Bool(bytes.iter().map(|b| u8::from(*b != 0)).collect()),
            DType::F16 => Data::F16(read(bytes, f16::from_le_bytes)),
            DType::F64 => Data::F64(read(bytes, f64::from_le_bytes)),
        };
        Ok(Self { shape, data })
    }

    /// Little-endian bytes, as in ONNX `raw_data`.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        fn write<const N: usize, T: Copy>(v: &[T], f: fn(T) -> [u8; N]) -> Vec<u8> {
            v.iter().flat_map(|x| f(*x)).collect()
        }
        match &self.data {
            Data::F32(v) => write(v, f32::to_le_bytes),
            Data::U8(v) | Data::Bool(v) => v.clone(),
            Data::I8(v) => write(v, i8::to_le_bytes),
            Data::I32(v) => write(v, i32::to_le_bytes),
            Data::I64(v) => write(v, i64::to_le_bytes),
            Data::F16(v) => write(v, f16::to_le_bytes),
            Data::F64(v) => write(v, f64::to_le_bytes),
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    pub fn into_data(self) -> Data {
        self.data
    }

    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Bytes of the elements, uncompressed.
    pub fn byte_len(&self) -> usize {
        self.len() * self.dtype().size()
    }

    /// Tensors of one type that differ at most in the first size, one after the other along the first axis.
    ///
    /// # Errors
    /// When there is none, or they do not fit together.
    pub fn join(tensors: &[&Self]) -> Result<Self, TensorError> {
        let mut rest = tensors.iter();
        let first = rest.next().ok_or(TensorError::Mixed)?;
        let (_, tail) = first.shape.split_first().ok_or(TensorError::Mixed)?;
        let mut data = first.data.clone();
        let mut count = first.shape[0];
        for tensor in rest {
            if tensor.shape.get(1..) != Some(tail) || !data.append(&tensor.data) {
                return Err(TensorError::Mixed);
            }
            count += tensor.shape[0];
        }
        let shape = [&[count], tail].concat();
        Self::from_data(shape, data)
    }

    /// Takes apart, along the first axis, what [`join`](Self::join) has put together of `n` tensors of the same size.
    ///
    /// # Errors
    /// When the first size is not a multiple of `n`.
    pub fn divide(&self, n: usize) -> Result<Vec<Self>, TensorError> {
        let (count, tail) = self.shape.split_first().ok_or(TensorError::Mixed)?;
        if n == 0 || count % n != 0 {
            return Err(TensorError::Mixed);
        }
        let shape = [&[count / n], tail].concat();
        let each = self.len() / n;
        (0..n)
            .map(|i| Self::from_data(shape.clone(), self.data.range(i * each..(i + 1) * each)))
            .collect()
    }

    /// The elements, if they are of type `T`.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data)
    }

    /// The elements as `f32`, whatever their type.
    pub fn to_f32_vec(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::U8(v) | Data::Bool(v) => v.iter().map(|x| f32::from(*x)).collect(),
            Data::I8(v) => v.iter().map(|x| f32::from(*x)).collect(),
            Data::I32(v) => v.iter().map(|x| *x as f32).collect(),
            Data::I64(v) => v.iter().map(|x| *x as f32).collect(),
            Data::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
            Data::F64(v) => v.iter().map(|x| *x as f32).collect(),
        }
    }
}

/// Elements in a tensor of this shape.
///
/// # Errors
/// When the product does not fit into `usize`.
pub fn count(shape: &[usize]) -> Result<usize, TensorError> {
    shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .ok_or_else(|| TensorError::Overflow {
            shape: shape.to_vec(),
        })
}

/// A Rust type that is an element type. (`Bool` has no Rust type of its own here.)
pub trait Element: Copy + Sized {
    const DTYPE: DType;
    fn into_data(v: Vec<Self>) -> Data;
    fn slice(data: &Data) -> Option<&[Self]>;
}

macro_rules! element {
    ($($t:ty => $v:ident),*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$v;
            fn into_data(v: Vec<Self>) -> Data {
                Data::$v(v)
            }
            fn slice(data: &Data) -> Option<&[Self]> {
                match data {
                    Data::$v(v) => Some(v),
                    _ => None,
                }
            }
        }
    )*};
}
element!(f32 => F32, u8 => U8, i8 => I8, i32 => I32, i64 => I64, f16 => F16, f64 => F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_match_is_refused() {
        let e = Tensor::new(vec![2, 3], vec![0f32; 5]).unwrap_err();
        assert_eq!(
            e,
            TensorError::Length {
                shape: vec![2, 3],
                expected: 6,
                got: 5
            }
        );
        assert!(Tensor::from_le_bytes(DType::F32, vec![2], &[0; 7]).is_err());
        assert!(matches!(
            count(&[usize::MAX, 2]),
            Err(TensorError::Overflow { .. })
        ));
    }

    #[test]
    fn bytes_round_trip_for_every_type() {
        for dtype in [1, 2, 3, 6, 7, 9, 10, 11].map(|c| DType::from_onnx(c).unwrap()) {
            let bytes: Vec<u8> = (0..dtype.size() * 4).map(|i| (i % 2) as u8).collect();
            let t = Tensor::from_le_bytes(dtype, vec![2, 2], &bytes).unwrap();
            assert_eq!(t.to_le_bytes(), bytes, "{dtype}");
            assert_eq!(t.byte_len(), bytes.len());
        }
    }

    #[test]
    fn what_is_joined_comes_apart_again() {
        for dtype in [1, 2, 3, 6, 7, 9, 10, 11].map(|c| DType::from_onnx(c).unwrap()) {
            let tensor = |seed: usize| {
                let bytes = (0..dtype.size() * 6).map(|i| ((i * seed) % 2) as u8);
                Tensor::from_le_bytes(dtype, vec![1, 2, 3], &bytes.collect::<Vec<_>>()).unwrap()
            };
            let (a, b) = (tensor(1), tensor(0));
            let both = Tensor::join(&[&a, &b, &a]).unwrap();
            assert_eq!(both.shape(), [3, 2, 3]);
            assert_eq!(both.divide(3).unwrap(), [a.clone(), b, a], "{dtype}");
            assert_eq!(both.divide(2), Err(TensorError::Mixed));
        }
    }

    #[test]
    fn tensors_that_differ_are_not_joined() {
        let tensor =
            |shape: &[usize]| Tensor::new(shape.to_vec(), vec![0f32; shape.iter().product()]);
        let (a, b) = (tensor(&[1, 2]).unwrap(), tensor(&[1, 3]).unwrap());
        let c = Tensor::new(vec![1, 2], vec![0i32; 2]).unwrap();
        for others in [&b, &c, &tensor(&[]).unwrap()] {
            assert_eq!(Tensor::join(&[&a, others]), Err(TensorError::Mixed));
        }
        assert_eq!(Tensor::join(&[]), Err(TensorError::Mixed));
        assert_eq!(tensor(&[]).unwrap().divide(1), Err(TensorError::Mixed));
    }

    #[test]
    fn a_scalar_has_one_element() {
        assert_eq!(Tensor::new(vec![], vec![1f32]).unwrap().len(), 1);
    }
}
