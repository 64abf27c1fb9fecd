// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How much a model's outputs depend on each tensor that crosses a cut, and on each of its channels: so the bits go where they count.
//!
//! It is found out by trying: one tensor, later each of its channels, is taken as the receiver has it, all others as they are, the tail of
//! the model runs, and the outputs have changed by so much. That works for any model, needs no gradient, and no more than a run of the tail now and
//! then. (Noise in place of what coding really does would tell too little of models that take means: an error that is the same all over a flat
//! part of a picture does not average out.)
//!
//! At high rates the errors of all channels should disturb the outputs alike: with a sensitivity w (squared change of the outputs for a
//! squared error, by the tensor's mean square), steps as shares of the tensor's root mean square go with 1/√w (reverse water-filling; T. Cover and J. Thomas, *Elements of Information Theory*, 10.3.3). Where
//! most values are zero anyway that is more than it is good for, so the exponent is a little less.

use splitinfer_tensor::Tensor;

use crate::affine::from_f32;
use crate::predictive::channels;

/// Steps go with the sensitivity to the power of minus half of this.
const EXPONENT: f64 = 0.7;
/// A channel that matters less than this share of the mean is taken to matter so much: it may matter more on another frame.
const LEAST: f64 = 0.05;
/// Trials of each part before anything follows from them: what does not matter on one frame may on the next.
const ENOUGH: u32 = 3;
/// Coding whose errors are less than this share of a tensor's root mean square tells nothing: the channel is zero, or exact.
const NOTHING: f64 = 1e-6;
/// Trials of a part that are averaged; later ones replace what is old.
const REMEMBERED: f64 = 8.0;
/// Half octaves that a channel must be off by before the steps change: a change makes every reference a little wrong.
const WORTHWHILE: u8 = 2;

/// What is taken as the receiver has it in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    tensor: usize,
    /// All of them, without one.
    channel: Option<usize>,
}

/// The tensors of a frame, one part of them as the receiver has it.
pub struct Disturbed {
    part: Part,
    pub tensors: Vec<Tensor>,
    /// Sum of the squared errors, in the tensor's own unit.
    energy: f64,
    /// Root mean square of the exact tensor.
    size: f64,
}

/// What a trial told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    part: Part,
    /// Squared change of the outputs for a squared error in units of the tensor's root mean square; none where coding was exact.
    sensitivity: Option<f64>,
}

/// The sensitivities of one cut, as far as they are known.
#[derive(Clone, Debug)]
pub struct Sensitivity {
    tensors: Vec<Known>,
    /// What follows from what was known when it was last drawn up.
    coarser: Vec<Vec<i8>>,
}

#[derive(Clone, Debug)]
struct Known {
    /// None of what has no steps.
    values: usize,
    whole: Estimate,
    /// Where there are several.
    channels: Vec<Estimate>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    mean: f64,
    /// Trials that told something.
    known: u32,
    tried: u32,
}

impl Sensitivity {
    /// For the tensors of a cut.
    pub fn new(tensors: &[Tensor]) -> Self {
        let known = |tensor: &Tensor| {
            let values = match tensor.dtype().is_float() {
                true => tensor.len(),
                false => 0,
            };
            let channels = match values {
                0 => 0,
                _ => channels(tensor.shape()),
            };
            let several = if channels > 1 { channels } else { 0 };
            Known {
                values,
                whole: Estimate::default(),
                channels: vec![Estimate::default(); several],
            }
        };
        Self {
            tensors: tensors.iter().map(known).collect(),
            coarser: Vec::new(),
        }
    }

    /// The parts of which least is known: tensors first, where there are several, then their channels. None where there is nothing to
    /// weigh against each other.
    pub fn next(&self, many: usize) -> Vec<Part> {
        let mut parts: Vec<_> = match self.are_tensors_known() {
            true => self.channels().collect(),
            false => self.wholes().collect(),
        };
        if parts.len() < 2 {
            return Vec::new();
        }
        parts.sort_by_key(|(_, estimate)| estimate.tried);
        parts.into_iter().take(many).map(|(part, _)| part).collect()
    }

    /// Whether every channel has been tried.
    pub fn is_complete(&self) -> bool {
        let mut channels = self.channels();
        channels.all(|(_, e)| e.tried >= ENOUGH) || self.next(1).is_empty()
    }

