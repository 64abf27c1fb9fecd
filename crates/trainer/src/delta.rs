// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a training changed in a model: new weights for just that model.

use splitinfer_graph::build::tensor;
use splitinfer_graph::proto::ModelProto;
use splitinfer_graph::{Model, read_constant};
use splitinfer_tensor::{DType, Tensor};

use crate::archive::{Archive, pack};
use crate::error::TrainError;

const BASE: &str = "base-sha256";

/// New values of some initializers of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// [`Model::hash`] of the model that they are for.
    pub base: [u8; 32],
    /// Only those that are not as they were; types and shapes are the model's.
    pub weights: Vec<(String, Tensor)>,
}

impl Delta {
    /// What `weights` change in a model. Those that are as they were are left out.
    ///
    /// # Errors
    /// When the model has no such initializer, or it is of another type or shape.
    pub fn new(base: &Model, weights: Vec<(String, Tensor)>) -> Result<Self, TrainError> {
        let mut changed = Vec::new();
        for (name, value) in weights {
            let before = initializer(base, &name);
            let before =
                before.ok_or_else(|| TrainError::Delta(format!("it has no weight '{name}'")))?;
            let (was, is) = (describe(&before), describe(&value));
            if was != is {
                return Err(TrainError::Delta(format!(
                    "weight '{name}' is {} {:?} there, but {} {:?} here",
                    was.0, was.1, is.0, is.1
                )));
            }
            if before != value {
                changed.push((name, value));
            }
        }
        Ok(Self {
            base: base.hash(),
            weights: changed,
        })
    }

    /// The model with the changes: the same graph, the same names.
    ///
    /// # Errors
    /// When it is not the model that they are for.
    pub fn apply(&self, base: &Model) -> Result<Model, TrainError> {
        if base.hash() != self.base {
            return Err(TrainError::Delta(format!(
                "its SHA-256 begins with {}, that of the right one with {}",
                &hex(&base.hash())[..12],
                &hex(&self.base)[..12]
            )));
        }
        let mut proto = ModelProto::clone(base.proto());
        for initializer in proto.graph.iter_mut().flat_map(|g| &mut g.initializer) {
            if let Some((name, value)) = self.weights.iter().find(|(n, _)| n == initializer.name())
            {
                *initializer = tensor(name, value);
            }
        }
        Ok(Model::from_proto(proto)?)
    }

    /// As an ONNX file whose initializers are the new weights; its metadata names the model.
    ///
    /// # Errors
    /// When two have one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        Ok(pack(&self.weights, &[(BASE, hex(&self.base))])?)
    }

    /// # Errors
    /// When the bytes are not what [`Delta::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let archive = Archive::read(bytes)?;
        match (archive.note(BASE).and_then(unhex), archive.tensors()) {
            (Some(base), Some(weights)) => Ok(Self { base, weights }),
            _ => Err(TrainError::Delta(
                "the file holds no changes of a model".into(),
            )),
        }
    }
}

fn initializer(model: &Model, name: &str) -> Option<Tensor> {
    let mut all = model.proto().graph.iter().flat_map(|g| &g.initializer);
    read_constant(all.find(|t| t.name() == name)?)
}

fn describe(tensor: &Tensor) -> (DType, &[usize]) {
    (tensor.dtype(), tensor.shape())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    let bytes: Vec<u8> = digits?.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_graph::build::GraphBuilder;

    fn model(weight: f32) -> Model {
        GraphBuilder::new(17)
            .input("x", DType::F32, &[1, 1])
            .weight("w", &[1, 1], &[weight])
            .weight("same", &[1], &[3.0])
            .node("MatMul", &["x", "w"], &["m"], vec![])
            .node("Add", &["m", "same"], &["y"], vec![])
            .untyped_output("y")
            .model()
            .unwrap()
    }

    fn value(name: &str, shape: &[usize], value: f32) -> (String, Tensor) {
        (
            name.to_owned(),
            Tensor::new(shape.to_vec(), vec![value]).unwrap(),
        )
    }

    #[test]
    fn only_changes_are_kept_and_they_make_the_new_model() {
        let new = vec![value("w", &[1, 1], 5.0), value("same", &[1], 3.0)];
        let delta = Delta::new(&model(2.0), new).unwrap();
        assert_eq!(delta.weights, [value("w", &[1, 1], 5.0)]);
        assert_eq!(
            delta.apply(&model(2.0)).unwrap().to_bytes(),
            model(5.0).to_bytes()
        );
        let read = Delta::from_bytes(&delta.to_bytes().unwrap()).unwrap();
        assert_eq!(read, delta);
    }

    #[test]
    fn changes_go_into_no_other_model() {
        let delta = Delta::new(&model(2.0), vec![value("w", &[1, 1], 5.0)]).unwrap();
        let error = delta.apply(&model(2.5)).unwrap_err().to_string();
        assert!(error.contains("SHA-256"), "{error}");
        assert!(Delta::from_bytes(&model(1.0).to_bytes()).is_err());
        for wrong in [value("v", &[1], 1.0), value("w", &[1], 1.0)] {
            assert!(Delta::new(&model(2.0), vec![wrong]).is_err());
        }
    }
}
