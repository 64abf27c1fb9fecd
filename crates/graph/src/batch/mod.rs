// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model of one frame made into one of any number of frames, which come one after the other along the first axis.
//!
//! Most files are made for a batch of one, and say so in many places: in the types of inputs and outputs, in the shapes that
//! Reshape is given, in constants that are concatenated. Whether frames stay apart is not tried but shown: every operator on
//! the way from the frame to the result must be one of those that are known to treat each entry of the first axis by
//! itself, as it is used there ([`rules`]). So no frame, whatever its numbers, can change the result of another.

mod call;
mod rules;

use crate::build::{node, tensor};
use crate::depend::Level;
use crate::error::{GraphError, Problem};
use crate::facts::Facts;
use crate::model::Model;
use crate::order::Node;
use crate::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, TypeValue, ValueInfoProto,
};
use call::Call;
use rules::Change;
use splitinfer_tensor::Tensor;

/// The name of the first size.
const FRAMES: &str = "frames";

impl Model {
    /// The same computation for any number of frames at once: of each input and each output the first size, one before, is
    /// the number of frames, which the caller chooses anew on each run. `facts`: of all tensors of this model, with the
    /// values of those that constants decide.
    ///
    /// Values that the input's shape decides must be constants already, as in a [part](Model::part).
    ///
    /// # Errors
    /// When the first size of an input or output is not one, or an operator may mix frames, or is not known not to: says
    /// which.
    pub fn batched(&self, facts: &Facts) -> Result<Model, GraphError> {
        let refused = |reason: String| self.problem(Problem::NotBatchable(reason));
        let mut rewriting = Rewriting::new(self, facts);
        for node in &self.graph().nodes {
            rewriting.node(node).map_err(refused)?;
        }
        rewriting.finish().map_err(refused)
    }
}

struct Rewriting<'a> {
    model: &'a Model,
    facts: &'a Facts,
    graph: GraphProto,
    /// To be put before the node at this place of the file.
    before: Vec<(usize, NodeProto)>,
}

impl<'a> Rewriting<'a> {
    fn new(model: &'a Model, facts: &'a Facts) -> Self {
        let mut graph = model.main().clone();
        // They tell of one frame.
        graph.value_info.clear();
        Self {
            model,
            facts,
            graph,
            before: Vec::new(),
        }
    }

    fn node(&mut self, node: &Node) -> Result<(), String> {
        let model = self.model;
        let depends = |t: &usize| model.graph().tensors[*t].depends.value;
        if node.outputs.iter().map(depends).max() != Some(Level::Data) {
            return Ok(());
        }
        let proto = &model.main().node[node.index];
        let call = Call::new(model, self.facts, proto)?;
        match rules::of(&call).map_err(|reason| call.refusal(&reason))? {
            Change::None => {}
            Change::Reshape(rest) => self.reshape(node.index, &rest),
            Change::Sizes { at, rest } => {
                let sizes = self.leading(node.index, call.input(0), &rest);
                self.graph.node[node.index].input[at] = sizes;
            }
            Change::Repeat(constants) => {
                let frames = call.any_frames().to_owned();
                for at in constants {
                    self.repeat(node.index, at, call.shape(at).len(), &frames);
                }
            }
        }
        Ok(())
    }

    /// Makes the node a Reshape that leaves the first axis and gives the others these sizes.
    fn reshape(&mut self, index: usize, rest: &[usize]) {
        let old = &self.graph.node[index];
        let (from, to) = (old.input[0].clone(), old.output[0].clone());
        // Zero: as it was.
        let shape: Vec<i64> = std::iter::once(0)
            .chain(rest.iter().map(|d| *d as i64))
            .collect();
        let shape = self.constant(&to, "shape", &shape);
        self.graph.node[index] = NodeProto {
            name: self.graph.node[index].name.clone(),
            ..node("Reshape", &[&from, &shape], &[&to], vec![])
        };
    }