    /// By how many half octaves each channel's step should be above what all would have: for
    /// [`Predictive::set_coarser`](crate::Predictive::set_coarser). Empty until something is known.
    pub fn coarser(&self) -> &[Vec<i8>] {
        &self.coarser
    }

    /// Whether what was learned changes [`coarser`](Self::coarser).
    pub fn learn(&mut self, response: Response) -> bool {
        let Some(tensor) = self.tensors.get_mut(response.part.tensor) else {
            return false;
        };
        let estimate = match response.part.channel {
            None => Some(&mut tensor.whole),
            Some(channel) => tensor.channels.get_mut(channel),
        };
        let Some(estimate) = estimate else {
            return false;
        };
        estimate.add(response.sensitivity);
        self.is_round_done() && self.draw_up()
    }

    fn wholes(&self) -> impl Iterator<Item = (Part, Estimate)> {
        let part = |tensor| Part {
            tensor,
            channel: None,
        };
        let tensors = self.tensors.iter().enumerate();
        let tensors = tensors.filter(|(_, known)| known.values > 0);
        tensors.map(move |(tensor, known)| (part(tensor), known.whole))
    }

    /// A tensor of one channel is that.
    fn channels(&self) -> impl Iterator<Item = (Part, Estimate)> {
        self.wholes().flat_map(|(whole, estimate)| {
            let channels = &self.tensors[whole.tensor].channels;
            let only = channels.is_empty().then_some((whole, estimate));
            let part = move |channel| Part {
                channel: Some(channel),
                ..whole
            };
            let several = channels.iter().enumerate();
            only.into_iter()
                .chain(several.map(move |(c, e)| (part(c), *e)))
        })
    }

    fn are_tensors_known(&self) -> bool {
        self.wholes().count() < 2 || self.wholes().all(|(_, e)| e.tried >= ENOUGH)
    }

    /// All tensors, or all channels, have been tried equally often.
    fn is_round_done(&self) -> bool {
        let begun = |(part, e): (Part, Estimate)| part.channel.is_some() && e.tried > 0;
        if !self.channels().any(begun) {
            return self.wholes().count() > 1 && self.are_tensors_known();
        }
        let mut counts = self.channels().map(|(_, e)| e.tried);
        let first = counts.next();
        first >= Some(ENOUGH) && counts.all(|count| Some(count) == first)
    }

    /// Whether that changes anything much.
    fn draw_up(&mut self) -> bool {
        let each = self.tensors.iter().flat_map(Known::each);
        let told: Vec<_> = each.filter_map(|(values, w)| Some((values, w?))).collect();
        let all: f64 = told.iter().map(|(values, _)| values).sum();
        let mean = told.iter().map(|(values, w)| values * w).sum::<f64>() / all;
        if !(mean.is_finite() && mean > 0.0) {
            return false;
        }
        // In half octaves; what coding left exact is as the mean.
        let step = |w: Option<f64>| -EXPONENT * w.map_or(1.0, |w| (w / mean).max(LEAST)).log2();
        let each = || self.tensors.iter().flat_map(Known::each);
        let values: f64 = each().map(|(values, _)| values).sum();
        let middle = each().map(|(values, w)| values * step(w)).sum::<f64>() / values;
        let coarser = |w| (step(w) - middle).round() as i8;
        let coarser = |known: &Known| known.each().map(|(_, w)| coarser(w)).collect();
        let coarser: Vec<Vec<i8>> = self.tensors.iter().map(coarser).collect();
        let changes = match self.coarser.is_empty() {
            true => coarser.iter().flatten().any(|c| *c != 0),
            false => {
                let pairs = self.coarser.iter().flatten().zip(coarser.iter().flatten());
                pairs.into_iter().any(|(a, b)| a.abs_diff(*b) >= WORTHWHILE)
            }
        };
        if changes {
            self.coarser = coarser;
        }
        changes
    }
}

impl Known {
    /// Of each channel: its values, and how much an error of one matters.
    fn each(&self) -> impl Iterator<Item = (f64, Option<f64>)> {
        let count = match self.values {
            0 => 0,
            _ => self.channels.len().max(1),
        };
        let sensitivity = |channel: usize| {
            let estimate = self.channels.get(channel).filter(|e| e.known > 0);
            let estimate = estimate.unwrap_or(&self.whole);
            (estimate.known > 0).then_some(estimate.mean)
        };
        let values = self.values as f64 / count.max(1) as f64;
        (0..count).map(move |channel| (values, sensitivity(channel)))
    }
}

