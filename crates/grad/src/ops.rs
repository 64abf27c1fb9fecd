// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The operators that rules are written in, with the shapes they give.

use splitinfer_graph::build::{float, int, ints};
use splitinfer_graph::proto::AttributeProto;
use splitinfer_tensor::DType;

use crate::emitter::Emitter;
use crate::value::{Value, broadcast};

/// From this operator set on, ReduceMax and ReduceMean take their axes as an input.
const REDUCTION_AXES_AS_INPUT: i64 = 18;

impl Emitter {
    /// An elementwise operator of one input that keeps shape and type.
    pub fn unary(&mut self, op: &str, x: &Value) -> Value {
        self.unary_with(op, x, vec![])
    }

    pub fn unary_with(&mut self, op: &str, x: &Value, attributes: Vec<AttributeProto>) -> Value {
        self.node(op, &[x], &x.shape, x.dtype, attributes)
    }

    /// An elementwise operator of two inputs, broadcast.
    pub fn binary(&mut self, op: &str, a: &Value, b: &Value) -> Value {
        let shape = broadcast(&a.shape, &b.shape);
        self.node(op, &[a, b], &shape, a.dtype, vec![])
    }

    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Add", a, b)
    }

    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Sub", a, b)
    }

    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Mul", a, b)
    }

    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.binary("Div", a, b)
    }

    pub fn neg(&mut self, x: &Value) -> Value {
        self.unary("Neg", x)
    }

    pub fn square(&mut self, x: &Value) -> Value {
        self.mul(x, x)
    }

    /// `x · factor`; `x` itself when the factor is 1.
    pub fn scale(&mut self, x: &Value, factor: f64) -> Value {
        if factor == 1.0 {
            return x.clone();
        }
        let factor = self.scalar(factor, x.dtype);
        self.mul(x, &factor)
    }

    /// `x + term`.
    pub fn offset(&mut self, x: &Value, term: f64) -> Value {
        let term = self.scalar(term, x.dtype);
        self.add(x, &term)
    }

    /// `1 − x`.
    pub fn one_minus(&mut self, x: &Value) -> Value {
        let one = self.scalar(1.0, x.dtype);
        self.sub(&one, x)
    }

    /// Sum of any number of values of one shape.
    pub fn sum(&mut self, values: &[Value]) -> Option<Value> {
        match values {
            [] => None,
            [one] => Some(one.clone()),
            [a, b] => Some(self.add(a, b)),
            [first, ..] => {
                let inputs: Vec<&Value> = values.iter().collect();
                Some(self.node("Sum", &inputs, &first.shape, first.dtype, vec![]))
            }
        }
    }

    /// A comparison: Equal, Greater, Less, GreaterOrEqual, LessOrEqual.
    pub fn compare(&mut self, op: &str, a: &Value, b: &Value) -> Value {
        let shape = broadcast(&a.shape, &b.shape);
        self.node(op, &[a, b], &shape, DType::Bool, vec![])
    }

    /// `x > bound`, as 0 and 1 of the type of `x`.
    pub fn above(&mut self, x: &Value, bound: f64) -> Value {
        let bound = self.scalar(bound, x.dtype);
        let mask = self.compare("Greater", x, &bound);
        self.cast(&mask, x.dtype)
    }

    /// 1 where `x`, which is not negative, is above 0, and 0 elsewhere. A steep HardSigmoid is one fast pass;
    /// a comparison takes two and Where many times as long in ONNX Runtime.
    pub fn step(&mut self, x: &Value) -> Value {
        if x.dtype == DType::F16 {
            return self.above(x, 0.0);
        }
        let steep = vec![float("alpha", f32::MAX), float("beta", 0.0)];
        self.unary_with("HardSigmoid", x, steep)
    }

    /// `yes` where `mask` is 1 and `no` where it is 0, all numbers being finite.
    pub fn blend(&mut self, mask: &Value, yes: &Value, no: &Value) -> Value {
        let rest = self.one_minus(mask);
        let (yes, no) = (self.mul(mask, yes), self.mul(&rest, no));
        self.add(&yes, &no)
    }

    /// `a == b`, as 0 and 1 of their type.
    pub fn same(&mut self, a: &Value, b: &Value) -> Value {
        let mask = self.compare("Equal", a, b);
        self.cast(&mask, a.dtype)
    }

    pub fn cast(&mut self, x: &Value, dtype: DType) -> Value {
        if x.dtype == dtype {
            return x.clone();
        }
        let to = int("to", i64::from(dtype.to_onnx()));
        self.node("Cast", &[x], &x.shape, dtype, vec![to])
    }

    /// The product over the last two axes; those before are broadcast. Both have at least two axes.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        let (ra, rb) = (a.rank() - 2, b.rank() - 2);
        let mut shape = broadcast(&a.shape[..ra], &b.shape[..rb]);
        shape.extend([a.shape[ra], b.shape[rb + 1]]);
        self.node("MatMul", &[a, b], &shape, a.dtype, vec![])
    }

    /// The last two axes exchanged.
    pub fn transposed(&mut self, x: &Value) -> Value {
        let mut perm: Vec<usize> = (0..x.rank()).collect();
        perm.swap(x.rank() - 2, x.rank() - 1);
        self.transpose(x, &perm)
    }

    pub fn transpose(&mut self, x: &Value, perm: &[usize]) -> Value {
        if perm.iter().enumerate().all(|(i, p)| i == *p) {
            return x.clone();
        }
        let shape: Vec<usize> = perm.iter().map(|p| x.shape[*p]).collect();
        let perm: Vec<i64> = perm.iter().map(|p| *p as i64).collect();
        self.node(
            "Transpose",
            &[x],
            &shape,
            x.dtype,
            vec![ints("perm", &perm)],
        )
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: &Value, shape: &[usize]) -> Value {
        if *x.shape == *shape {
            return x.clone();
        }
        let sizes: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
        let sizes = self.ints(&sizes);
        self.node("Reshape", &[x, &sizes], shape, x.dtype, vec![])
    }

    /// `x` repeated to `shape`, to which it can be broadcast.
    pub fn expand(&mut self, x: &Value, shape: &[usize]) -> Value {
        if *x.shape == *shape {
            return x.clone();
        }
        let sizes: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
        let sizes = self.ints(&sizes);
        self.node("Expand", &[x, &sizes], shape, x.dtype, vec![])
    }

    /// ReduceSum over `axes`.
    pub fn reduce_sum(&mut self, x: &Value, axes: &[usize], keep: bool) -> Value {
        self.reduce("ReduceSum", x, axes, keep)
    }

    /// ReduceMean over `axes`.
    pub fn reduce_mean(&mut self, x: &Value, axes: &[usize], keep: bool) -> Value {
        self.reduce("ReduceMean", x, axes, keep)
    }

    /// ReduceSum, ReduceMean or ReduceMax; without axes, `x` itself.
    pub fn reduce(&mut self, op: &str, x: &Value, axes: &[usize], keep: bool) -> Value {
        if axes.is_empty() {
            return x.clone();
        }
        let shape = reduced(&x.shape, axes, keep);
        let list: Vec<i64> = axes.iter().map(|a| *a as i64).collect();
        let mut attributes = vec![int("keepdims", i64::from(keep))];
        if op == "ReduceSum" || self.opset >= REDUCTION_AXES_AS_INPUT {
            let list = self.ints(&list);
            return self.node(op, &[x, &list], &shape, x.dtype, attributes);
        }
        attributes.push(ints("axes", &list));
        self.node(op, &[x], &shape, x.dtype, attributes)
    }

    /// The sum of all elements, a scalar.
    pub fn total(&mut self, x: &Value) -> Value {
        let flat = self.reshape(x, &[x.len()]);
        self.reduce_sum(&flat, &[0], false)
    }

    /// The sum of all elements' squares, a scalar.
    pub fn square_sum(&mut self, x: &Value) -> Value {
        let flat = self.reshape(x, &[x.len()]);
        self.reduce("ReduceSumSquare", &flat, &[0], false)
    }

    /// What flows back through broadcasting from the shape of `x` to `shape`: the sum over every axis that
    /// was repeated.
    pub fn unbroadcast(&mut self, x: &Value, shape: &[usize]) -> Value {
        let lead = x.rank().saturating_sub(shape.len());
        let repeated =
            |axis: &usize| *axis < lead || (shape[axis - lead] == 1 && x.shape[*axis] != 1);
        let axes: Vec<usize> = (0..x.rank()).filter(repeated).collect();
        let summed = self.reduce_sum(x, &axes, true);
        self.reshape(&summed, shape)
    }

    /// `len` elements from `start` on in every axis named, `step` apart.
    pub fn slice(
        &mut self,
        x: &Value,
        axes: &[usize],
        starts: &[usize],
        lens: &[usize],
        steps: &[usize],
    ) -> Value {
        let whole = |i: usize| starts[i] == 0 && steps[i] == 1 && lens[i] == x.shape[axes[i]];
        if (0..axes.len()).all(whole) {
            return x.clone();
        }
        let mut shape = x.shape.to_vec();
        let mut ends = Vec::with_capacity(axes.len());
        for (i, axis) in axes.iter().enumerate() {
            shape[*axis] = lens[i];
            ends.push((starts[i] + (lens[i].max(1) - 1) * steps[i] + 1).min(x.shape[*axis]));
        }
        let list = |v: &[usize]| v.iter().map(|n| *n as i64).collect::<Vec<_>>();
        let (starts, ends) = (self.ints(&list(starts)), self.ints(&list(&ends)));
        let (axes, steps) = (self.ints(&list(axes)), self.ints(&list(steps)));
        self.node(
            "Slice",
            &[x, &starts, &ends, &axes, &steps],
            &shape,
            x.dtype,
            vec![],
        )
    }

    /// One axis in reverse.
    pub fn reverse(&mut self, x: &Value, axis: usize) -> Value {
        if x.shape[axis] == 1 {
            return x.clone();
        }
        let (starts, ends) = (self.ints(&[-1]), self.ints(&[i64::MIN]));
        let (axes, steps) = (self.ints(&[axis as i64]), self.ints(&[-1]));
        self.node(
            "Slice",
            &[x, &starts, &ends, &axes, &steps],
            &x.shape,
            x.dtype,
            vec![],
        )
    }

    /// Zeros before and after, axis by axis; negative numbers take elements away.
    pub fn pad(&mut self, x: &Value, before: &[i64], after: &[i64]) -> Value {
        if before.iter().chain(after).all(|n| *n == 0) {
            return x.clone();
        }
        let sizes = x.shape.iter().zip(before).zip(after);
        let shape: Vec<usize> = sizes
            .map(|((d, b), a)| (*d as i64 + b + a).max(0) as usize)
            .collect();
        let pads: Vec<i64> = before.iter().chain(after).copied().collect();
        let pads = self.ints(&pads);
        self.node("Pad", &[x, &pads], &shape, x.dtype, vec![])
    }

    pub fn concat(&mut self, values: &[Value], axis: usize) -> Value {
        if let [one] = values {
            return one.clone();
        }
        let mut shape = values[0].shape.to_vec();
        shape[axis] = values.iter().map(|v| v.shape[axis]).sum();
        let inputs: Vec<&Value> = values.iter().collect();
        let axis = int("axis", axis as i64);
        self.node("Concat", &inputs, &shape, values[0].dtype, vec![axis])
    }

    /// Zeros of this shape.
    pub fn zeros(&mut self, shape: &[usize], dtype: DType) -> Value {
        let zero = self.scalar(0.0, dtype);
        self.expand(&zero, shape)
    }
}

/// The shape that a reduction leaves.
pub(crate) fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let sizes = shape.iter().enumerate();
    sizes
        .filter_map(|(i, d)| match (axes.contains(&i), keep) {
            (false, _) => Some(*d),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect()
}