    /// A tensor that holds a shape: first the number of frames in `of`, then `rest`.
    fn leading(&mut self, index: usize, of: &str, rest: &[i64]) -> String {
        let to = self.graph.node[index].output[0].clone();
        let name = |why: &str| self.model.fresh(&to, why);
        let (shape, frames, sizes) = (name("shape_of"), name("frames"), name("sizes"));
        let zero = self.constant(&to, "zero", &[0]);
        let one = self.constant(&to, "one", &[1]);
        let rest = self.constant(&to, "rest", rest);
        let nodes = [
            node("Shape", &[of], &[&shape], vec![]),
            node("Slice", &[&shape, &zero, &one], &[&frames], vec![]),
            node(
                "Concat",
                &[&frames, &rest],
                &[&sizes],
                vec![crate::build::int("axis", 0)],
            ),
        ];
        self.before.extend(nodes.map(|node| (index, node)));
        sizes
    }

    /// Repeats the constant input `at`, of this rank, for each frame that `of` has.
    fn repeat(&mut self, index: usize, at: usize, rank: usize, of: &str) {
        let to = self.graph.node[index].output[0].clone();
        let repeated = self.model.fresh(&to, &format!("input{at}"));
        let sizes = match self
            .before
            .iter()
            .find(|(i, n)| *i == index && n.op_type() == "Concat")
        {
            Some((_, concat)) => concat.output[0].clone(),
            None => self.leading(index, of, &vec![1; rank - 1]),
        };
        let constant = std::mem::replace(&mut self.graph.node[index].input[at], repeated.clone());
        let expand = node("Expand", &[&constant, &sizes], &[&repeated], vec![]);
        self.before.push((index, expand));
    }

    fn constant(&mut self, to: &str, why: &str, values: &[i64]) -> String {
        let name = self.model.fresh(to, why);
        if self.graph.initializer.iter().all(|i| i.name() != name) {
            let value = Tensor::new(vec![values.len()], values.to_vec());
            let value = value.expect("as many as there are");
            self.graph.initializer.push(tensor(&name, &value));
        }
        name
    }

    fn finish(mut self) -> Result<Model, String> {
        let model = self.model;
        for output in &mut self.graph.output {
            let id = model.graph().id(output.name());
            let data = id.is_some_and(|t| model.graph().tensors[t].depends.value == Level::Data);
            if !data || !lead(output) {
                let name = output.name();
                return Err(format!(
                    "the first size of output '{name}' does not count frames"
                ));
            }
        }
        for input in &mut self.graph.input {
            if model.graph().is_input(input.name()) && !lead(input) {
                let name = input.name();
                return Err(format!("the first size of input '{name}' is not 1"));
            }
        }
        // From the last on, so that places stay what they are.
        self.before.sort_by_key(|(index, _)| *index);
        let mut nodes = Vec::with_capacity(self.graph.node.len() + self.before.len());
        let mut before = self.before.into_iter().peekable();
        for (i, node) in self.graph.node.into_iter().enumerate() {
            while let Some((_, new)) = before.next_if(|(index, _)| *index == i) {
                nodes.push(new);
            }
            nodes.push(node);
        }
        self.graph.node = nodes;
        let proto = ModelProto {
            graph: Some(self.graph),
            ..model.proto().clone()
        };
        model.with_proto(proto).map_err(|e| e.problem.to_string())
    }
}

/// Lets the first size, which must be one, be any number; false when it is not one.
fn lead(value: &mut ValueInfoProto) -> bool {
    let Some(TypeValue::Tensor(tensor)) = value.r#type.as_mut().and_then(|t| t.value.as_mut())
    else {
        return false;
    };
    let Some(first) = tensor.shape.as_mut().and_then(|s| s.dim.first_mut()) else {
        return false;
    };
    let one = matches!(first.value, Some(DimensionValue::Value(1)));
    *first = Dimension {
        value: Some(DimensionValue::Param(FRAMES.to_owned())),
        denotation: first.denotation.take(),
    };
    one
}

#[cfg(test)]
mod tests;
