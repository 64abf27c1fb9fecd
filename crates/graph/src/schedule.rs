// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The order in which nodes are lined up, so that the places between them are good cuts.
//!
//! Only nodes that work on data are lined up: those that constants or shapes decide belong to no side. Every
//! prefix of the order is a head; what it hands over is the **live set**, the tensors made in it and read
//! after it, or given out by the model. Which order is taken decides how large these sets are, so several
//! are made and the one with the smallest crossings is taken.

use std::collections::{BTreeSet, VecDeque};

use crate::cost;
use crate::depend::Level;
use crate::facts::{Facts, product};
use crate::greedy;
use crate::model::Model;
use crate::order::{Graph, NodeId, Source, TensorId};
use crate::proto::{NodeProto, TensorProto};
use crate::view;

/// A model with what is known of its tensors: the nodes that run on data, and who reads from them.
pub(crate) struct Schedule<'a> {
    pub model: &'a Model,
    pub graph: &'a Graph,
    pub facts: &'a Facts,
    /// Nodes that run on data and that some output needs, in the graph's order.
    pub nodes: Vec<NodeId>,
    /// Of each tensor: the nodes above that read it, or none where it does not move along the line
    /// (constants, embedded values, wider forms of another).
    pub readers: Vec<Vec<NodeId>>,
    /// Of each node: the tensors it reads that move along the line.
    reads: Vec<Vec<TensorId>>,
    /// Of each tensor: it is an output of the model that a head may have to hand over.
    pub given: Vec<bool>,
    /// Of each tensor: the one that crosses in its place.
    pub base: Vec<TensorId>,
    /// MACs, by node.
    pub macs: Vec<u64>,
}

impl<'a> Schedule<'a> {
    pub fn new(model: &'a Model, facts: &'a Facts) -> Self {
        let graph = model.graph();
        let base = view::bases(model, facts);
        let moving = |tensors: &[TensorId]| -> Vec<TensorId> {
            let bases = tensors.iter().map(|t| base[*t]);
            let mut moving: Vec<_> = bases.filter(|t| moves(graph, facts, *t)).collect();
            moving.sort_unstable();
            moving.dedup();
            moving
        };
        let reads: Vec<_> = graph.nodes.iter().map(|n| moving(&n.inputs)).collect();
        let mut open = moving(&graph.outputs);
        let mut given = vec![false; graph.tensors.len()];
        open.iter().for_each(|t| given[*t] = true);
        let mut needed = vec![false; graph.nodes.len()];
        while let Some(tensor) = open.pop() {
            if let Some(node) = graph.producer(tensor)
                && !std::mem::replace(&mut needed[node], true)
            {
                open.extend(&reads[node]);
            }
        }
        let nodes: Vec<NodeId> = (0..needed.len()).filter(|n| needed[*n]).collect();
        let mut readers = vec![Vec::new(); graph.tensors.len()];
        for &node in &nodes {
            reads[node].iter().for_each(|t| readers[*t].push(node));
        }
        let mut schedule = Self {
            model,
            graph,
            facts,
            nodes,
            readers,
            reads,
            given,
            base,
            macs: vec![0; graph.nodes.len()],
        };
        let shapes = Shapes::new(model, facts);
        for &n in &schedule.nodes {
            schedule.macs[n] = cost::macs(schedule.proto(n), |name| shapes.of(name));
        }
        schedule
    }

