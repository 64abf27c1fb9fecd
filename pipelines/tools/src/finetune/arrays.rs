// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! NumPy archives as examples: arrays whose first axis counts them.

use anyhow::{Context, Result, anyhow, bail};
use half::f16;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpzError, ReadableElement};
use splitinfer_tensor::{DType, Data, Element, Tensor};
use std::fs::File;
use std::path::{Path, PathBuf};

/// An open archive.
pub(super) struct Arrays {
    path: PathBuf,
    reader: NpzReader<File>,
    pub names: Vec<String>,
}

/// One array, example after example.
pub(super) struct Array {
    /// Archive and name, for messages.
    subject: String,
    dtype: DType,
    /// The first axis counts the examples.
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Type, shape and values.
type Parts = (DType, Vec<usize>, Vec<u8>);

impl Arrays {
    /// # Errors
    /// When there is no such file, or it is no archive.
    pub fn open(path: &Path) -> Result<Self> {
        let subject = || path.display().to_string();
        let file = File::open(path).with_context(subject)?;
        let mut reader = NpzReader::new(file)
            .map_err(|e| anyhow!("it is no NumPy archive ({e})"))
            .with_context(subject)?;
        let names = reader.names().with_context(subject)?;
        let bare = |n: String| n.strip_suffix(".npy").map_or(n.clone(), str::to_owned);
        Ok(Self {
            path: path.to_owned(),
            reader,
            names: names.into_iter().map(bare).collect(),
        })
    }

    /// The first of some arrays that is there; `wanted` describes them.
    ///
    /// # Errors
    /// When none is, or it cannot be read.
    pub fn first<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        wanted: &str,
    ) -> Result<Array> {
        for name in names {
            if self.names.iter().any(|n| n == name) {
                return self.read(name);
            }
        }
        bail!(
            "{}: there is no array {wanted}; it holds {}",
            self.path.display(),
            self.names.join(", ")
        )
    }

    /// # Errors
    /// When it cannot be read, or is of a type that no tensor has.
    pub fn read(&mut self, name: &str) -> Result<Array> {
        let subject = format!("{}: array '{name}'", self.path.display());
        let found = self.any(name).with_context(|| subject.clone())?;
        let Some((dtype, shape, bytes)) = found else {
            bail!(
                "{subject} is of a type that is not read; take float32, float64, uint8, int8, int32, int64 or bool"
            );
        };
        if shape.is_empty() {
            bail!("{subject} is a single number; its first axis must count the examples");
        }
        Ok(Array {
            subject,
            dtype,
            shape,
            bytes,
        })
    }

    fn any(&mut self, name: &str) -> Result<Option<Parts>, ReadNpzError> {
        macro_rules! try_types {
            ($($t:ty),*) => {
                $(if let Some(array) = self.typed::<$t>(name)? {
                    return Ok(Some(parts(array)));
                })*
            };
        }
        try_types!(f32, f64, u8, i64, i32, i8);
        // Booleans are kept as bytes.
        let booleans = self.typed::<bool>(name)?.map(|a| {
            let (_, shape, bytes) = parts(a.mapv(u8::from));
            (DType::Bool, shape, bytes)
        });
        Ok(booleans)
    }

    /// `None` when it is of another type.
    fn typed<T: ReadableElement>(&mut self, name: &str) -> Result<Option<ArrayD<T>>, ReadNpzError> {
        use ndarray_npy::ReadNpyError::WrongDescriptor;
        match self.reader.by_name::<OwnedRepr<T>, IxDyn>(name) {
            Ok(array) => Ok(Some(array)),
            Err(ReadNpzError::Npy(WrongDescriptor(_))) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// In the order of C, whatever order the file has.
fn parts<T: Element>(array: ArrayD<T>) -> Parts {
    let shape = array.shape().to_vec();
    let values: Vec<T> = array.iter().copied().collect();
    let tensor = Tensor::new(shape.clone(), values).unwrap_or_else(|e| unreachable!("{e}"));
    (tensor.dtype(), shape, tensor.to_le_bytes())
}

impl Array {
    pub fn examples(&self) -> usize {
        self.shape[0]
    }

    /// # Errors
    /// When the arrays do not hold as many.
    pub fn check_examples(&self, count: usize) -> Result<()> {
        match self.examples() == count {
            true => Ok(()),
            false => bail!(
                "{} holds {} examples, the others {count}",
                self.subject,
                self.examples()
            ),
        }
    }

    /// Shape of one example, with a batch of one.
    pub fn example_shape(&self) -> Vec<usize> {
        let rest = self.shape[1..].iter().copied();
        [1].into_iter().chain(rest).collect()
    }

    /// That each example has the shape that is needed, with or without its batch of one.
    ///
    /// # Errors
    /// When it does not; the message names both shapes.
    pub fn check_shape(&self, expected: &[usize], what: &str) -> Result<()> {
        if self.example_shape() == expected || self.shape[1..] == *expected {
            return Ok(());
        }
        let with: Vec<String> = expected.iter().skip(1).map(usize::to_string).collect();
        bail!(
            "{} has the shape {:?}, but {what} needs [examples, {}]",
            self.subject,
            self.shape,
            with.join(", ")
        )
    }

    /// One example in the shape and type that are needed; [`Array::check_shape`] was asked before.
    ///
    /// # Errors
    /// When its size is another.
    pub fn example(&self, i: usize, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let size = self.bytes.len() / self.shape[0].max(1);
        let bytes = &self.bytes[i * size..(i + 1) * size];
        let tensor = Tensor::from_le_bytes(self.dtype, shape.to_vec(), bytes)
            .with_context(|| self.subject.clone())?;
        Ok(converted(tensor, dtype))
    }
}

/// The same values in another type.
pub(super) fn converted(tensor: Tensor, dtype: DType) -> Tensor {
    if tensor.dtype() == dtype {
        return tensor;
    }
    let values = wide(tensor.data());
    let data = match dtype {
        DType::F32 => Data::F32(values.map(|v| v as f32).collect()),
        DType::F64 => Data::F64(values.collect()),
        DType::F16 => Data::F16(values.map(f16::from_f64).collect()),
        DType::U8 => Data::U8(values.map(|v| v as u8).collect()),
        DType::I8 => Data::I8(values.map(|v| v as i8).collect()),
        DType::I32 => Data::I32(values.map(|v| v as i32).collect()),
        DType::I64 => Data::I64(values.map(|v| v as i64).collect()),
        DType::Bool => Data::Bool(values.map(|v| u8::from(v != 0.0)).collect()),
    };
    Tensor::from_data(tensor.shape().to_vec(), data).unwrap_or_else(|e| unreachable!("{e}"))
}

fn wide(data: &Data) -> Box<dyn Iterator<Item = f64> + '_> {
    match data {
        Data::F32(v) => Box::new(v.iter().map(|v| f64::from(*v))),
        Data::F64(v) => Box::new(v.iter().copied()),
        Data::F16(v) => Box::new(v.iter().map(|v| v.to_f64())),
        Data::U8(v) | Data::Bool(v) => Box::new(v.iter().map(|v| f64::from(*v))),
        Data::I8(v) => Box::new(v.iter().map(|v| f64::from(*v))),
        Data::I32(v) => Box::new(v.iter().map(|v| f64::from(*v))),
        Data::I64(v) => Box::new(v.iter().map(|v| *v as f64)),
    }
}
