// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Elementwise functions of one input: dx = dy · f′(x), written with y where that is cheaper.

use super::call::{Call, Gradients};
use crate::emitter::Emitter;
use crate::value::Value;

/// The derivative as a value, from the operator's input and output.
type Slope = fn(&Call, &mut Emitter, x: &Value, y: &Value) -> Value;

fn times_slope(call: &Call, e: &mut Emitter, slope: Slope) -> Gradients {
    let (x, y, dy) = (call.input(0)?, call.output()?, call.grad()?);
    let slope = slope(call, e, x, y);
    let dx = e.mul(dy, &slope);
    call.first(dx)
}

pub(super) fn relu(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, _, y| e.step(y))
}

pub(super) fn leaky_relu(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |call, e, x, _| {
        let alpha = call.float("alpha", 0.01);
        let positive = e.above(x, 0.0);
        let part = e.scale(&positive, 1.0 - alpha);
        e.offset(&part, alpha)
    })
}

pub(super) fn prelu(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, slope, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let positive = e.above(x, 0.0);
    let negative = e.one_minus(&positive);
    call.each(|i| {
        Ok(Some(if i == 0 {
            let sloped = e.mul(&negative, slope);
            let slope = e.add(&positive, &sloped);
            e.mul(dy, &slope)
        } else {
            let part = e.mul(&negative, x);
            let product = e.mul(dy, &part);
            e.unbroadcast(&product, &slope.shape)
        }))
    })
}

/// The gradient passes strictly between the bounds, as in PyTorch's `clamp`: where the output is off both.
pub(super) fn clip(call: &Call, e: &mut Emitter) -> Gradients {
    let (y, dy) = (call.output()?, call.grad()?);
    let above = match call.has_input(1) {
        true => Some(e.sub(y, call.input(1)?)),
        false => None,
    };
    let below = match call.has_input(2) {
        true => Some(e.sub(call.input(2)?, y)),
        false => None,
    };
    let room = match (above, below) {
        (Some(above), Some(below)) => e.mul(&above, &below),
        (Some(room), None) | (None, Some(room)) => room,
        (None, None) => return call.first(dy.clone()),
    };
    let inside = e.step(&room);
    let dx = e.mul(dy, &inside);
    call.first(dx)
}

pub(super) fn elu(call: &Call, e: &mut Emitter) -> Gradients {
    // For x ≤ 0: y = α (eˣ − 1), so y + α = α eˣ.
    times_slope(call, e, |call, e, x, y| {
        let below = e.offset(y, call.float("alpha", 1.0));
        where_positive(e, x, 1.0, &below)
    })
}

pub(super) fn selu(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |call, e, x, y| {
        let alpha = call.float("alpha", 1.673_263_192_176_818_8);
        let gamma = call.float("gamma", 1.050_701_022_148_132_3);
        let below = e.offset(y, alpha * gamma);
        where_positive(e, x, gamma, &below)
    })
}

pub(super) fn celu(call: &Call, e: &mut Emitter) -> Gradients {
    // For x ≤ 0: y = α (e^(x/α) − 1), whose slope is y / α + 1.
    times_slope(call, e, |call, e, x, y| {
        let scaled = e.scale(y, 1.0 / call.float("alpha", 1.0));
        let below = e.offset(&scaled, 1.0);
        where_positive(e, x, 1.0, &below)
    })
}

fn where_positive(e: &mut Emitter, x: &Value, yes: f64, no: &Value) -> Value {
    let yes = e.scalar(yes, x.dtype);
    let positive = e.above(x, 0.0);
    e.blend(&positive, &yes, no)
}

pub(super) fn sigmoid(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, _, y| sigmoid_slope(e, y))
}

/// y (1 − y).
fn sigmoid_slope(e: &mut Emitter, y: &Value) -> Value {
    let rest = e.one_minus(y);
    e.mul(y, &rest)
}

/// 1 where αx + β lies between 0 and 1.
fn hard_mask(e: &mut Emitter, x: &Value, alpha: f64, beta: f64) -> Value {
    let (low, high) = (-beta / alpha, (1.0 - beta) / alpha);
    let (low, high) = (e.scalar(low, x.dtype), e.scalar(high, x.dtype));
    let (above, below) = (e.compare("Greater", x, &low), e.compare("Less", x, &high));
    let shape = x.shape.to_vec();
    let inside = e.node("And", &[&above, &below], &shape, above.dtype, vec![]);
    e.cast(&inside, x.dtype)
}

pub(super) fn hard_sigmoid(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |call, e, x, _| {
        let (alpha, beta) = (call.float("alpha", 0.2), call.float("beta", 0.5));
        let mask = hard_mask(e, x, alpha, beta);
        e.scale(&mask, alpha)
    })
}

/// y = x · h(x) with h = clip(x / 6 + ½): slope h + x / 6 inside.
pub(super) fn hard_swish(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| {
        let gate = e.unary_with("HardSigmoid", x, hard_swish_gate());
        let mask = hard_mask(e, x, 1.0 / 6.0, 0.5);
        let sixth = e.scale(x, 1.0 / 6.0);
        let inside = e.mul(&sixth, &mask);
        e.add(&gate, &inside)
    })
}

fn hard_swish_gate() -> Vec<splitinfer_graph::proto::AttributeProto> {
    use splitinfer_graph::build::float;
    vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]
}