    pub fn proto(&self, node: NodeId) -> &'a NodeProto {
        &self.model.main().node[self.graph.nodes[node].index]
    }

    /// What is read later, or given out.
    pub fn used(&self, tensor: TensorId) -> bool {
        self.given[tensor] || !self.readers[tensor].is_empty()
    }

    /// Tensors a node reads that move along the line.
    pub fn reads(&self, node: NodeId) -> impl Iterator<Item = TensorId> {
        self.reads[node].iter().copied()
    }

    /// Tensors a node makes that are used later, or given out.
    pub fn makes(&self, node: NodeId) -> impl Iterator<Item = TensorId> {
        let outputs = self.graph.nodes[node].outputs.iter().copied();
        outputs.filter(|t| self.used(*t))
    }

    /// Bytes of a tensor; `None` when it cannot cross (type, unstable shape, unknown).
    pub fn crossing_bytes(&self, tensor: TensorId) -> Option<u64> {
        let fact = self.facts.get(self.graph.name(tensor))?;
        fact.stable.then(|| fact.byte_len())
    }

    /// The best order found.
    pub fn best_order(&self) -> Vec<NodeId> {
        let orders = [self.nodes.clone(), self.depth_first(), greedy::order(self)];
        let mut best: Option<(f64, Vec<NodeId>)> = None;
        for order in orders {
            let score = self.score(&order);
            if best.as_ref().is_none_or(|(least, _)| score < *least) {
                best = Some((score, order));
            }
        }
        best.map(|(_, order)| order).unwrap_or_default()
    }

    /// How good the cuts along an order are; less is better. At each share of the model's MACs: log₂ of the
    /// smallest crossing up to there, and of the smallest within the last eighth of the MACs, so that both
    /// the very best cuts and good ones at every share count.
    fn score(&self, order: &[NodeId]) -> f64 {
        const NONE: f64 = 32.0;
        // The 1 keeps nodes without MACs in the count.
        let weight = |n: &NodeId| 1.0 + self.macs[*n] as f64;
        let window = order.iter().map(weight).sum::<f64>() / 8.0;
        let mut line = Line::new(self);
        let (mut done, mut sum, mut least) = (0.0, 0.0, NONE);
        // Crossings of the window, with the share at which they lie, both growing.
        let mut recent: VecDeque<(f64, f64)> = VecDeque::new();
        for node in order {
            while recent.front().is_some_and(|(at, _)| at + window < done) {
                recent.pop_front();
            }
            sum += weight(node) * (least + recent.front().map_or(NONE, |(_, bits)| *bits));
            done += weight(node);
            line.step(*node);
            if let Some(bytes) = line.bytes() {
                let bits = (1.0 + bytes as f64).log2();
                least = least.min(bits);
                while recent.back().is_some_and(|(_, b)| *b >= bits) {
                    recent.pop_back();
                }
                recent.push_back((done, bits));
            }
        }
        sum
    }

    /// Finishes each branch before it begins the next: post-order from the outputs.
    fn depth_first(&self) -> Vec<NodeId> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut seen = vec![false; self.graph.nodes.len()];
        let outputs = self.graph.outputs.iter().map(|t| self.base[*t]);
        let outputs = outputs.filter(|t| self.given[*t]);
        for root in outputs.filter_map(|t| self.graph.producer(t)) {
            let mut stack = vec![(root, false)];
            while let Some((node, done)) = stack.pop() {
                if done {
                    order.push(node);
                } else if !std::mem::replace(&mut seen[node], true) {
                    stack.push((node, true));
                    let before: Vec<NodeId> = self
                        .reads(node)
                        .filter_map(|t| self.graph.producer(t))
                        .collect();
                    stack.extend(before.into_iter().rev().map(|n| (n, false)));
                }
            }
        }
        order
    }
}

/// Whether a tensor is a result of data, and not one that each part has by itself.
fn moves(graph: &Graph, facts: &Facts, tensor: TensorId) -> bool {
    match graph.tensors[tensor].depends.value {
        Level::Constant => false,
        Level::Shapes => embedded(graph, facts, tensor).is_none(),
        Level::Data => true,
    }
}

/// The value of a tensor that shapes decide, if it is known.
pub(crate) fn embedded<'f>(
    graph: &Graph,
    facts: &'f Facts,
    tensor: TensorId,
) -> Option<&'f splitinfer_tensor::Tensor> {
    let tensor = &graph.tensors[tensor];
    match tensor.depends.value {
        Level::Shapes => facts.get(&tensor.name)?.value.as_ref(),
        _ => None,
    }
}

/// A walk along an order, which keeps the live set.
pub(crate) struct Line<'s, 'a> {
    schedule: &'s Schedule<'a>,
    /// Readers that are still to come, by tensor.
    pending: Vec<usize>,
    /// Inputs of the model that are still to be read; while there are any, the picture itself would cross.
    pub inputs: BTreeSet<TensorId>,
    /// The live set, in the order in which it was made.
    pub live: Vec<TensorId>,
}

