// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How much each element of a loss counts, by another output: where a heatmap shows nothing, the size that
//! stands beside it means nothing.

use splitinfer_grad::{Loss, LossTerm};
use splitinfer_tensor::Tensor;

use crate::error::TrainError;

/// Where a heatmap shows less, there is nothing.
const LEAST: f32 = 0.1;

/// What a heatmap's loss counts beside a loss that is a mean over the few places where there is something: it is a
/// mean over all places, of which about one in a hundred shows something.
const HEATMAP_FACTOR: f64 = 100.0;

/// The same for the focal loss, which is smaller: about 4 times where prediction and target are half a unit apart.
const FOCAL_FACTOR: f64 = 400.0;

/// Which channels of the weighing tensor, `[1, C, …]`, count for a channel of the weighed one, `[1, K, …]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weighing {
    /// The largest of all: any of the objects that may be there.
    #[default]
    Largest,
    /// Each for the K / C channels that belong to it, in order: of every joint its own.
    Each,
}

impl Weighing {
    /// How a heatmap is learnt beside what it weighs so. Where it shows objects, by the focal loss: students miss fewer of them
    /// (docs/measurements/adaptation.md). Of joints, each of which has one place, the highest, it makes none that was measured.
    pub fn on_heatmap(self, term: LossTerm) -> LossTerm {
        let focal = self == Self::Largest && term.loss == Loss::BinaryCrossEntropyWithLogits;
        let (loss, factor) = match focal {
            true => (Loss::FocalWithLogits, FOCAL_FACTOR),
            false => (term.loss, HEATMAP_FACTOR),
        };
        LossTerm {
            loss,
            factor,
            ..term
        }
    }

    /// Weights for a tensor of `shape`, `[1, K, …]`, from values 0–1 of another, `[1, C, …]` with the same
    /// places. Values below 0.1 count nothing.
    ///
    /// # Errors
    /// When the places differ, or for [`Weighing::Each`] K is no multiple of C.
    pub fn weights(self, by: &Tensor, shape: &[usize]) -> Result<Tensor, TrainError> {
        self.check(by.shape(), shape)?;
        let values = by.to_f32_vec();
        let (channels, weighed) = (by.shape()[1], shape[1]);
        let places: usize = shape[2..].iter().product();
        let batch = shape[0];
        let mut weights = Vec::with_capacity(batch * weighed * places);
        for picture in values.chunks(channels * places) {
            for k in 0..weighed {
                let range = match self {
                    Self::Largest => 0..channels,
                    Self::Each => k * channels / weighed..k * channels / weighed + 1,
                };
                weights.extend((0..places).map(|place| {
                    let value = range
                        .clone()
                        .map(|c| picture[c * places + place])
                        .fold(0f32, f32::max);
                    if value < LEAST { 0.0 } else { value }
                }));
            }
        }
        // As many as the shape says, by the loops above.
        Ok(Tensor::new(shape.to_vec(), weights).unwrap_or_else(|e| unreachable!("{e}")))
    }

    /// Whether a tensor of shape `by` can weigh one of `shape`.
    ///
    /// # Errors
    /// When it cannot; the message names both shapes.
    pub fn check(self, by: &[usize], shape: &[usize]) -> Result<(), TrainError> {
        let places =
            by.len() >= 2 && by.len() == shape.len() && by[0] == shape[0] && by[2..] == shape[2..];
        let channels = places
            && by[1] > 0
            && match self {
                Self::Largest => true,
                Self::Each => shape[1].is_multiple_of(by[1]),
            };
        match channels {
            true => Ok(()),
            false => Err(TrainError::Weighing {
                by: by.to_vec(),
                shape: shape.to_vec(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heatmap() -> Tensor {
        Tensor::new(vec![1, 2, 1, 3], vec![0.9, 0.05, 0.2, 0.3, 0.0, 0.8]).unwrap()
    }

    #[test]
    fn the_largest_channel_weighs_all() {
        let weights = Weighing::Largest
            .weights(&heatmap(), &[1, 2, 1, 3])
            .unwrap();
        assert_eq!(weights.to_f32_vec(), [0.9, 0.0, 0.8, 0.9, 0.0, 0.8]);
    }

    #[test]
    fn each_channel_weighs_its_own() {
        let weights = Weighing::Each.weights(&heatmap(), &[1, 4, 1, 3]).unwrap();
        let (first, second) = ([0.9, 0.0, 0.2], [0.3, 0.0, 0.8]);
        assert_eq!(
            weights.to_f32_vec(),
            [first, first, second, second].concat()
        );
    }

    #[test]
    fn shapes_that_do_not_go_together_are_named() {
        let error = Weighing::Each
            .weights(&heatmap(), &[1, 3, 1, 3])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[1, 2, 1, 3]") && error.contains("[1, 3, 1, 3]"),
            "{error}"
        );
        assert!(
            Weighing::Largest
                .weights(&heatmap(), &[1, 4, 3, 1])
                .is_err()
        );
        assert!(Weighing::Largest.weights(&heatmap(), &[6]).is_err());
    }
}