/// y = x · σ(αx): slope σ + αx σ (1 − σ).
pub(super) fn swish(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |call, e, x, _| {
        let alpha = call.float("alpha", 1.0);
        let scaled = e.scale(x, alpha);
        let gate = e.unary("Sigmoid", &scaled);
        let slope = sigmoid_slope(e, &gate);
        let inside = e.mul(&scaled, &slope);
        e.add(&gate, &inside)
    })
}

/// y = x · tanh(softplus(x)): slope t + x (1 − t²) σ(x).
pub(super) fn mish(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| {
        let soft = e.unary("Softplus", x);
        let t = e.unary("Tanh", &soft);
        let gate = e.unary("Sigmoid", x);
        let tt = e.square(&t);
        let slope = e.one_minus(&tt);
        let slope = e.mul(&slope, &gate);
        let inside = e.mul(x, &slope);
        e.add(&t, &inside)
    })
}

const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
const TWO_OVER_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

pub(super) fn gelu(call: &Call, e: &mut Emitter) -> Gradients {
    match call.string("approximate", "none").as_str() {
        "tanh" => times_slope(call, e, gelu_tanh_slope),
        _ => times_slope(call, e, gelu_slope),
    }
}

/// Φ(x) + x φ(x).
fn gelu_slope(_: &Call, e: &mut Emitter, x: &Value, _: &Value) -> Value {
    let scaled = e.scale(x, std::f64::consts::FRAC_1_SQRT_2);
    let erf = e.unary("Erf", &scaled);
    let half = e.scale(&erf, 0.5);
    let cdf = e.offset(&half, 0.5);
    let square = e.square(x);
    let exponent = e.scale(&square, -0.5);
    let exp = e.unary("Exp", &exponent);
    let density = e.scale(&exp, 0.5 * SQRT_2_OVER_PI);
    let inside = e.mul(x, &density);
    e.add(&cdf, &inside)
}

/// ½ (1 + t) + ½ x (1 − t²) √(2/π) (1 + 3·0.044715 x²), t = tanh(√(2/π) (x + 0.044715 x³)).
fn gelu_tanh_slope(_: &Call, e: &mut Emitter, x: &Value, _: &Value) -> Value {
    const CUBIC: f64 = 0.044_715;
    let square = e.square(x);
    let curve = e.scale(&square, CUBIC);
    let factor = e.offset(&curve, 1.0);
    let inner = e.mul(x, &factor);
    let inner = e.scale(&inner, SQRT_2_OVER_PI);
    let t = e.unary("Tanh", &inner);
    let steep = e.scale(&square, 3.0 * CUBIC);
    let steep = e.offset(&steep, 1.0);
    let steep = e.scale(&steep, 0.5 * SQRT_2_OVER_PI);
    let tt = e.square(&t);
    let rest = e.one_minus(&tt);
    let inside = e.mul(&rest, &steep);
    let inside = e.mul(x, &inside);
    let half = e.scale(&t, 0.5);
    let half = e.offset(&half, 0.5);
    e.add(&half, &inside)
}

pub(super) fn erf(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| {
        let square = e.square(x);
        let exponent = e.neg(&square);
        let exp = e.unary("Exp", &exponent);
        e.scale(&exp, TWO_OVER_SQRT_PI)
    })
}

pub(super) fn tanh(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, _, y| {
        let square = e.square(y);
        e.one_minus(&square)
    })
}

pub(super) fn softplus(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| e.unary("Sigmoid", x))
}

/// y = x / (1 + |x|): slope 1 / (1 + |x|)².
pub(super) fn softsign(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| {
        let size = e.unary("Abs", x);
        let below = e.offset(&size, 1.0);
        let square = e.square(&below);
        e.unary("Reciprocal", &square)
    })
}

pub(super) fn exp(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, _, _, y| y.clone())
}

pub(super) fn log(call: &Call, e: &mut Emitter) -> Gradients {
    let dx = e.div(call.grad()?, call.input(0)?);
    call.first(dx)
}

pub(super) fn sqrt(call: &Call, e: &mut Emitter) -> Gradients {
    let half = e.scale(call.grad()?, 0.5);
    let dx = e.div(&half, call.output()?);
    call.first(dx)
}

pub(super) fn reciprocal(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, _, y| {
        let square = e.square(y);
        e.neg(&square)
    })
}

pub(super) fn neg(call: &Call, e: &mut Emitter) -> Gradients {
    let dx = e.neg(call.grad()?);
    call.first(dx)
}

pub(super) fn abs(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| e.unary("Sign", x))
}

pub(super) fn sin(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| e.unary("Cos", x))
}

pub(super) fn cos(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| {
        let sin = e.unary("Sin", x);
        e.neg(&sin)
    })
}

pub(super) fn tan(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, _, y| {
        let square = e.square(y);
        e.offset(&square, 1.0)
    })
}

pub(super) fn atan(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |_, e, x, _| {
        let square = e.square(x);
        let below = e.offset(&square, 1.0);
        e.unary("Reciprocal", &below)
    })
}

pub(super) fn thresholded_relu(call: &Call, e: &mut Emitter) -> Gradients {
    times_slope(call, e, |call, e, x, _| {
        e.above(x, call.float("alpha", 1.0))
    })
}
