// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A training that can be put down and taken up again.

use splitinfer_tensor::Tensor;

use crate::archive::{Archive, pack};
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
        Ok(pack(&self.tensors, &[(STEPS, self.steps.to_string())])?)
    }

    /// # Errors
    /// When the bytes are not what [`State::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let archive = Archive::read(bytes)?;
        let steps = archive.note(STEPS).and_then(|s| s.parse().ok());
        match (steps, archive.tensors()) {
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
