// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The optimizer's part of a training step, and gradients that are added up before it.

use splitinfer_tensor::{DType, Tensor};

use crate::optimizer;
use crate::training::{Accumulation, Carried, Spec};
use crate::value::Value;
use crate::writer::Writer;

/// What the optimizer added to the graph.
pub(crate) struct Steps {
    pub rate: String,
    pub parameters: Vec<Carried>,
    pub memories: Vec<Carried>,
    pub accumulation: Option<Accumulation>,
    pub norm: Value,
}

/// Values that decide what a run does with its gradients.
struct Gate {
    share: Value,
    apply: Value,
}

impl Writer {
    /// The optimizer's part: every parameter a step further.
    pub fn steps(
        &mut self,
        spec: &Spec,
        parameters: &[(Value, Tensor)],
        gradients: Vec<Value>,
    ) -> Steps {
        let rate = self.input("learning-rate", &[], DType::F32);
        let gate = spec.accumulate.then(|| Gate {
            share: self.input("share", &[], DType::F32),
            apply: self.input("apply", &[], DType::Bool),
        });
        let mut memories = Vec::new();
        let gradients = match &gate {
            Some(gate) => self.accumulated(gate, parameters, gradients, &mut memories),
            None => gradients,
        };
        let (norm, factor) = optimizer::clip(&mut self.emitter, &gradients, spec.clip_norm);
        let names = spec.optimizer.corrections().iter();
        let before: Vec<Value> = names.map(|n| self.input(n, &[], DType::F32)).collect();
        let corrections = spec.optimizer.corrected(&mut self.emitter, &before);
        for (old, new) in before.iter().zip(&corrections) {
            memories.push(self.carry(old, new, zeros(old), gate.as_ref()));
        }
        let mut carried = Vec::new();
        for ((parameter, initial), gradient) in parameters.iter().zip(gradients) {
            let gradient = match &factor {
                Some(factor) => self.emitter.mul(&gradient, factor),
                None => gradient,
            };
            let names = spec.optimizer.memories().iter();
            let old: Vec<Value> = names
                .map(|m| {
                    self.input(
                        &format!("{m}/{}", parameter.name),
                        &parameter.shape,
                        parameter.dtype,
                    )
                })
                .collect();
            let (next, kept) = spec.optimizer.step(
                &mut self.emitter,
                parameter,
                &gradient,
                &rate,
                &old,
                &corrections,
            );
            for (old, new) in old.iter().zip(&kept) {
                memories.push(self.carry(old, new, zeros(old), gate.as_ref()));
            }
            carried.push(self.carry(parameter, &next, initial.clone(), gate.as_ref()));
        }
        Steps {
            rate: rate.name.to_string(),
            parameters: carried,
            memories,
            accumulation: gate.map(|g| Accumulation {
                share: g.share.name.to_string(),
                apply: g.apply.name.to_string(),
            }),
            norm,
        }
    }

    /// The gradients with those of earlier runs; the sums start again once a step was made.
    fn accumulated(
        &mut self,
        gate: &Gate,
        parameters: &[(Value, Tensor)],
        gradients: Vec<Value>,
        memories: &mut Vec<Carried>,
    ) -> Vec<Value> {
        let mut sums = Vec::with_capacity(gradients.len());
        for ((parameter, _), gradient) in parameters.iter().zip(gradients) {
            let name = format!("sum/{}", parameter.name);
            let old = self.input(&name, &parameter.shape, parameter.dtype);
            let e = &mut self.emitter;
            let part = e.mul(&gradient, &gate.share);
            let sum = e.add(&old, &part);
            let zero = e.scalar(0.0, sum.dtype);
            let kept = e.select(&gate.apply, &zero, &sum);
            memories.push(self.carry(&old, &kept, zeros(&old), None));
            sums.push(sum);
        }
        sums
    }

    /// `new` takes the place of `old` in the next run; with a gate, only if a step is made.
    fn carry(&mut self, old: &Value, new: &Value, initial: Tensor, gate: Option<&Gate>) -> Carried {
        let new = match gate {
            Some(gate) => self.emitter.select(&gate.apply, new, old),
            None => new.clone(),
        };
        let output = self.output(&new, &format!("next/{}", old.name));
        Carried {
            input: old.name.to_string(),
            output,
            initial,
        }
    }
}

fn zeros(like: &Value) -> Tensor {
    let bytes = vec![0; like.len() * like.dtype.size()];
    let zeros = Tensor::from_le_bytes(like.dtype, like.shape.to_vec(), &bytes);
    zeros.unwrap_or_else(|e| unreachable!("{e}"))
}
