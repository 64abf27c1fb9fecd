// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is learned from, one example at a time, and many of them as one batch.

use splitinfer_tensor::{DType, Data, Tensor};

use crate::error::TrainError;

/// An example: what goes in, and what should come out. Every tensor has a batch of one as its first axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The trained part's inputs: the model's, or what crosses the cut.
    pub inputs: Vec<Tensor>,
    /// Of each loss, in the shape of the tensor that it judges.
    pub targets: Vec<Tensor>,
    /// Of each loss with weights: the weight of each element. Losses without have `None`.
    pub weights: Vec<Option<Tensor>>,
}

impl Sample {
    /// Without weights.
    pub fn new(inputs: Vec<Tensor>, targets: Vec<Tensor>) -> Self {
        Self {
            weights: vec![None; targets.len()],
            inputs,
            targets,
        }
    }

    /// Whether all its values are numbers: a training that sees others diverges.
    pub fn is_finite(&self) -> bool {
        let finite = |t: &Tensor| t.to_f32_vec().iter().all(|v| v.is_finite());
        self.tensors().all(finite)
    }

    /// Bytes of all its tensors.
    pub fn byte_len(&self) -> usize {
        self.tensors().map(Tensor::byte_len).sum()
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let weights = self.weights.iter().flatten();
        self.inputs.iter().chain(&self.targets).chain(weights)
    }
}

/// A tensor that training feeds, as one example has it.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl Slot {
    /// Tensors of examples one after another along the first axis.
    ///
    /// # Errors
    /// When one is of another type or shape; `what` says what kind of tensor it is.
    pub fn stack(&self, what: &'static str, tensors: &[&Tensor]) -> Result<Tensor, TrainError> {
        for tensor in tensors {
            if tensor.dtype() != self.dtype || tensor.shape() != self.shape {
                return Err(TrainError::SampleShape {
                    what,
                    name: self.name.clone(),
                    expected: format!("{} {:?}", self.dtype, self.shape),
                    got: format!("{} {:?}", tensor.dtype(), tensor.shape()),
                });
            }
        }
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first *= tensors.len();
        }
        let data = concatenated(tensors);
        // The lengths are those of equal shapes.
        Ok(Tensor::from_data(shape, data).unwrap_or_else(|e| unreachable!("{e}")))
    }
}

/// Tensors of one type.
fn concatenated(tensors: &[&Tensor]) -> Data {
    macro_rules! join {
        ($($variant:ident),*) => {
            match tensors[0].data() {
                $(Data::$variant(_) => {
                    let mut joined = Vec::with_capacity(tensors.iter().map(|t| t.len()).sum());
                    for tensor in tensors {
                        if let Data::$variant(values) = tensor.data() {
                            joined.extend_from_slice(values);
                        }
                    }
                    Data::$variant(joined)
                })*
            }
        };
    }
    join!(F32, U8, I8, I32, I64, Bool, F16, F64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_lie_one_after_another() {
        let slot = Slot {
            name: "x".into(),
            dtype: DType::F32,
            shape: vec![1, 2],
        };
        let [a, b] =
            [[1f32, 2.0], [3.0, 4.0]].map(|v| Tensor::new(vec![1, 2], v.to_vec()).unwrap());
        let both = slot.stack("input", &[&a, &b]).unwrap();
        assert_eq!(
            both,
            Tensor::new(vec![2, 2], vec![1f32, 2.0, 3.0, 4.0]).unwrap()
        );
        let wrong = Tensor::new(vec![2, 1], vec![1f32, 2.0]).unwrap();
        let error = slot.stack("input", &[&a, &wrong]).unwrap_err().to_string();
        assert_eq!(
            error,
            "input 'x' of a sample is float32 [2, 1], but must be float32 [1, 2]"
        );
    }
}
