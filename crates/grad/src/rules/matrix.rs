// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Matrix products.

use splitinfer_graph::build::{float, int};

use super::call::{Call, Gradients};
use crate::emitter::Emitter;
use crate::value::Value;

/// MatMul as NumPy's: vectors count as a row on the left and a column on the right.
pub(super) fn matmul(call: &Call, e: &mut Emitter) -> Gradients {
    let (a, b, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    let a2 = if row {
        e.reshape(a, &[1, a.shape[0]])
    } else {
        a.clone()
    };
    let b2 = if column {
        e.reshape(b, &[b.shape[0], 1])
    } else {
        b.clone()
    };
    let mut shape = dy.shape.to_vec();
    if column {
        shape.push(1);
    }
    if row {
        shape.insert(shape.len() - 1, 1);
    }
    let dy2 = e.reshape(dy, &shape);
    call.each(|i| {
        let (part, input) = match i {
            0 => {
                let bt = e.transposed(&b2);
                (e.matmul(&dy2, &bt), a)
            }
            _ => (right_factor(e, &a2, &b2, &dy2), b),
        };
        let shape = if i == 0 {
            a2.shape.clone()
        } else {
            b2.shape.clone()
        };
        let part = e.unbroadcast(&part, &shape);
        Ok(Some(e.reshape(&part, &input.shape)))
    })
}

/// Aᵀ dY. A matrix that many rows were multiplied with gets one large product, not a sum of small ones.
fn right_factor(e: &mut Emitter, a: &Value, b: &Value, dy: &Value) -> Value {
    if b.rank() > 2 || a.rank() == 2 {
        let at = e.transposed(a);
        return e.matmul(&at, dy);
    }
    let rows: usize = a.shape[..a.rank() - 1].iter().product();
    let flat = e.reshape(a, &[rows, a.shape[a.rank() - 1]]);
    let dy = e.reshape(dy, &[rows, dy.shape[dy.rank() - 1]]);
    let at = e.transposed(&flat);
    e.matmul(&at, &dy)
}

/// Gemm: Y = α A′ B′ + β C, where a prime is an optional transposition.
pub(super) fn gemm(call: &Call, e: &mut Emitter) -> Gradients {
    let (a, b, dy) = (call.input(0)?, call.input(1)?, call.grad()?);
    let (ta, tb) = (call.int("transA", 0) != 0, call.int("transB", 0) != 0);
    let alpha = call.float("alpha", 1.0);
    let mut product = |x: &Value, tx: bool, y: &Value, ty: bool, shape: &[usize]| {
        let attributes = vec![
            float("alpha", alpha as f32),
            int("transA", i64::from(tx)),
            int("transB", i64::from(ty)),
        ];
        e.node("Gemm", &[x, y], shape, x.dtype, attributes)
    };
    let da = call.wants(0).then(|| match ta {
        false => product(dy, false, b, !tb, &a.shape),
        true => product(b, tb, dy, true, &a.shape),
    });
    let db = call.wants(1).then(|| match tb {
        false => product(a, !ta, dy, false, &b.shape),
        true => product(dy, true, a, ta, &b.shape),
    });
    let mut all = vec![da, db];
    if call.wants(2) {
        let scaled = e.scale(dy, call.float("beta", 1.0));
        all.push(Some(e.unbroadcast(&scaled, &call.input(2)?.shape)));
    }
    Ok(all)
}

/// Einsum of one or two operands whose labels each occur once in an operand, without ellipses.
pub(super) fn einsum(call: &Call, e: &mut Emitter) -> Gradients {
    let equation: String = call.string("equation", "").replace(' ', "");
    let unsupported = || format!("its equation '{equation}' is not supported");
    let (left, output) = equation.split_once("->").ok_or_else(unsupported)?;
    let operands: Vec<&str> = left.split(',').collect();
    let once = |s: &&str| s.chars().enumerate().all(|(i, c)| s.find(c) == Some(i));
    if operands.len() > 2 || left.contains('.') || !operands.iter().all(once) || !once(&output) {
        return Err(unsupported());
    }
    let dy = call.grad()?;
    call.each(|i| einsum_operand(call, e, &operands, output, dy, i).map(Some))
}

/// dA = Einsum(dY, B): labels of A that neither has were summed over, so the gradient is repeated along them.
fn einsum_operand(
    call: &Call,
    e: &mut Emitter,
    operands: &[&str],
    output: &str,
    dy: &Value,
    i: usize,
) -> Result<Value, String> {
    let x = call.input(i)?;
    let other = (operands.len() == 2).then(|| 1 - i);
    let elsewhere = |c: char| output.contains(c) || other.is_some_and(|o| operands[o].contains(c));
    let labels: String = operands[i].chars().filter(|c| elsewhere(*c)).collect();
    let sizes = operands[i].chars().zip(x.shape.iter());
    let (mut shape, mut kept) = (Vec::new(), Vec::new());
    for (label, size) in sizes {
        kept.push(if elsewhere(label) { *size } else { 1 });
        if elsewhere(label) {
            shape.push(*size);
        }
    }
    let (inputs, equation) = match other {
        Some(o) => (
            vec![dy, call.input(o)?],
            format!("{output},{}->{labels}", operands[o]),
        ),
        None => (vec![dy], format!("{output}->{labels}")),
    };
    let equation = splitinfer_graph::build::string("equation", &equation);
    let part = e.node("Einsum", &inputs, &shape, x.dtype, vec![equation]);
    let part = e.reshape(&part, &kept);
    Ok(e.expand(&part, &x.shape))
}
