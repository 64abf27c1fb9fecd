// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Optimizers: a step of each parameter, and what is remembered between steps. As in PyTorch 2.

use crate::emitter::Emitter;
use crate::value::Value;

/// How gradients become steps. The learning rate is an input of the graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Stochastic gradient descent; `weight_decay` is added to the gradient.
    Sgd {
        momentum: f64,
        nesterov: bool,
        weight_decay: f64,
    },
    /// Kingma and Ba 2015; `weight_decay` is added to the gradient.
    Adam {
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
    },
    /// Loshchilov and Hutter 2019: the decay acts on the weights and not on the gradient.
    AdamW {
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
    },
}

impl Optimizer {
    /// Plain gradient descent with momentum.
    pub fn sgd(momentum: f64) -> Self {
        Self::Sgd {
            momentum,
            nesterov: false,
            weight_decay: 0.0,
        }
    }

    /// Adam with the usual constants.
    pub fn adam() -> Self {
        Self::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }

    /// AdamW with the usual constants.
    pub fn adamw(weight_decay: f64) -> Self {
        Self::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay,
        }
    }

    /// What is remembered of each element of the parameters.
    pub(crate) fn memories(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum"],
            _ => &["mean", "variance"],
        }
    }

    /// What is remembered once, as scalars: 1 − βᵗ. Kept as a sum, c ← βc + (1 − β), because taking a power
    /// from one loses most digits in single precision.
    pub(crate) fn corrections(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &[],
            _ => &["correction1", "correction2"],
        }
    }

    /// # Errors
    /// When a constant is out of its range.
    pub(crate) fn check(&self) -> Result<(), String> {
        let fraction = |name: &str, v: f64| match (0.0..1.0).contains(&v) {
            true => Ok(()),
            false => Err(format!("{name} must be at least 0 and below 1, not {v}")),
        };
        let positive = |name: &str, v: f64| match v >= 0.0 && v.is_finite() {
            true => Ok(()),
            false => Err(format!("{name} must not be negative, but is {v}")),
        };
        match *self {
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                if nesterov && momentum == 0.0 {
                    return Err("Nesterov's step needs a momentum above 0".into());
                }
                fraction("the momentum", momentum)?;
                positive("the weight decay", weight_decay)
            }
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            }
            | Self::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            } => {
                fraction("beta1", beta1)?;
                fraction("beta2", beta2)?;
                positive("epsilon", epsilon)?;
                positive("the weight decay", weight_decay)
            }
        }
    }

    /// The corrections after this step.
    pub(crate) fn corrected(&self, e: &mut Emitter, before: &[Value]) -> Vec<Value> {
        let (Self::Adam { beta1, beta2, .. } | Self::AdamW { beta1, beta2, .. }) = *self else {
            return vec![];
        };
        let betas = [beta1, beta2];
        let pairs = before.iter().zip(betas);
        pairs
            .map(|(c, beta)| {
                let old = e.scale(c, beta);
                e.offset(&old, 1.0 - beta)
            })
            .collect()
    }

    /// What is added to the gradient, as a multiple of the parameter.
    pub(crate) fn decay_of_gradient(&self) -> f64 {
        match *self {
            Self::Sgd { weight_decay, .. } | Self::Adam { weight_decay, .. } => weight_decay,
            Self::AdamW { .. } => 0.0,
        }
    }

    /// What is added to the direction, as a multiple of the parameter.
    pub(crate) fn decay_of_weights(&self) -> f64 {
        match *self {
            Self::AdamW { weight_decay, .. } => weight_decay,
            _ => 0.0,
        }
    }

    /// Where parameters move against, at the learning rate, and what is remembered. `corrections` are those
    /// of this step.
    pub(crate) fn direction(
        &self,
        e: &mut Emitter,
        gradient: &Value,
        memories: &[Value],
        corrections: &[Value],
    ) -> (Value, Vec<Value>) {
        match *self {
            Self::Sgd {
                momentum, nesterov, ..
            } => {
                let Some(old) = memories.first() else {
                    return (gradient.clone(), vec![]);
                };
                let kept = e.scale(old, momentum);
                let velocity = e.add(&kept, gradient);
                if !nesterov {
                    return (velocity.clone(), vec![velocity]);
                }
                let ahead = e.scale(&velocity, momentum);
                (e.add(gradient, &ahead), vec![velocity])
            }
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                ..
            }
            | Self::AdamW {
                beta1,
                beta2,
                epsilon,
                ..
            } => adaptive(e, gradient, memories, corrections, (beta1, beta2), epsilon),
        }
    }
}

/// m̂ / (√v̂ + ε), and m and v.
fn adaptive(
    e: &mut Emitter,
    gradient: &Value,
    memories: &[Value],
    corrections: &[Value],
    (beta1, beta2): (f64, f64),
    epsilon: f64,
) -> (Value, Vec<Value>) {
    let blend = |e: &mut Emitter, old: &Value, new: &Value, beta: f64| {
        let (old, new) = (e.scale(old, beta), e.scale(new, 1.0 - beta));
        e.add(&old, &new)
    };
    let mean = blend(e, &memories[0], gradient, beta1);
    let square = e.square(gradient);
    let variance = blend(e, &memories[1], &square, beta2);
    let unbiased = e.div(&mean, &corrections[0]);
    let spread = e.div(&variance, &corrections[1]);
    let deviation = e.unary("Sqrt", &spread);
    let safe = e.offset(&deviation, epsilon);
    (e.div(&unbiased, &safe), vec![mean, variance])
}

/// The Euclidean norm of a gradient, and the factor that brings it down to `limit`, as PyTorch's
/// `clip_grad_norm_`.
pub(crate) fn clip(
    e: &mut Emitter,
    gradient: &Value,
    limit: Option<f64>,
) -> (Value, Option<Value>) {
    let sum = e.square_sum(gradient);
    let norm = e.unary("Sqrt", &sum);
    let factor = limit.map(|limit| {
        let safe = e.offset(&norm, 1e-6);
        let limit = e.scalar(limit, norm.dtype);
        let ratio = e.div(&limit, &safe);
        let one = e.scalar(1.0, norm.dtype);
        e.binary("Min", &ratio, &one)
    });
    (norm, factor)
}
