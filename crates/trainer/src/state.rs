// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A training that can be put down and taken up again.

use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, tensor};
use splitinfer_graph::proto::StringStringEntryProto;
use splitinfer_graph::read_constant;
use splitinfer_tensor::Tensor;

use crate::error::TrainError;

/// Parameters, what the optimizer remembers, and how many steps were made.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// By name of the initializer, or of what the optimizer keeps.
    pub tensors: Vec<(String, Tensor)>,
    pub steps: u64,
}

const STEPS: &str = "steps";

impl State {
    /// As an ONNX file whose initializers are the tensors, so that any ONNX tool can look inside.
    ///
    /// # Errors
    /// When two tensors have one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        // A graph must give something.
        let mut proto = GraphBuilder::new(17).untyped_output(STEPS).proto();
        proto.metadata_props.push(StringStringEntryProto {
            key: Some(STEPS.into()),
            value: Some(self.steps.to_string()),
        });
        if let Some(graph) = &mut proto.graph {
            let steps = Tensor::new(vec![], vec![self.steps as i64]);
            graph
                .initializer
                .extend(steps.ok().map(|t| tensor(STEPS, &t)));
            graph
                .initializer
                .extend(self.tensors.iter().map(|(name, value)| tensor(name, value)));
        }
        Ok(Model::from_proto(proto)?.to_bytes())
    }

    /// # Errors
    /// When the bytes are not what [`State::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let model = Model::from_bytes(bytes, None)?;
        let proto = model.proto();
        let steps = proto.metadata_props.iter().find(|p| p.key() == STEPS);
        let steps = steps.and_then(|p| p.value().parse().ok());
        let tensors = proto.graph.iter().flat_map(|g| &g.initializer);
        let tensors: Option<Vec<(String, Tensor)>> = tensors
            .filter(|t| t.name() != STEPS)
            .map(|t| Some((t.name().to_owned(), read_constant(t)?)))
            .collect();
        match (steps, tensors) {
            (Some(steps), Some(tensors)) => Ok(Self { tensors, steps }),
            _ => Err(TrainError::State("it is not one at all".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_bytes() {
        let state = State {
            tensors: vec![("w".into(), Tensor::new(vec![2], vec![1f32, -2.5]).unwrap())],
            steps: 17,
        };
        assert_eq!(
            State::from_bytes(&state.to_bytes().unwrap()).unwrap(),
            state
        );
        assert!(State::from_bytes(b"nonsense").is_err());
    }
}
