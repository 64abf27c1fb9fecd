// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How the tensors of one cut are coded, tuned on the stream itself: how coarse on the whole ([`StepControl`]), and which channels
//! finer than others ([`Sensitivity`]). Now and then somebody runs the tail of the model on a frame as it is, as the receiver has
//! it, and with one part of it as the receiver has it ([`Look`]).

use splitinfer_tensor::Tensor;

use crate::sensitivity::{Disturbed, Part, Response};
use crate::{Predictive, Sensitivity, StepControl, relative_change};

/// Frames between two looks at how much parts matter: until each has been tried, and later.
const SOON: u32 = 4;
const LATER: u32 = 64;
/// Parts that are tried in one look.
const PARTS: usize = 4;

/// Of one cut of one model.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    control: StepControl,
    /// Once a frame has told what crosses.
    sensitivity: Option<Sensitivity>,
    waiting: u32,
    /// How often the channels' steps have changed.
    edition: u32,
}

/// What is to be found out on a frame. To be made from the exact tensors, whoever runs the tail.
#[derive(Clone, Debug)]
pub struct Look {
    /// In which the frame was coded.
    step: f32,
    edition: u32,
    parts: Vec<Part>,
}

/// What a look has told.
#[derive(Clone, Debug)]
pub struct Findings {
    step: f32,
    edition: u32,
    change: Option<f32>,
    responses: Vec<Response>,
}

impl Tuning {
    /// Sets how the encoder's next frame is coded.
    pub fn apply(&self, encoder: &mut Predictive) {
        encoder.set_step(self.control.step());
        encoder.set_coarser(self.coarser());
    }

    /// For [`Predictive::set_step`].
    pub fn step(&self) -> f32 {
        self.control.step()
    }

    /// For [`Predictive::set_coarser`].
    pub fn coarser(&self) -> &[Vec<i8>] {
        self.sensitivity.as_ref().map_or(&[], Sensitivity::coarser)
    }

    /// Change of the outputs on the last frame looked at.
    pub fn change(&self) -> Option<f32> {
        self.control.error()
    }

    /// Whether it is known of every channel how much it matters.
    pub fn is_complete(&self) -> bool {
        self.sensitivity
            .as_ref()
            .is_some_and(Sensitivity::is_complete)
    }

    /// To be asked once a frame, after it was coded: whether to look at this one, and at what.
    pub fn look(&mut self, exact: &[Tensor]) -> Option<Look> {
        let sensitivity = self
            .sensitivity
            .get_or_insert_with(|| Sensitivity::new(exact));
        let mut parts = Vec::new();
        if self.waiting == 0 {
            parts = sensitivity.next(PARTS);
            self.waiting = match sensitivity.is_complete() {
                true => LATER,
                false => SOON,
            };
        }
        self.waiting -= 1;
        let due = self.control.is_due();
        (due || !parts.is_empty()).then(|| Look {
            step: self.control.step(),
            edition: self.edition,
            parts,
        })
    }

    /// `target`: the change of the outputs that is accepted.
    pub fn learn(&mut self, findings: &Findings, target: f32) {
        // What was coded with other steps of the channels tells nothing of these.
        if let Some(change) = findings.change
            && findings.edition == self.edition
        {
            self.control.measured(findings.step, change, target);
        }
        let Some(sensitivity) = &mut self.sensitivity else {
            return;
        };
        for response in &findings.responses {
            if sensitivity.learn(*response) {
                self.edition += 1;
                self.control.forget();
            }
        }
    }
}

