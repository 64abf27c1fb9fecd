// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Losses, attached to any tensor of a model: a value and the gradient of the prediction, both written as
//! ordinary operators. The gradients are closed forms, which keeps them exact where differentiating the
//! value would divide by what may be zero.

use splitinfer_graph::build::int;
use splitinfer_tensor::{DType, Tensor};

use crate::emitter::Emitter;
use crate::value::Value;

/// How far a prediction x is from its target t. Definitions are those of PyTorch 2, where it has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// (x − t)².
    MeanSquared,
    /// ½ (x − t)² up to `delta`, then δ (|x − t| − ½ δ).
    Huber { delta: f64 },
    /// −t ln x − (1 − t) ln (1 − x) of probabilities; logarithms are no less than −100.
    BinaryCrossEntropy,
    /// The same of logits: x goes through a sigmoid first, at no loss of accuracy.
    BinaryCrossEntropyWithLogits,
    /// The same, times (σ(x) − t)²: what is nearly right hardly counts, so that the few places of a heatmap where something
    /// is are not outweighed by all the others. The quality focal loss of Li et al. (arXiv:2006.04388) with β = 2.
    FocalWithLogits,
    /// A detector's answers, of which the four from `first` on along `axis` are a box's numbers, by Huber's loss with δ = 1, and the
    /// others probabilities, by the binary cross-entropy; of logits where these are what it says.
    Boxes {
        axis: usize,
        first: usize,
        logits: bool,
    },
    /// −t ln softmax(x) with soft labels t, over the classes along `axis`.
    CrossEntropy { axis: usize },
    /// t (ln t − ln softmax(x)), over the classes along `axis`.
    KullbackLeibler { axis: usize },
}

/// What the elements' losses are divided by, after each has been multiplied with its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The number of elements (of positions, for losses over classes).
    #[default]
    Mean,
    /// The sum of the weights, so that masked elements do not count; without weights as [`Reduction::Mean`].
    WeightedMean,
    /// Nothing.
    Sum,
}

/// The gradient of binary cross-entropy of probabilities is divided by no less, as in PyTorch.
const LEAST_VARIANCE: f64 = 1e-12;
const LEAST_LOGARITHM: f64 = -100.0;

/// Loss of each element and its derivative by the prediction.
struct Elements {
    loss: Value,
    slope: Value,
    /// How many elements are counted together.
    classes: usize,
}

/// What the elements of a loss count.
pub(crate) struct Count<'a> {
    pub reduction: Reduction,
    pub factor: f64,
    /// The batch is so many times what the graph is given.
    pub shares: usize,
    /// The sum of the whole batch's weights, where it is not of those that the graph is given.
    pub total: Option<&'a Value>,
}

/// Emits the loss, a scalar, and the gradient of the prediction; both as they count in the whole batch. `target` and
/// `weights` have the prediction's shape.
pub(crate) fn emit(
    e: &mut Emitter,
    kind: Loss,
    x: &Value,
    target: &Value,
    weights: Option<&Value>,
    count: &Count<'_>,
) -> (Value, Value) {
    let factor = count.factor;
    let elements = match kind {
        Loss::MeanSquared => squared(e, x, target),
        Loss::Huber { delta } => huber(e, x, target, delta),
        Loss::BinaryCrossEntropy => binary(e, x, target),
        Loss::BinaryCrossEntropyWithLogits => binary_with_logits(e, x, target),
        Loss::FocalWithLogits => focal_with_logits(e, x, target),
        Loss::Boxes {
            axis,
            first,
            logits,
        } => {
            let chances = match logits {
                true => binary_with_logits(e, x, target),
                false => binary(e, x, target),
            };
            boxes(e, x, target, (axis, first), chances)
        }
        Loss::CrossEntropy { axis } => over_classes(e, x, target, weights, axis, false),
        Loss::KullbackLeibler { axis } => over_classes(e, x, target, weights, axis, true),
    };
    let weigh_slope = elements.classes == 1;
    let loss = weighed(e, &elements.loss, weights);
    // Over classes the weights are part of the slope already.
    let slope = weighed(e, &elements.slope, weights.filter(|_| weigh_slope));
    let sum = e.total(&loss);
    match (count.reduction, weights) {
        (Reduction::WeightedMean, Some(weights)) => {
            let all = count.total.cloned();
            let all = all.unwrap_or_else(|| e.total(weights));
            let all = e.scale(&all, 1.0 / elements.classes as f64);
            let least = e.scalar(f64::from(f32::MIN_POSITIVE), x.dtype);
            let all = e.binary("Max", &all, &least);
            let factor = e.scalar(factor, x.dtype);
            let share = e.div(&factor, &all);
            (e.mul(&sum, &share), e.mul(&slope, &share))
        }
        (Reduction::Sum, _) => (e.scale(&sum, factor), e.scale(&slope, factor)),
        _ => {
            let batch = count.shares * x.len().max(1);
            let share = factor * elements.classes as f64 / batch as f64;
            (e.scale(&sum, share), e.scale(&slope, share))
        }
    }
}

fn weighed(e: &mut Emitter, x: &Value, weights: Option<&Value>) -> Value {
    match weights {
        Some(weights) => e.mul(x, weights),
        None => x.clone(),
    }
}

fn squared(e: &mut Emitter, x: &Value, t: &Value) -> Elements {
    let difference = e.sub(x, t);
    Elements {
        loss: e.square(&difference),
        slope: e.scale(&difference, 2.0),
        classes: 1,
    }
}

