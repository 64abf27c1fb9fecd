// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The optimizer's part of a training step.
//!
//! All gradients are put into one long vector, which the optimizer works on: a dozen operators, however many
//! parameters there are. Only the last subtraction is made parameter by parameter.

use splitinfer_graph::build::{int, node};
use splitinfer_tensor::{DType, Tensor};

use crate::optimizer;
use crate::training::{Carried, Spec, StepPorts};
use crate::value::Value;
use crate::writer::Writer;

impl Writer {
    /// The optimizer's part: every parameter a step further. `gradient`: of all of them in a row.
    pub fn steps(
        &mut self,
        spec: &Spec,
        parameters: &[(Value, Tensor)],
        gradient: &Value,
    ) -> StepPorts {
        let rate = self.input("learning-rate", &[], DType::F32);
        let mut memories = Vec::new();
        let (norm, factor) = optimizer::clip(&mut self.emitter, gradient, spec.clip_norm);
        let gradient = match factor {
            Some(factor) => self.emitter.mul(gradient, &factor),
            None => gradient.clone(),
        };
        let parameter_values: Vec<Value> = parameters.iter().map(|(v, _)| v.clone()).collect();
        let gradient = self.decayed(
            &gradient,
            &parameter_values,
            spec.optimizer.decay_of_gradient(),
        );
        let direction = self.direction(spec, &gradient, &mut memories);
        let direction = self.decayed(
            &direction,
            &parameter_values,
            spec.optimizer.decay_of_weights(),
        );
        let e = &mut self.emitter;
        let rate_as = e.cast(&rate, direction.dtype);
        let step = e.mul(&direction, &rate_as);
        let pieces = self.pieces(&step, &parameter_values);
        let moved = parameters
            .iter()
            .zip(pieces)
            .map(|((old, initial), piece)| {
                let new = self.emitter.sub(old, &piece);
                (old.name.to_string(), self.carry(old, &new, initial.clone()))
            });
        StepPorts {
            learning_rate: rate.name.to_string(),
            parameters: moved.collect(),
            memories,
            gradient_norm: self.output(&norm, "gradient-norm"),
        }
    }

    /// All elements of some values in a row.
    pub fn joined(&mut self, values: &[Value]) -> Value {
        let e = &mut self.emitter;
        let flat: Vec<Value> = values.iter().map(|v| e.reshape(v, &[v.len()])).collect();
        e.concat(&flat, 0)
    }

    /// A row in pieces, in the shapes of some values: the opposite of [`Writer::joined`].
    fn pieces(&mut self, row: &Value, like: &[Value]) -> Vec<Value> {
        let e = &mut self.emitter;
        if let [one] = like {
            return vec![e.reshape(row, &one.shape)];
        }
        let lengths: Vec<i64> = like.iter().map(|v| v.len() as i64).collect();
        let lengths = e.ints(&lengths);
        let names: Vec<String> = like.iter().map(|_| e.fresh("grad/Split")).collect();
        let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let split = node(
            "Split",
            &[&row.name, &lengths.name],
            &outputs,
            vec![int("axis", 0)],
        );
        e.nodes.push(split);
        let pieces = names.iter().zip(like);
        pieces
            .map(|(name, like)| e.reshape(&Value::new(name, &[like.len()], row.dtype), &like.shape))
            .collect()
    }

    /// `row + decay · parameters`.
    fn decayed(&mut self, row: &Value, parameters: &[Value], decay: f64) -> Value {
        if decay == 0.0 {
            return row.clone();
        }
        let weights = self.joined(parameters);
        let e = &mut self.emitter;
        let pull = e.scale(&weights, decay);
        e.add(row, &pull)
    }

    /// Where the optimizer goes from here, and what it remembers for the next step.
    fn direction(&mut self, spec: &Spec, gradient: &Value, memories: &mut Vec<Carried>) -> Value {
        let names = spec.optimizer.corrections().iter();
        let before: Vec<Value> = names.map(|n| self.input(n, &[], gradient.dtype)).collect();
        let corrections = spec.optimizer.corrected(&mut self.emitter, &before);
        let names = spec.optimizer.memories().iter();
        let old: Vec<Value> = names
            .map(|n| self.input(n, &gradient.shape, gradient.dtype))
            .collect();
        let (direction, kept) =
            spec.optimizer
                .direction(&mut self.emitter, gradient, &old, &corrections);
        let all = before
            .iter()
            .chain(&old)
            .zip(corrections.iter().chain(&kept));
        for (old, new) in all {
            memories.push(self.carry(old, new, zeros(old)));
        }
        direction
    }

    /// `new` takes the place of `old` in the next run.
    fn carry(&mut self, old: &Value, new: &Value, initial: Tensor) -> Carried {
        Carried {
            input: old.name.to_string(),
            output: self.output(new, &format!("next/{}", old.name)),
            initial,
        }
    }
}

fn zeros(like: &Value) -> Tensor {
    let bytes = vec![0; like.len() * like.dtype.size()];
    let zeros = Tensor::from_le_bytes(like.dtype, like.shape.to_vec(), &bytes);
    zeros.unwrap_or_else(|e| unreachable!("{e}"))
}