impl Look {
    /// `decoded`: the frame as its receiver has it; `tail`: the model's outputs from what crosses, `None` where it fails.
    pub fn examine(
        &self,
        exact: &[Tensor],
        decoded: &[Tensor],
        mut tail: impl FnMut(&[Tensor]) -> Option<Vec<Tensor>>,
    ) -> Option<Findings> {
        let outputs = tail(exact)?;
        let change = relative_change(&outputs, &tail(decoded)?);
        let mut respond = |disturbed: Disturbed| {
            let change = relative_change(&outputs, &tail(&disturbed.tensors)?)?;
            Some(disturbed.response(change))
        };
        let parts = self.parts.iter();
        let disturbed = parts.filter_map(|part| part.disturb(exact, decoded));
        Some(Findings {
            step: self.step,
            edition: self.edition,
            change,
            responses: disturbed.filter_map(&mut respond).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AUTO, Encode};

    /// Two tensors of which the model only looks at the first.
    fn frame(number: usize) -> [Tensor; 2] {
        let tensor = |seed: usize| {
            let value = |i: usize| (((i * 31 + number * seed) % 41) as f32 - 20.0) / 10.0;
            Tensor::new(vec![1, 2, 16, 16], (0..512).map(value).collect()).unwrap()
        };
        [tensor(3), tensor(7)]
    }

    fn tail(tensors: &[Tensor]) -> Option<Vec<Tensor>> {
        let values = tensors[0].to_f32_vec().into_iter();
        let values = values.zip(tensors[1].to_f32_vec());
        let outputs = values.map(|(a, b)| a + b / 1000.0).collect();
        Tensor::new(vec![1, 512], outputs).ok().map(|t| vec![t])
    }

    fn tuned(frames: usize) -> (Tuning, Vec<usize>, usize) {
        let (mut tuning, mut encoder) = (Tuning::default(), Predictive::default());
        let (mut sizes, mut looks) = (Vec::new(), 0);
        for number in 0..frames {
            let exact = frame(number);
            tuning.apply(&mut encoder);
            sizes.push(encoder.encode(number as u64, &exact, AUTO).unwrap().len());
            let decoded = encoder.decoded(number as u64).unwrap();
            if let Some(look) = tuning.look(&exact) {
                looks += 1;
                tuning.learn(&look.examine(&exact, &decoded, tail).unwrap(), 0.02);
            }
        }
        (tuning, sizes, looks)
    }

    /// What a frame takes that is as near to the exact outputs with the same step for all.
    fn even_size(frame: &[Tensor], change: f32) -> usize {
        let exact = tail(frame).unwrap();
        let steps = (0..).map(|i| 0.9f32.powi(i));
        let mut sizes = steps.map(|step| {
            let mut encoder = Predictive::default();
            encoder.set_step(step);
            let size = encoder.encode(0, frame, AUTO).unwrap().len();
            let now = tail(&encoder.decoded(0).unwrap()).unwrap();
            (size, relative_change(&exact, &now).unwrap())
        });
        sizes.find(|(_, now)| *now <= change).unwrap().0
    }

    #[test]
    fn what_the_outputs_do_not_depend_on_is_coded_coarsely() {
        let (tuning, sizes, looks) = tuned(400);
        let [first, second] = tuning.coarser() else {
            panic!("{:?}", tuning.coarser())
        };
        assert!(second[0] >= first[0] + 4, "{:?}", tuning.coarser());
        let change = tuning.change().unwrap();
        assert!((0.005..0.02).contains(&change), "{change}");
        let even = even_size(&frame(399), change);
        assert!(sizes[399] < even, "{} {even}", sizes[399]);
        assert!(looks < 60, "{looks}");
    }

    #[test]
    fn what_a_look_found_with_other_steps_of_the_channels_does_not_count() {
        let (mut tuning, ..) = tuned(40);
        assert!(tuning.edition > 0);
        let stale = Findings {
            step: 0.1,
            edition: tuning.edition - 1,
            change: Some(9.0),
            responses: Vec::new(),
        };
        let before = tuning.step();
        tuning.learn(&stale, 0.02);
        assert_eq!(tuning.step(), before);
    }

    #[test]
    fn a_tail_that_fails_tells_nothing() {
        let mut tuning = Tuning::default();
        let look = tuning.look(&frame(0)).unwrap();
        assert!(look.examine(&frame(0), &frame(0), |_| None).is_none());
    }
}
