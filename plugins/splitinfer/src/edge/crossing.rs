// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tensors of a cut on their way to the server: predicted from frames that the server has, and afresh where it has
//! none.

use std::sync::Arc;

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{AUTO, CodeError, Encode, Predictive, Tuning};

use super::check::{Checker, Sample};
use super::engine::Engine;

/// What the network's thread has learned of the server's side of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Feedback {
    lost: bool,
    decoded: Option<u64>,
    /// The newest frame of the video that it does not have.
    pub(super) video_lost: Option<u64>,
}

impl Feedback {
    /// The server has no tensors that could be built on: a new session, or it said so.
    pub(super) fn lost(&mut self) {
        self.lost = true;
        self.decoded = None;
    }

    /// The server does not have this frame of the video.
    pub(super) fn video_lost(&mut self, number: u64) {
        self.video_lost = self.video_lost.max(Some(number));
    }

    /// The server has this frame.
    pub(super) fn decoded(&mut self, number: u64) {
        self.decoded = self.decoded.max(Some(number));
    }
}

/// How the tensors of a frame were coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coding {
    /// As a share of the tensors' root mean square; `None` for a depth that the user fixed.
    pub(super) step: Option<f32>,
    /// The frame was predicted from none before it.
    pub(super) alone: bool,
    /// Change of the model's outputs on the last frame of this cut that was checked, in units of their spread.
    pub(super) error: Option<f32>,
    /// It is known of every channel of the cut how much it matters.
    pub(super) tuned: bool,
}

/// What crosses, and what is wanted of it.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) number: u64,
    /// Of the weights.
    pub(super) version: u64,
    pub(super) candidate: usize,
    pub(super) bits: u8,
    /// Accepted change of the outputs, in units of their spread, where the depth is left to the code.
    pub(super) output_error: f32,
}

/// The encoder of one started element.
pub(super) struct Crossing {
    encoder: Predictive,
    /// Where the frame before was cut, and the version of its weights.
    cut: Option<(usize, u64)>,
    /// Of each candidate.
    tunings: Vec<Tuning>,
    checker: Option<Checker>,
}

impl Crossing {
    /// Without a `checker` the depth is what the code takes where nothing is known.
    pub(super) fn new(candidates: usize, checker: Option<Checker>, encoder: Predictive) -> Self {
        Self {
            encoder,
            cut: None,
            tunings: vec![Tuning::default(); candidates],
            checker,
        }
    }

    /// To be called before each frame.
    pub(super) fn heed(&mut self, feedback: &Feedback) {
        if feedback.lost {
            self.encoder.reset();
        }
        if let Some(number) = feedback.decoded {
            self.encoder.acknowledge(number);
        }
    }

    /// `engine`: where the tensors come from; without it nothing is checked.
    ///
    /// # Errors
    /// When there are more or larger tensors than the code can hold.
    pub(super) fn encode(
        &mut self,
        tensors: &[Tensor],
        wanted: Wanted,
        engine: Option<&Arc<Engine>>,
    ) -> Result<(Vec<u8>, Coding), CodeError> {
        let cut = (wanted.candidate, wanted.version);
        if self.cut.replace(cut) != Some(cut) {
            self.encoder.reset();
        }
        self.learn(wanted.output_error);
        let tuning = self.tunings.get_mut(wanted.candidate);
        let Some(tuning) = tuning.filter(|_| wanted.bits == AUTO) else {
            let bytes = self.encoder.encode(wanted.number, tensors, wanted.bits)?;
            return Ok((
                bytes,
                Coding {
                    step: None,
                    alone: self.encoder.stands_alone(),
                    error: None,
                    tuned: false,
                },
            ));
        };
        tuning.apply(&mut self.encoder);
        let bytes = self.encoder.encode(wanted.number, tensors, AUTO)?;
        let coding = Coding {
            step: Some(tuning.step()),
            alone: self.encoder.stands_alone(),
            error: tuning.change(),
            tuned: tuning.is_complete(),
        };
        if let (Some(checker), Some(engine)) = (&self.checker, engine)
            && checker.is_ready()
            && let Some(look) = tuning.look(tensors)
            && let Some(decoded) = self.encoder.decoded(wanted.number)
        {
            checker.offer(Sample {
                engine: Arc::clone(engine),
                candidate: wanted.candidate,
                look,
                exact: tensors.to_vec(),
                decoded,
            });
        }
        Ok((bytes, coding))
    }

    fn learn(&mut self, target: f32) {
        let findings = self.checker.as_ref().map(Checker::take);
        for (candidate, found) in findings.unwrap_or_default() {
            if let Some(tuning) = self.tunings.get_mut(candidate) {
                tuning.learn(&found, target);
            }
        }
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

    fn encode(crossing: &mut Crossing, number: u64, candidate: usize) -> Vec<u8> {
        encode_with(crossing, number, candidate, 0)
    }

    fn encode_with(
        crossing: &mut Crossing,
        number: u64,
        candidate: usize,
        version: u64,
    ) -> Vec<u8> {
        let wanted = Wanted {
            number,
            version,
            candidate,
            bits: 6,
            output_error: 0.02,
        };
        crossing.encode(&tensor(number), wanted, None).unwrap().0
    }

    /// Whether a server that has just started can read it.
    fn stands_alone(bytes: &[u8]) -> bool {
        Decoder::default().decode(bytes, &Limits::default()).is_ok()
    }

    fn acknowledged() -> Crossing {
        let mut crossing = Crossing::new(3, None, Predictive::default());
        encode(&mut crossing, 0, 1);
        let mut feedback = Feedback::default();
        feedback.decoded(0);
        crossing.heed(&feedback);
        crossing
    }

    #[test]
    fn frames_are_predicted_once_the_server_has_one() {
        let bytes = encode(&mut acknowledged(), 1, 1);
        assert!(!stands_alone(&bytes));
    }

    #[test]
    fn another_cut_starts_afresh() {
        let bytes = encode(&mut acknowledged(), 1, 2);
        assert!(stands_alone(&bytes));
    }

    #[test]
    fn other_weights_start_afresh() {
        let bytes = encode_with(&mut acknowledged(), 1, 1, 3);
        assert!(stands_alone(&bytes));
    }

    #[test]
    fn a_server_that_has_nothing_gets_a_frame_that_stands_alone() {
        let mut crossing = acknowledged();
        let mut feedback = Feedback::default();
        feedback.decoded(0);
        feedback.lost();
        crossing.heed(&feedback);
        assert!(stands_alone(&encode(&mut crossing, 1, 1)));
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