impl Estimate {
    fn add(&mut self, sensitivity: Option<f64>) {
        self.tried += 1;
        if let Some(sensitivity) = sensitivity {
            self.known += 1;
            self.mean += (sensitivity - self.mean) / f64::from(self.known).min(REMEMBERED);
        }
    }
}

impl Part {
    /// The exact tensors of a frame with this part as the receiver has it. `None` when they are not of the cut's shapes.
    pub fn disturb(self, exact: &[Tensor], decoded: &[Tensor]) -> Option<Disturbed> {
        let tensor = exact.get(self.tensor)?;
        let mut values = tensor.to_f32_vec();
        let coded = decoded.get(self.tensor)?.to_f32_vec();
        let size = root_mean_square(&values);
        let part = match self.channel {
            None => 0..values.len(),
            Some(channel) => {
                let area = values.len() / channels(tensor.shape()).max(1);
                channel * area..(channel + 1) * area
            }
        };
        let mut energy = 0.0;
        let pairs = values
            .get_mut(part.clone())?
            .iter_mut()
            .zip(coded.get(part)?);
        for (value, coded) in pairs {
            energy += f64::from(*value - coded).powi(2);
            *value = *coded;
        }
        let mut tensors = exact.to_vec();
        let data = from_f32(tensor.dtype(), values);
        tensors[self.tensor] = Tensor::from_data(tensor.shape().to_vec(), data).ok()?;
        Some(Disturbed {
            part: self,
            tensors,
            energy,
            size,
        })
    }
}

impl Disturbed {
    /// `change`: [`relative_change`](crate::relative_change) of the model's outputs.
    pub fn response(&self, change: f32) -> Response {
        let tells = self.energy > (NOTHING * self.size).powi(2);
        Response {
            part: self.part,
            sensitivity: tells.then(|| (f64::from(change) * self.size).powi(2) / self.energy),
        }
    }
}