/// With c = clip(x − t, −δ, δ): loss c (x − t − ½ c), slope c.
fn huber(e: &mut Emitter, x: &Value, t: &Value, delta: f64) -> Elements {
    let difference = e.sub(x, t);
    let (low, high) = (e.scalar(-delta, x.dtype), e.scalar(delta, x.dtype));
    let clipped = e.node(
        "Clip",
        &[&difference, &low, &high],
        &x.shape,
        x.dtype,
        vec![],
    );
    let half = e.scale(&clipped, 0.5);
    let arm = e.sub(&difference, &half);
    Elements {
        loss: e.mul(&clipped, &arm),
        slope: clipped,
        classes: 1,
    }
}

fn binary(e: &mut Emitter, x: &Value, t: &Value) -> Elements {
    let least = e.scalar(LEAST_LOGARITHM, x.dtype);
    let rest = e.one_minus(x);
    let logarithm = |e: &mut Emitter, v: &Value| {
        let log = e.unary("Log", v);
        e.binary("Max", &log, &least)
    };
    let (yes, no) = (logarithm(e, x), logarithm(e, &rest));
    let (yes, other) = (e.mul(t, &yes), e.one_minus(t));
    let no = e.mul(&other, &no);
    let likelihood = e.add(&yes, &no);
    let variance = e.mul(x, &rest);
    let floor = e.scalar(LEAST_VARIANCE, x.dtype);
    let variance = e.binary("Max", &variance, &floor);
    let difference = e.sub(x, t);
    Elements {
        loss: e.neg(&likelihood),
        slope: e.div(&difference, &variance),
        classes: 1,
    }
}

/// softplus(x) − t x, with softplus as max(x, 0) + ln (1 + e^−|x|), which never overflows.
fn binary_with_logits(e: &mut Emitter, x: &Value, t: &Value) -> Elements {
    let positive = e.unary("Relu", x);
    let size = e.unary("Abs", x);
    let minus = e.neg(&size);
    let exp = e.unary("Exp", &minus);
    let more = e.offset(&exp, 1.0);
    let log = e.unary("Log", &more);
    let soft = e.add(&positive, &log);
    let product = e.mul(t, x);
    let probability = e.unary("Sigmoid", x);
    Elements {
        loss: e.sub(&soft, &product),
        slope: e.sub(&probability, t),
        classes: 1,
    }
}

/// With p = σ(x), d = p − t and b the cross-entropy: loss d² b, slope d (d² + 2 b p (1 − p)).
fn focal_with_logits(e: &mut Emitter, x: &Value, t: &Value) -> Elements {
    let Elements {
        loss: entropy,
        slope: difference,
        ..
    } = binary_with_logits(e, x, t);
    let square = e.square(&difference);
    let probability = e.unary("Sigmoid", x);
    let rest = e.one_minus(&probability);
    let variance = e.mul(&probability, &rest);
    let steep = e.mul(&entropy, &variance);
    let steep = e.scale(&steep, 2.0);
    let sum = e.add(&square, &steep);
    Elements {
        loss: e.mul(&square, &entropy),
        slope: e.mul(&difference, &sum),
        classes: 1,
    }
}

/// Numbers that a box has.
pub(crate) const BOX: usize = 4;

/// Of the `BOX` places from `first` on along an axis those of Huber's loss, of all others those of `chances`: chosen and not
/// multiplied by nothing, as a logarithm of what is no probability is no number.
fn boxes(
    e: &mut Emitter,
    x: &Value,
    t: &Value,
    (axis, first): (usize, usize),
    chances: Elements,
) -> Elements {
    let mut shape = vec![1; x.shape.len()];
    shape[axis] = x.shape[axis];
    let is_box = (0..x.shape[axis]).map(|i| u8::from((first..first + BOX).contains(&i)));
    let places = Tensor::from_le_bytes(DType::Bool, shape, &is_box.collect::<Vec<u8>>());
    let places = places.unwrap_or_else(|e| panic!("a constant of the gradient: {e}"));
    let places = e.constant(&places);
    let numbers = huber(e, x, t, 1.0);
    let mut choose =
        |a: &Value, b: &Value| e.node("Where", &[&places, a, b], &x.shape, x.dtype, vec![]);
    Elements {
        loss: choose(&numbers.loss, &chances.loss),
        slope: choose(&numbers.slope, &chances.slope),
        classes: 1,
    }
}

/// Cross-entropy, and with `divergence` less the entropy of the target. Slope: softmax(x) Σ wt − wt.
fn over_classes(
    e: &mut Emitter,
    x: &Value,
    t: &Value,
    weights: Option<&Value>,
    axis: usize,
    divergence: bool,
) -> Elements {
    let along = || vec![int("axis", axis as i64)];
    let log = e.unary_with("LogSoftmax", x, along());
    let target = weighed(e, t, weights);
    let mass = e.reduce_sum(&target, &[axis], true);
    let probability = e.unary_with("Softmax", x, along());
    let expected = e.mul(&probability, &mass);
    let mut information = e.neg(&log);
    if divergence {
        // 0 ln 0 counts 0.
        let least = e.scalar(f64::from(f32::MIN_POSITIVE), t.dtype);
        let safe = e.binary("Max", t, &least);
        let own = e.unary("Log", &safe);
        information = e.sub(&own, &log);
    }
    Elements {
        loss: e.mul(t, &information),
        slope: e.sub(&expected, &target),
        classes: x.shape[axis].max(1),
    }
}
