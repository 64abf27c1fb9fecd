// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reverse-mode differentiation: the nodes from last to first, the gradient of each output handed to the
//! operator's rule, what comes back added up at the inputs.
//!
//! Only nodes between a wanted tensor and a seed are visited: gradients flow no further down than the first
//! trainable parameter.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use splitinfer_graph::proto::NodeProto;

use crate::emitter::Emitter;
use crate::error::GradError;
use crate::forward::Forward;
use crate::rules::{self, call::Call};
use crate::value::Value;

/// Gradients that have arrived, by tensor.
#[derive(Default)]
struct Arrived(HashMap<String, Vec<Value>>);

impl Arrived {
    fn add(&mut self, tensor: &str, gradient: Value) {
        self.0.entry(tensor.to_owned()).or_default().push(gradient);
    }

    fn take(&mut self, tensor: &str, e: &mut Emitter) -> Option<Value> {
        let all = self.0.remove(tensor)?;
        e.sum(&all)
    }
}

/// The gradient of each of `wanted` that the seeds depend on. A seed is a tensor of the model and the
/// gradient of whatever is differentiated with respect to it.
///
/// # Errors
/// When an operator in between has no rule, or the shape of a tensor there is not known.
pub(crate) fn backward(
    forward: &mut Forward,
    e: &mut Emitter,
    wanted: &[String],
    seeds: Vec<(String, Value)>,
) -> Result<HashMap<String, Value>, GradError> {
    let active = active(forward, wanted);
    let mut arrived = Arrived::default();
    for (tensor, gradient) in seeds {
        arrived.add(&tensor, gradient);
    }
    let kept: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    for n in (0..forward.nodes.len()).rev() {
        let node = forward.nodes[n].clone();
        if !node.output.iter().any(|o| active.contains(o)) {
            continue;
        }
        let mut grads = Vec::with_capacity(node.output.len());
        for output in &node.output {
            let grad = arrived.take(output, e);
            if let (true, Some(grad)) = (kept.contains(output.as_str()), &grad) {
                arrived.add(output, grad.clone());
            }
            grads.push(grad.filter(|_| active.contains(output)));
        }
        if grads.iter().all(Option::is_none) {
            continue;
        }
        let gradients = node_gradients(forward, e, n, &node, grads, &active)?;
        for (input, gradient) in node.input.iter().zip(gradients) {
            if let Some(gradient) = gradient {
                arrived.add(input, gradient);
            }
        }
    }
    let mut found = HashMap::new();
    for tensor in wanted {
        if let Some(gradient) = arrived.take(tensor, e) {
            found.insert(tensor.clone(), gradient);
        }
    }
    Ok(found)
}

/// Tensors that depend on a wanted one, smoothly: what comes out of a comparison or an index does not.
fn active(forward: &Forward, wanted: &[String]) -> HashSet<String> {
    let mut active: HashSet<String> = wanted.iter().cloned().collect();
    for node in &forward.nodes {
        if rules::is_flat(node.op_type()) || !node.input.iter().any(|i| active.contains(i)) {
            continue;
        }
        for output in &node.output {
            let smooth = forward
                .values
                .get(output)
                .is_none_or(|v| v.dtype.is_float());
            if smooth && !output.is_empty() {
                active.insert(output.clone());
            }
        }
    }
    active
}

fn node_gradients(
    forward: &mut Forward,
    e: &mut Emitter,
    place: usize,
    node: &NodeProto,
    grads: Vec<Option<Value>>,
    active: &HashSet<String>,
) -> Result<Vec<Option<Value>>, GradError> {
    let no_rule = |reason: String| GradError::NoRule {
        node: node.name().to_owned(),
        op: node.op_type().to_owned(),
        output: node.output.first().cloned().unwrap_or_default(),
        reason,
    };
    let standard = matches!(node.domain(), "" | "ai.onnx");
    let rule = standard.then(|| rules::rule(node.op_type())).flatten();
    let rule = rule.ok_or_else(|| no_rule("there is no rule for this operator".into()))?;
    let known = |name: &String| match name.is_empty() {
        true => Ok(None),
        false => forward.value(name).cloned().map(Some),
    };
    let taps = RefCell::default();
    let maker = |name: &String| forward.makers.get(name).map(|i| &forward.nodes[*i]);
    let call = Call {
        node,
        inputs: node.input.iter().map(known).collect::<Result<_, _>>()?,
        outputs: node.output.iter().map(known).collect::<Result<_, _>>()?,
        grads,
        wanted: node.input.iter().map(|i| active.contains(i)).collect(),
        constants: &forward.constants,
        makers: node.input.iter().map(maker).collect(),
        taps: &taps,
    };
    let gradients = rule(&call, e).map_err(no_rule)?;
    for (input, gradient) in call.inputs.iter().zip(&gradients) {
        if let (Some(input), Some(gradient)) = (input, gradient) {
            assert_eq!(
                (&input.shape, input.dtype),
                (&gradient.shape, gradient.dtype),
                "the rule of {} gives a gradient of another form",
                node.op_type()
            );
        }
    }
    for (output, name) in taps.into_inner() {
        let outputs = &mut forward.nodes[place].output;
        if outputs.len() <= output {
            outputs.resize(output + 1, String::new());
        }
        outputs[output] = name;
    }
    Ok(gradients)
}
