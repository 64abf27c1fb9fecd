// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The tensors of a cut on their way to the server: predicted from frames that the server has, and afresh where it has
//! none.

use std::collections::VecDeque;
use std::sync::Arc;

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{AUTO, CodeError, Encode, Predictive, Tuning};

use super::check::{Checker, Sample};
use super::engine::Engine;

/// Answers that are remembered from frame to frame; more than may be under way.
const MOST_DECODED: usize = 64;

/// What the network's thread has learned of the server's side of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Feedback {
    pub(super) lost: bool,
    /// Frames that it has, of any cut.
    decoded: VecDeque<u64>,
    /// The newest frame of the video that it does not have.
    pub(super) video_lost: Option<u64>,
}

impl Feedback {
    /// The server has no tensors that could be built on: a new session, or it said so.
    pub(super) fn lost(&mut self) {
        self.lost = true;
        self.decoded.clear();
    }

    /// The server does not have this frame of the video.
    pub(super) fn video_lost(&mut self, number: u64) {
        self.video_lost = self.video_lost.max(Some(number));
    }

    /// The server has this frame.
    pub(super) fn decoded(&mut self, number: u64) {
        if self.decoded.len() == MOST_DECODED {
            self.decoded.pop_front();
        }
        self.decoded.push_back(number);
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
    /// The server keeps what is predicted from of each candidate, and not only of the last one.
    pub(super) each_kept: bool,
    /// Of all time, the part that may go to finding out how much coding matters.
    pub(super) checked: f64,
}

/// The encoders of one started element, one a candidate: a cut that the stream comes back to goes on from what the server has
/// of it.
pub(super) struct Crossing {
    cuts: Vec<Cut>,
    /// Where the frame before was cut, and the version of its weights.
    last: Option<(usize, u64)>,
    checker: Option<Checker>,
}

/// The tensors of a candidate.
struct Cut {
    encoder: Predictive,
    tuning: Tuning,
}

impl Crossing {
    /// Without a `checker` the depth is what the code takes where nothing is known.
    pub(super) fn new(
        candidates: usize,
        checker: Option<Checker>,
        encoder: impl Fn() -> Predictive,
    ) -> Self {
        let cut = |_| Cut {
            encoder: encoder(),
            tuning: Tuning::default(),
        };
        Self {
            cuts: (0..candidates).map(cut).collect(),
            last: None,
            checker,
        }
    }

    /// To be called before each frame.
    pub(super) fn heed(&mut self, feedback: &Feedback) {
        if feedback.lost {
            self.start_afresh();
        }
        for number in &feedback.decoded {
            let cuts = self.cuts.iter_mut();
            cuts.for_each(|c| c.encoder.acknowledge(*number));
        }
    }

    fn start_afresh(&mut self) {
        self.cuts.iter_mut().for_each(|c| c.encoder.reset());
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
        let before = self.last.replace((wanted.candidate, wanted.version));
        if before.is_some_and(|before| !goes_on(before, &wanted)) {
            self.start_afresh();
        }
        self.learn(wanted.output_error);
        let Some(Cut { encoder, tuning }) = self.cuts.get_mut(wanted.candidate) else {
            return Err(CodeError::TooLarge {
                what: "the number of the candidate",
                got: wanted.candidate,
                max: self.cuts.len(),
            });
        };
        if wanted.bits != AUTO {
            let bytes = encoder.encode(wanted.number, tensors, wanted.bits)?;
            let coding = Coding {
                step: None,
                alone: encoder.stands_alone(),
                error: None,
                tuned: false,
            };
            return Ok((bytes, coding));
        }
        tuning.apply(encoder);
        let bytes = encoder.encode(wanted.number, tensors, AUTO)?;
        let coding = Coding {
            step: Some(tuning.step()),
            alone: encoder.stands_alone(),
            error: tuning.change(),
            tuned: tuning.is_complete(),
        };
        if let (Some(checker), Some(engine)) = (&self.checker, engine)
            && checker.is_ready(wanted.checked)
            && let Some(look) = tuning.look(tensors)
            && let Some(decoded) = encoder.decoded(wanted.number)
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
            if let Some(cut) = self.cuts.get_mut(candidate) {
                cut.tuning.learn(&found, target);
            }
        }
    }
}

