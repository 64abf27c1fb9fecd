// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The loss that a perfect student has: soft labels of p = ½ cost one bit even when they are met exactly. Without
//! it, a share of the loss says little about what was learnt.

use splitinfer_grad::{Loss, LossTerm, Reduction};
use splitinfer_tensor::Tensor;

use crate::sample::Sample;

/// The least loss that these terms can have on a sample, of whatever prediction.
pub(crate) fn floor(terms: &[LossTerm], sample: &Sample) -> f32 {
    let parts = terms.iter().zip(&sample.targets).zip(&sample.weights);
    let sum: f64 = parts
        .map(|((term, target), weights)| of_term(term, target, weights.as_ref()))
        .sum();
    sum as f32
}

fn of_term(term: &LossTerm, target: &Tensor, weights: Option<&Tensor>) -> f64 {
    let (entropy, classes): (fn(f64) -> f64, usize) = match term.loss {
        Loss::BinaryCrossEntropy | Loss::BinaryCrossEntropyWithLogits | Loss::Boxes { .. } => {
            (|t| information(t) + information(1.0 - t), 1)
        }
        Loss::CrossEntropy { axis } => {
            (information, target.shape().get(axis).copied().unwrap_or(1))
        }
        // These are 0 where the prediction is the target.
        Loss::MeanSquared
        | Loss::Huber { .. }
        | Loss::FocalWithLogits
        | Loss::KullbackLeibler { .. } => return 0.0,
    };
    let values = target.to_f32_vec();
    let weights = match weights {
        Some(weights) => weights.to_f32_vec(),
        None => vec![1.0; values.len()],
    };
    let pairs = values.iter().zip(&weights).enumerate();
    let sum: f64 = pairs
        .filter(|(i, _)| !is_box(term, target.shape(), *i))
        .map(|(_, (t, w))| f64::from(*w) * entropy(f64::from(*t)))
        .sum();
    let all = match term.reduction {
        Reduction::Sum => 1.0,
        Reduction::Mean => values.len() as f64 / classes.max(1) as f64,
        Reduction::WeightedMean => {
            weights.iter().map(|w| f64::from(*w)).sum::<f64>() / classes.max(1) as f64
        }
    };
    if all > 0.0 {
        term.factor * sum / all
    } else {
        0.0
    }
}

/// Of what a detector answers, whether it is a box's number at some place in its tensor: nothing is left of it then.
fn is_box(term: &LossTerm, shape: &[usize], place: usize) -> bool {
    let Loss::Boxes { axis, first, .. } = term.loss else {
        return false;
    };
    let inner: usize = shape[axis + 1..].iter().product();
    (first..first + 4).contains(&(place / inner.max(1) % shape[axis]))
}

/// −t ln t, 0 at 0.
fn information(t: f64) -> f64 {
    if t > 0.0 { -t * t.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(loss: Loss, reduction: Reduction, factor: f64) -> LossTerm {
        LossTerm {
            reduction,
            factor,
            ..LossTerm::new("y", loss)
        }
    }

    fn sample(targets: &[f32], weights: Option<&[f32]>) -> Sample {
        let tensor = |v: &[f32]| Tensor::new(vec![1, v.len()], v.to_vec()).unwrap();
        Sample {
            inputs: vec![],
            targets: vec![tensor(targets)],
            weights: vec![weights.map(tensor)],
        }
    }

    #[test]
    fn sure_labels_cost_nothing_and_even_ones_a_bit() {
        let bce = term(Loss::BinaryCrossEntropyWithLogits, Reduction::Mean, 100.0);
        assert_eq!(
            floor(std::slice::from_ref(&bce), &sample(&[0.0, 1.0], None)),
            0.0
        );
        let half = floor(&[bce], &sample(&[0.5, 0.0], None));
        assert!(
            (half - 50.0 * std::f32::consts::LN_2).abs() < 1e-4,
            "{half}"
        );
        let classes = term(Loss::CrossEntropy { axis: 1 }, Reduction::Mean, 1.0);
        let even = floor(&[classes], &sample(&[0.25; 4], None));
        assert!((even - 4f32.ln()).abs() < 1e-6, "{even}");
    }

    #[test]
    fn a_box_can_be_met_exactly_and_soft_chances_cannot() {
        let loss = Loss::Boxes {
            axis: 1,
            first: 0,
            logits: false,
        };
        let boxes = term(loss, Reduction::WeightedMean, 1.0);
        let least = floor(&[boxes], &sample(&[0.5, 3.0, -1.0, 0.2, 0.5], None));
        assert!(
            (least - std::f32::consts::LN_2 / 5.0).abs() < 1e-6,
            "{least}"
        );
    }

    #[test]
    fn weights_count_as_they_do_in_the_loss() {
        let bce = term(Loss::BinaryCrossEntropy, Reduction::WeightedMean, 1.0);
        let weighed = floor(&[bce], &sample(&[0.5, 1.0], Some(&[3.0, 1.0])));
        assert!(
            (weighed - 0.75 * std::f32::consts::LN_2).abs() < 1e-6,
            "{weighed}"
        );
        let squares = term(Loss::MeanSquared, Reduction::Sum, 1.0);
        assert_eq!(floor(&[squares], &sample(&[0.5], None)), 0.0);
    }
}