fn root_mean_square(values: &[f32]) -> f64 {
    let squares = values.iter().map(|v| f64::from(*v).powi(2));
    (squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(channels: usize, size: f32) -> Tensor {
        let values = (0..channels * 64).map(|i| size * ((i % 7) as f32 - 3.0));
        Tensor::new(vec![1, channels, 8, 8], values.collect()).unwrap()
    }

    /// As a receiver has it: every value off by a hundredth of the tensor's size, this way or that.
    fn coded(tensors: &[Tensor], sizes: &[f32]) -> Vec<Tensor> {
        let of = |(tensor, size): (&Tensor, &f32)| {
            let values = tensor.to_f32_vec().into_iter().enumerate();
            let off = |i: usize| size * if i.is_multiple_of(3) { 0.02 } else { -0.01 };
            let values = values.map(|(i, v)| v + off(i)).collect();
            Tensor::new(tensor.shape().to_vec(), values).unwrap()
        };
        tensors.iter().zip(sizes).map(of).collect()
    }

    /// Learns from a linear model: its outputs are the values times what their channel `matters`.
    fn learned(
        tensors: &[Tensor],
        matters: impl Fn(usize, usize) -> f32,
        trials: usize,
    ) -> Sensitivity {
        let outputs = |tensors: &[Tensor]| -> Vec<f32> {
            let of = |(t, tensor): (usize, &Tensor)| {
                let values = tensor.to_f32_vec().into_iter().enumerate();
                values
                    .map(|(i, v)| v * matters(t, i / 64))
                    .collect::<Vec<_>>()
            };
            tensors.iter().enumerate().flat_map(of).collect()
        };
        let norm = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let exact = outputs(tensors);
        let mut sensitivity = Sensitivity::new(tensors);
        let sizes = tensors.iter().map(|t| t.to_f32_vec()[1].abs());
        let decoded = coded(tensors, &sizes.collect::<Vec<_>>());
        for _ in 0..trials {
            for part in sensitivity.next(1) {
                let disturbed = part.disturb(tensors, &decoded).unwrap();
                let now = outputs(&disturbed.tensors);
                let off: Vec<f32> = now.iter().zip(&exact).map(|(a, b)| a - b).collect();
                sensitivity.learn(disturbed.response(norm(&off) / norm(&exact)));
            }
        }
        sensitivity
    }

    #[test]
    fn what_matters_more_gets_finer_steps_whatever_its_size() {
        let tensors = [tensor(3, 1.0), tensor(2, 100.0)];
        // An error matters 64 times as much in the first tensor, whose values are a hundredth in size.
        let known = learned(&tensors, |t, _| if t == 0 { 64.0 } else { 1.0 }, 21);
        let [first, second] = known.coarser() else {
            panic!("{:?}", known.coarser())
        };
        assert!(first.iter().all(|c| *c == first[0]) && second.iter().all(|c| *c == second[0]));
        // An error of the same share of its size matters 0.41 times as much: 0.7 of 1.3 half octaves.
        assert_eq!(first[0] - second[0], 1, "{first:?} {second:?}");
        assert!(known.is_complete());
    }

    #[test]
    fn channels_are_told_apart_once_each_has_been_tried() {
        let tensors = [tensor(4, 1.0)];
        let matters = |_: usize, c: usize| [1.0, 1.0, 16.0, 0.0][c];
        assert!(learned(&tensors, matters, 11).coarser().is_empty());
        let known = learned(&tensors, matters, 12);
        let [coarser] = known.coarser() else {
            panic!("{:?}", known.coarser())
        };
        assert_eq!(coarser[0], coarser[1]);
        assert!(
            coarser[2] < coarser[0] - 2 && coarser[3] >= coarser[0],
            "{coarser:?}"
        );
        // What does not matter at all is not left out: at a twentieth of the mean it ends.
        assert!(coarser[3] - coarser[2] <= 5, "{coarser:?}");
    }

    #[test]
    fn a_tensor_of_one_channel_has_nothing_to_be_weighed_against() {
        let alone = Sensitivity::new(&[tensor(1, 1.0)]);
        assert!(alone.next(9).is_empty() && alone.is_complete());
        let whole = Tensor::new(vec![2], vec![1i64, 2]).unwrap();
        assert!(Sensitivity::new(&[whole]).next(9).is_empty());
    }

    #[test]
    fn steps_change_only_for_what_is_much_off() {
        let tensors = [tensor(2, 1.0), tensor(2, 1.0)];
        let mut known = learned(&tensors, |t, _| [1.0, 16.0][t], 18);
        let before = known.coarser().to_vec();
        for part in known.next(4) {
            let again = Response {
                part,
                sensitivity: Some(known.channels().find(|(p, _)| *p == part).unwrap().1.mean * 1.2),
            };
            assert!(!known.learn(again));
        }
        assert_eq!(known.coarser(), before);
    }

    #[test]
    fn only_its_part_is_as_the_receiver_has_it() {
        let tensors = [tensor(2, 1.0), tensor(2, 1.0)];
        let decoded = coded(&tensors, &[1.0, 1.0]);
        let channel = |tensor| Part {
            tensor,
            channel: Some(1),
        };
        let disturbed = channel(0).disturb(&tensors, &decoded).unwrap();
        let [exact, coded, now] =
            [&tensors[0], &decoded[0], &disturbed.tensors[0]].map(Tensor::to_f32_vec);
        assert_eq!((&now[..64], &now[64..]), (&exact[..64], &coded[64..]));
        assert_eq!(disturbed.tensors[1], tensors[1]);
        assert!(disturbed.response(0.1).sensitivity.is_some());
        assert!(channel(2).disturb(&tensors, &decoded).is_none());
    }

    #[test]
    fn what_coding_leaves_exact_tells_nothing_and_is_as_the_mean() {
        let tensors = [tensor(3, 1.0)];
        let mut decoded = coded(&tensors, &[1.0]);
        let mut values = decoded[0].to_f32_vec();
        values[..64].copy_from_slice(&tensors[0].to_f32_vec()[..64]);
        decoded[0] = Tensor::new(vec![1, 3, 8, 8], values).unwrap();
        let mut known = Sensitivity::new(&tensors);
        let parts = known.next(3).repeat(3);
        for (part, change) in parts.into_iter().zip([0.0, 0.01, 0.04].repeat(3)) {
            let disturbed = part.disturb(&tensors, &decoded).unwrap();
            known.learn(disturbed.response(change));
        }
        assert!(known.is_complete());
        let coarser = &known.coarser()[0];
        assert!(
            coarser[1] > coarser[0] && coarser[0] >= coarser[2],
            "{coarser:?}"
        );
    }
}
