// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0
//! The tensors of a cut on their way to the server: predicted from frames that the server has, and afresh where it has
//! none.

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{CodeError, Encode, Predictive};

/// What the network's thread has learned of the server's side of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Feedback {
    lost: bool,
    decoded: Option<u64>,
}

impl Feedback {
    /// The server has nothing that could be built on: a new session, or it said so.
    pub(super) fn lost(&mut self) {
        *self = Self {
            lost: true,
            decoded: None,
        };
    }

    /// The server has this frame.
    pub(super) fn decoded(&mut self, number: u64) {
        self.decoded = self.decoded.max(Some(number));
    }
}

/// The encoder of one started element.
#[derive(Default)]
pub(super) struct Crossing {
    encoder: Predictive,
    /// Where the frame before was cut.
    candidate: Option<usize>,
}

impl Crossing {
    /// To be called before each frame.
    pub(super) fn heed(&mut self, feedback: Feedback) {
        if feedback.lost {
            self.encoder.reset();
        }
        if let Some(number) = feedback.decoded {
            self.encoder.acknowledge(number);
        }
    }

    /// # Errors
    /// When there are more or larger tensors than the code can hold.
    pub(super) fn encode(
        &mut self,
        number: u64,
        candidate: usize,
        tensors: &[Tensor],
        bits: u8,
    ) -> Result<Vec<u8>, CodeError> {
        if self.candidate.replace(candidate) != Some(candidate) {
            self.encoder.reset();
        }
        self.encoder.encode(number, tensors, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_tensorcode::{Decode, Decoder, Limits};

    fn tensor(number: u64) -> [Tensor; 1] {
        let values = (0..768).map(|i| ((i + number * 3) % 41) as f32).collect();
        [Tensor::new(vec![1, 3, 16, 16], values).unwrap()]
    }

    /// Whether a server that has just started can read it.
    fn stands_alone(bytes: &[u8]) -> bool {
        Decoder::default().decode(bytes, &Limits::default()).is_ok()
    }

    fn acknowledged() -> Crossing {
        let mut crossing = Crossing::default();
        crossing.encode(0, 1, &tensor(0), 6).unwrap();
        let mut feedback = Feedback::default();
        feedback.decoded(0);
        crossing.heed(feedback);
        crossing
    }

    #[test]
    fn frames_are_predicted_once_the_server_has_one() {
        let bytes = acknowledged().encode(1, 1, &tensor(1), 6).unwrap();
        assert!(!stands_alone(&bytes));
    }

    #[test]
    fn another_cut_starts_afresh() {
        let bytes = acknowledged().encode(1, 2, &tensor(1), 6).unwrap();
        assert!(stands_alone(&bytes));
    }

    #[test]
    fn a_server_that_has_nothing_gets_a_frame_that_stands_alone() {
        let mut crossing = acknowledged();
        let mut feedback = Feedback::default();
        feedback.decoded(0);
        feedback.lost();
        crossing.heed(feedback);
        assert!(stands_alone(&crossing.encode(1, 1, &tensor(1), 6).unwrap()));
    }

    #[test]
    fn what_was_decoded_after_a_loss_counts() {
        let mut feedback = Feedback::default();
        feedback.lost();
        feedback.decoded(4);
        feedback.decoded(3);
        assert_eq!(feedback.decoded, Some(4));
        assert!(feedback.lost);
    }
}