impl<'s, 'a> Line<'s, 'a> {
    pub fn new(schedule: &'s Schedule<'a>) -> Self {
        let tensors = 0..schedule.graph.tensors.len();
        let is_input = |t: &TensorId| schedule.graph.tensors[*t].source == Source::Input;
        Self {
            pending: schedule.readers.iter().map(Vec::len).collect(),
            inputs: tensors
                .filter(|t| is_input(t) && schedule.used(*t))
                .collect(),
            live: Vec::new(),
            schedule,
        }
    }

    pub fn step(&mut self, node: NodeId) {
        for tensor in self.schedule.reads(node) {
            self.pending[tensor] -= 1;
            if self.pending[tensor] == 0 && !self.schedule.given[tensor] {
                self.inputs.remove(&tensor);
                self.live.retain(|t| *t != tensor);
            }
        }
        self.live.extend(self.schedule.makes(node));
    }

    /// Bytes of the live set, if it is a legal cut.
    pub fn bytes(&self) -> Option<u64> {
        if self.live.is_empty() || !self.inputs.is_empty() {
            return None;
        }
        self.live.iter().try_fold(0u64, |sum, t| {
            Some(sum.saturating_add(self.schedule.crossing_bytes(*t)?))
        })
    }
}

/// Shapes of tensors by name: measured, or those of constants, also through operators that keep or permute
/// them (weights are often dequantised, cast or transposed before they are used).
struct Shapes<'a> {
    facts: &'a Facts,
    graph: &'a Graph,
    model: &'a Model,
}

impl<'a> Shapes<'a> {
    fn new(model: &'a Model, facts: &'a Facts) -> Self {
        Self {
            facts,
            graph: model.graph(),
            model,
        }
    }

    fn of(&self, name: &str) -> Option<Vec<usize>> {
        let mut name = name;
        // Permutations on the way, the last one first.
        let mut permutations = Vec::new();
        let mut shape = loop {
            if let Some(fact) = self.facts.get(name) {
                break fact.shape.clone();
            }
            let main = self.model.main();
            match self.graph.tensors[self.graph.id(name)?].source {
                Source::Input => return None,
                Source::Initializer(i) => break tensor_shape(&main.initializer[i])?,
                Source::Sparse(i) => break dims(&main.sparse_initializer[i].dims)?,
                Source::Node(n) => {
                    let node = &main.node[self.graph.nodes[n].index];
                    match node.op_type() {
                        "Constant" => break tensor_shape(constant(node)?)?,
                        "Identity" | "Cast" | "CastLike" | "DequantizeLinear"
                        | "QuantizeLinear" | "Clip" | "Neg" => {}
                        "Transpose" => permutations.push(cost::attribute(node, "perm")),
                        _ => return None,
                    }
                    name = node.input.first()?;
                }
            }
        };
        while let Some(permutation) = permutations.pop() {
            shape = match permutation {
                None => shape.into_iter().rev().collect(),
                Some(p) => {
                    let axis = |a: &i64| shape.get(usize::try_from(*a).ok()?).copied();
                    p.ints.iter().map(axis).collect::<Option<_>>()?
                }
            };
        }
        Some(shape)
    }
}

fn constant(node: &NodeProto) -> Option<&TensorProto> {
    cost::attribute(node, "value")?.t.as_ref()
}

fn tensor_shape(tensor: &TensorProto) -> Option<Vec<usize>> {
    dims(&tensor.dims)
}

fn dims(dims: &[i64]) -> Option<Vec<usize>> {
    dims.iter().map(|d| usize::try_from(*d).ok()).collect()
}

/// How many numbers the model has learned in a constant: elements of floats and of what quantisation makes
/// of them; shapes, indices (64-bit integers), flags and texts are none.
pub(crate) fn parameters(model: &Model, tensor: TensorId) -> u64 {
    const INT64: i32 = 7;
    const TEXT: i32 = 8;
    const FLAG: i32 = 9;
    let main = model.main();
    let proto = match model.graph().tensors[tensor].source {
        Source::Initializer(i) => Some(&main.initializer[i]),
        Source::Sparse(i) => main.sparse_initializer[i].values.as_ref(),
        Source::Node(n) => constant(&main.node[model.graph().nodes[n].index]),
        Source::Input => None,
    };
    proto
        .filter(|t| !matches!(t.data_type(), INT64 | TEXT | FLAG))
        .and_then(tensor_shape)
        .map_or(0, |shape| product(&shape))
}