/// Whether a frame may be predicted from those before it, the last of which had this candidate and version.
fn goes_on((candidate, version): (usize, u64), wanted: &Wanted) -> bool {
    version == wanted.version && (wanted.each_kept || candidate == wanted.candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_tensorcode::{Decode, Decoder, Limits};

    fn tensor(number: u64) -> [Tensor; 1] {
        let values = (0..768).map(|i| ((i + number * 3) % 41) as f32).collect();
        [Tensor::new(vec![1, 3, 16, 16], values).unwrap()]
    }

    fn wanted(number: u64, candidate: usize) -> Wanted {
        Wanted {
            number,
            version: 0,
            candidate,
            bits: 6,
            output_error: 0.02,
            each_kept: true,
            checked: 0.25,
        }
    }

    fn encode(crossing: &mut Crossing, wanted: Wanted) -> Vec<u8> {
        let tensors = tensor(wanted.number);
        crossing.encode(&tensors, wanted, None).unwrap().0
    }

    /// Whether a server that has just started can read it.
    fn stands_alone(bytes: &[u8]) -> bool {
        Decoder::default().decode(bytes, &Limits::default()).is_ok()
    }

    fn hears(crossing: &mut Crossing, decoded: u64) {
        let mut feedback = Feedback::default();
        feedback.decoded(decoded);
        crossing.heed(&feedback);
    }

    /// The server has frame 0 of candidate 1.
    fn acknowledged() -> Crossing {
        let mut crossing = Crossing::new(3, None, Predictive::default);
        encode(&mut crossing, wanted(0, 1));
        hears(&mut crossing, 0);
        crossing
    }

    #[test]
    fn frames_are_predicted_once_the_server_has_one() {
        let bytes = encode(&mut acknowledged(), wanted(1, 1));
        assert!(!stands_alone(&bytes));
    }

    #[test]
    fn another_cut_starts_afresh_and_the_one_before_goes_on_where_it_was() {
        for each_kept in [true, false] {
            let mut crossing = acknowledged();
            let wanted = |number, candidate| Wanted {
                each_kept,
                ..wanted(number, candidate)
            };
            assert!(stands_alone(&encode(&mut crossing, wanted(1, 2))));
            hears(&mut crossing, 1);
            assert!(!stands_alone(&encode(&mut crossing, wanted(2, 2))));
            let back = encode(&mut crossing, wanted(3, 1));
            assert_eq!(stands_alone(&back), !each_kept);
        }
    }

    #[test]
    fn other_weights_start_afresh() {
        let mut crossing = acknowledged();
        let other = Wanted {
            version: 3,
            ..wanted(1, 1)
        };
        assert!(stands_alone(&encode(&mut crossing, other)));
    }

    #[test]
    fn a_server_that_has_nothing_gets_a_frame_that_stands_alone() {
        let mut crossing = acknowledged();
        encode(&mut crossing, wanted(1, 2));
        let mut feedback = Feedback::default();
        feedback.decoded(1);
        feedback.lost();
        crossing.heed(&feedback);
        assert!(stands_alone(&encode(&mut crossing, wanted(2, 1))));
        assert!(stands_alone(&encode(&mut crossing, wanted(3, 2))));
    }

    #[test]
    fn a_candidate_that_is_none_is_told() {
        let coded = acknowledged().encode(&tensor(1), wanted(1, 3), None);
        assert!(coded.unwrap_err().to_string().contains("candidate"));
    }

    #[test]
    fn what_was_decoded_after_a_loss_counts() {
        let mut feedback = Feedback::default();
        feedback.lost();
        feedback.decoded(4);
        feedback.decoded(3);
        assert_eq!(feedback.decoded, [4, 3]);
        assert!(feedback.lost);
    }

    #[test]
    fn what_the_server_has_of_each_cut_counts_however_much_is_heard_at_once() {
        let mut crossing = acknowledged();
        for (number, candidate) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            encode(&mut crossing, wanted(number, candidate));
        }
        let mut feedback = Feedback::default();
        (1..=4).for_each(|number| feedback.decoded(number));
        crossing.heed(&feedback);
        // From frame 2, not from frame 0.
        let mut decoder = Decoder::default();
        let bytes = encode(&mut crossing, wanted(5, 1));
        let lacks = decoder.decode(&bytes, &Limits::default()).unwrap_err();
        assert!(lacks.to_string().contains("frame 2"), "{lacks}");
    }
}
