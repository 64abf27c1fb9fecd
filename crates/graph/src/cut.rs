// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Cuts: where a model can be taken apart, what crosses there, and what each side costs.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use splitinfer_tensor::DType;

use crate::depend::Level;
use crate::error::{GraphError, Problem};
use crate::facts::{Facts, byte_len, product};
use crate::model::{Model, quoted};
use crate::order::{NodeId, Source, TensorId};
use crate::schedule::{Line, Schedule, parameters};

/// A tensor that crosses a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Bytes of the tensor, uncompressed.
    pub fn byte_len(&self) -> u64 {
        byte_len(self.dtype, &self.shape)
    }
}

/// A place where a model can be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// What crosses, in the order in which the head makes it.
    pub tensors: Vec<TensorSpec>,
    /// The tensors' names joined by `+`.
    pub name: String,
    /// Multiply–accumulate operations before the cut: convolutions, matrix products, recurrent layers;
    /// everything else counts 0.
    pub head_macs: u64,
    /// The same after the cut; `head_macs + tail_macs` is that of the model.
    pub tail_macs: u64,
    /// Elements of the constants the head reads; 64-bit integers, flags and texts do not count. What both
    /// sides read counts on both.
    pub head_params: u64,
    pub tail_params: u64,
    /// Bytes of the tensors as they are.
    pub raw_bytes: u64,
    /// Nodes in the head, without those that constants or shapes decide.
    pub nodes_before: usize,
}

impl Model {
    /// Every legal cut along one order of the nodes, in that order: each head contains the head before it,
    /// so the parts between consecutive cuts, run one after another, are the model.
    ///
    /// A cut is **legal** when nothing but its tensors has to cross, and these can: their type is one that
    /// `facts` knows, and their shape did not change with the input. An output of the model that the head
    /// makes crosses too, so that the tail can give it. Values decided by constants or by the input's shape
    /// never cross; each part has its own. Neither do dequantised or widened tensors: the tensor they were
    /// made from crosses, and both sides widen it. Places where an input of the model is still to be read are left
    /// out: there the picture itself would have to cross.
    pub fn cuts(&self, facts: &Facts) -> Vec<Cut> {
        let schedule = Schedule::new(self, facts);
        let order = schedule.best_order();
        let costs = Costs::new(&schedule, &order);
        let mut line = Line::new(&schedule);
        let mut cuts = Vec::new();
        let places = order.len().saturating_sub(1);
        for (i, &node) in order.iter().enumerate().take(places) {
            line.step(node);
            if line.bytes().is_some()
                && let Some(tensors) = specs(&schedule, &line.live)
            {
                cuts.push(costs.cut(tensors, i + 1));
            }
        }
        cuts
    }

    /// The cuts worth choosing among, in the order of [`Model::cuts`], at most `limit`.
    ///
    /// Left out is what something else is never worse than: a cut before all MACs, or one that sends at
    /// least as many values as the picture has, for sending the picture needs no head; a cut after all MACs,
    /// for finishing here needs no network. (If nothing would remain, these stay.) Of the rest come first
    ///
    /// 1. the **undominated**: no other cut has as few MACs in the head and sends as few bytes, one of the
    ///    two fewer. Where the server is faster than the edge, the best cut is among them. (Of equal ones
    ///    the last is taken: there activations have already been applied, and fused operators stay whole.)
    ///    Of more than `limit`, the best compromise between share of MACs and bytes is taken, then again and
    ///    again the one that differs most, in both, from those taken;
    /// 2. if there is room, later cuts that relieve the server more: the smallest in bytes first, each at
    ///    least 1/(`limit` + 1) of the model's MACs away from those already taken, from none and from all.
    pub fn candidates(&self, facts: &Facts, limit: usize) -> Vec<Cut> {
        let cuts = self.cuts(facts);
        let picture: u64 = self
            .inputs()
            .iter()
            .map(|i| facts.get(&i.name).map_or(u64::MAX, |f| product(&f.shape)))
            .fold(0, u64::saturating_add);
        let values = |c: &Cut| c.tensors.iter().map(|t| product(&t.shape)).sum::<u64>();
        let useful = |c: &&Cut| c.head_macs > 0 && c.tail_macs > 0 && values(c) < picture;
        let mut rest: Vec<&Cut> = cuts.iter().filter(useful).collect();
        if rest.is_empty() {
            rest = cuts.iter().collect();
        }
        let mut taken = spread(&undominated(&rest), limit);
        fill(&mut taken, &rest, limit);
        taken.sort_by_key(|c| c.nodes_before);
        taken.into_iter().cloned().collect()
    }

    /// The cut at these tensors, which then cross in the order given. It need not be on the line of
    /// [`Model::cuts`].
    ///
    /// # Errors
    /// When there is no such tensor, when others would have to cross too (the message names them) or some
    /// need not, or when one has a type or an unstable shape that cannot cross.
    pub fn cut(&self, facts: &Facts, tensors: &[String]) -> Result<Cut, GraphError> {
        let graph = self.graph();
        let not_a_cut = |reason: String| {
            self.problem(Problem::NotACut {
                tensors: quoted(tensors.iter().map(String::as_str)),
                reason,
            })
        };
        let id = |name: &String| {
            let missing = || self.problem(Problem::NoSuchTensor(name.clone()));
            graph.id(name).ok_or_else(missing)
        };
        let asked: Vec<TensorId> = tensors.iter().map(id).collect::<Result<_, _>>()?;
        let schedule = Schedule::new(self, facts);
        if let Some(wide) = asked.iter().find(|t| schedule.base[**t] != **t) {
            let base = graph.name(schedule.base[*wide]);
            let wide = graph.name(*wide);
            return Err(not_a_cut(format!(
                "'{wide}' is '{base}' in a wider form; name that instead"
            )));
        }
        let (order, head) = head_first(&schedule, &asked);
        let mut line = Line::new(&schedule);
        order[..head].iter().for_each(|n| line.step(*n));
        let names = |ids: Vec<TensorId>| quoted(ids.into_iter().map(|t| graph.name(t)));
        if !line.inputs.is_empty() {
            let inputs = names(line.inputs.iter().copied().collect());
            return Err(not_a_cut(format!(
                "the input {inputs} is still needed after it"
            )));
        }
        let live: HashSet<TensorId> = line.live.iter().copied().collect();
        let also: Vec<TensorId> = line
            .live
            .iter()
            .copied()
            .filter(|t| !asked.contains(t))
            .collect();
        if !also.is_empty() {
            return Err(not_a_cut(format!(
                "{} would have to cross too",
                names(also)
            )));
        }
        let idle: Vec<TensorId> = asked
            .iter()
            .copied()
            .filter(|t| !live.contains(t))
            .collect();
        if !idle.is_empty() || asked.is_empty() || live.len() < asked.len() {
            return Err(not_a_cut(format!("nothing after it needs {}", names(idle))));
        }
        let specs = specs(&schedule, &asked).ok_or_else(|| {
            not_a_cut(
                "a tensor has a type that cannot cross, or a shape that changes with the input"
                    .into(),
            )
        })?;
        Ok(Costs::new(&schedule, &order).cut(specs, head))
    }

    /// MACs of the whole model, counted as in [`Cut::head_macs`].
    pub fn macs(&self, facts: &Facts) -> u64 {
        let schedule = Schedule::new(self, facts);
        let macs = schedule.nodes.iter().map(|n| schedule.macs[*n]);
        macs.fold(0, u64::saturating_add)
    }

    /// Parameters of the whole model, counted as in [`Cut::head_params`].
    pub fn parameters(&self) -> u64 {
        let ids = 0..self.graph().tensors.len();
        ids.map(|t| parameters(self, t))
            .fold(0, u64::saturating_add)
    }
}

/// Nodes that the tensors need, then the others; and how many the first are.
fn head_first(schedule: &Schedule, tensors: &[TensorId]) -> (Vec<NodeId>, usize) {
    let graph = schedule.graph;
    let mut needed = vec![false; graph.nodes.len()];
    let mut open: Vec<NodeId> = tensors.iter().filter_map(|t| graph.producer(*t)).collect();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut needed[node], true) {
            open.extend(schedule.reads(node).filter_map(|t| graph.producer(t)));
        }
    }
    let (mut order, tail): (Vec<NodeId>, Vec<NodeId>) =
        schedule.nodes.iter().partition(|n| needed[**n]);
    let head = order.len();
    order.extend(tail);
    (order, head)
}

/// The tensors with what is known of them, if all of them can cross.
fn specs(schedule: &Schedule, tensors: &[TensorId]) -> Option<Vec<TensorSpec>> {
    let spec = |t: &TensorId| {
        schedule.crossing_bytes(*t)?;
        let name = schedule.graph.name(*t);
        let fact = schedule.facts.get(name)?;
        Some(TensorSpec {
            name: name.to_owned(),
            dtype: fact.dtype,
            shape: fact.shape.clone(),
        })
    };
    tensors.iter().map(spec).collect()
}

/// Sums along an order: what the first so many nodes cost, and what the rest.
struct Costs {
    /// By number of nodes in the head.
    macs: Vec<u64>,
    head_params: Vec<u64>,
    tail_params: Vec<u64>,
}

impl Costs {
    fn new(schedule: &Schedule, order: &[NodeId]) -> Self {
        let n = order.len();
        let mut macs = vec![0u64; n + 1];
        // First and last place where a constant is read.
        let mut used: HashMap<TensorId, (usize, usize)> = HashMap::new();
        for (i, &node) in order.iter().enumerate() {
            macs[i + 1] = macs[i].saturating_add(schedule.macs[node]);
            for constant in constants(schedule, node) {
                used.entry(constant).or_insert((i, i)).1 = i;
            }
        }
        let mut head_params = vec![0u64; n + 1];
        let mut tail_params = vec![0u64; n + 1];
        for (constant, (first, last)) in used {
            let count = parameters(schedule.model, constant);
            head_params[first + 1] = head_params[first + 1].saturating_add(count);
            tail_params[last] = tail_params[last].saturating_add(count);
        }
        for i in 0..n {
            head_params[i + 1] = head_params[i + 1].saturating_add(head_params[i]);
            tail_params[n - 1 - i] = tail_params[n - 1 - i].saturating_add(tail_params[n - i]);
        }
        Self {
            macs,
            head_params,
            tail_params,
        }
    }

    fn cut(&self, tensors: Vec<TensorSpec>, nodes: usize) -> Cut {
        let names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        let sizes = tensors.iter().map(TensorSpec::byte_len);
        Cut {
            name: names.join("+"),
            head_macs: self.macs[nodes],
            tail_macs: self.macs[self.macs.len() - 1].saturating_sub(self.macs[nodes]),
            head_params: self.head_params[nodes],
            tail_params: self.tail_params[nodes],
            raw_bytes: sizes.fold(0, u64::saturating_add),
            nodes_before: nodes,
            tensors,
        }
    }
}

/// The constants a node reads, also through nodes that only work on constants or widen a tensor.
fn constants(schedule: &Schedule, node: NodeId) -> Vec<TensorId> {
    let graph = schedule.graph;
    let constant = |t: TensorId| graph.tensors[t].depends.value == Level::Constant;
    let mut open = graph.nodes[node].inputs.clone();
    let mut seen: HashSet<TensorId> = open.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(tensor) = open.pop() {
        if !constant(tensor) && schedule.base[tensor] == tensor {
            continue;
        }
        match graph.tensors[tensor].source {
            Source::Node(n) if !graph.nodes[n].inputs.is_empty() => {
                let inputs = graph.nodes[n].inputs.iter().copied();
                open.extend(inputs.filter(|t| seen.insert(*t)));
            }
            _ => found.push(tensor),
        }
    }
    found
}

/// Those than which no other has as few MACs in the head and as few bytes, one of the two fewer. `cuts`
/// come with growing heads.
fn undominated<'c>(cuts: &[&'c Cut]) -> Vec<&'c Cut> {
    let mut front: Vec<&Cut> = Vec::new();
    for &cut in cuts {
        let worse = |last: &&Cut| {
            let bytes = cut.raw_bytes.cmp(&last.raw_bytes);
            bytes.is_gt() || (bytes.is_eq() && cut.head_macs > last.head_macs)
        };
        if front.last().is_some_and(worse) {
            continue;
        }
        while front
            .last()
            .is_some_and(|last| last.head_macs >= cut.head_macs)
        {
            front.pop();
        }
        front.push(cut);
    }
    front
}

/// Adds, while there are fewer than `limit`, the smallest of `cuts` that lie far from those taken.
fn fill<'c>(taken: &mut Vec<&'c Cut>, cuts: &[&'c Cut], limit: usize) {
    let apart = 1.0 / (limit as f64 + 1.0);
    let mut rest = cuts.to_vec();
    rest.sort_by_key(|c| (c.raw_bytes, Reverse(c.nodes_before)));
    for cut in rest {
        if taken.len() >= limit {
            break;
        }
        let near = |s: f64| (s - share(cut)).abs() < apart;
        // "All there" and "all here" are choices of their own: not near them either.
        if !near(0.0) && !near(1.0) && !taken.iter().any(|t| near(share(t))) {
            taken.push(cut);
        }
    }
}

/// The share of the model's MACs that the head does.
fn share(cut: &Cut) -> f64 {
    let all = cut.head_macs.saturating_add(cut.tail_macs).max(1);
    cut.head_macs as f64 / all as f64
}

/// At most `limit` of them, as different as possible in share of MACs and in log of bytes.
fn spread<'c>(cuts: &[&'c Cut], limit: usize) -> Vec<&'c Cut> {
    if cuts.len() <= limit {
        return cuts.to_vec();
    }
    let log = |c: &&Cut| (1.0 + c.raw_bytes as f64).log2();
    let low = cuts.iter().map(log).fold(f64::INFINITY, f64::min);
    let high = cuts.iter().map(log).fold(low, f64::max);
    let points: Vec<(f64, f64)> = cuts
        .iter()
        .map(|c| (share(c), (log(c) - low) / (high - low).max(1.0)))
        .collect();
    let distance =
        |a: usize, b: usize| (points[a].0 - points[b].0).abs() + (points[a].1 - points[b].1).abs();
    let compromise = (0..cuts.len()).min_by(|a, b| {
        let cost = |i: &usize| points[*i].0 + points[*i].1;
        cost(a).total_cmp(&cost(b))
    });
    let mut kept: Vec<usize> = compromise.into_iter().take(limit).collect();
    while kept.len() < limit {
        let nearest = |i: &usize| {
            let distances = kept.iter().map(|k| distance(*i, *k));
            distances.fold(f64::INFINITY, f64::min)
        };
        let rest = (0..cuts.len()).filter(|i| !kept.contains(i));
        match rest.max_by(|a, b| nearest(a).total_cmp(&nearest(b))) {
            Some(next) => kept.push(next),
            None => break,
        }
    }
    kept.into_iter().map(|i| cuts[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorFact;
    use crate::build::GraphBuilder;

    fn facts(tensors: &[(&str, DType, &[usize])]) -> Facts {
        let fact = |(name, dtype, shape): &(&str, DType, &[usize])| {
            let fact = TensorFact {
                dtype: *dtype,
                shape: shape.to_vec(),
                stable: true,
                value: None,
            };
            ((*name).to_owned(), fact)
        };
        Facts(tensors.iter().map(fact).collect())
    }

    fn names(cuts: &[Cut]) -> Vec<&str> {
        cuts.iter().map(|c| c.name.as_str()).collect()
    }

    /// A pyramid of two levels; the first level is an output of its own.
    fn pyramid() -> (Model, Facts) {
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[8, 8])
            .weight("w", &[8, 8], &[0.0; 64])
            .weight("narrow", &[8, 2], &[0.0; 16])
            .node("MatMul", &["x", "w"], &["a"], vec![])
            .node("Relu", &["a"], &["p1"], vec![])
            .node("MatMul", &["p1", "narrow"], &["p2"], vec![])
            .node("Add", &["p2", "p2"], &["q2"], vec![])
            .node("MatMul", &["p1", "w"], &["q1"], vec![])
            .node("Concat", &["q1", "q2"], &["y"], vec![])
            .untyped_output("y")
            .untyped_output("p1")
            .model()
            .unwrap();
        let wide: &[usize] = &[8, 8];
        let narrow: &[usize] = &[8, 2];
        let [x, a, p1, q1] = ["x", "a", "p1", "q1"].map(|n| (n, DType::F32, wide));
        let [p2, q2] = ["p2", "q2"].map(|n| (n, DType::F32, narrow));
        (model, facts(&[x, a, p1, q1, p2, q2]))
    }

    #[test]
    fn cuts_tell_what_crosses_and_what_each_side_costs() {
        let (model, facts) = pyramid();
        let cuts = model.cuts(&facts);
        assert_eq!(names(&cuts), ["a", "p1", "p1+p2", "p1+q2", "p1+q2+q1"]);
        let cut = &cuts[2];
        assert_eq!(cut.raw_bytes, (64 + 16) * 4);
        assert_eq!((cut.head_macs, cut.tail_macs), (512 + 128, 512));
        assert_eq!(cut.nodes_before, 3);
        // Both sides read `w`.
        assert_eq!((cut.head_params, cut.tail_params), (64 + 16, 64));
        assert_eq!((model.macs(&facts), model.parameters()), (1152, 80));
    }

    #[test]
    fn a_tensor_that_cannot_cross_makes_no_cut() {
        let (model, mut facts) = pyramid();
        facts.0.get_mut("p2").unwrap().stable = false;
        facts.0.remove("a");
        // The order now avoids the place where `p2` would be live.
        assert_eq!(names(&model.cuts(&facts)), ["p1", "p1+q1", "p1+q1+q2"]);
    }

    #[test]
    fn of_equal_candidates_the_last_is_taken() {
        let (model, facts) = pyramid();
        assert_eq!(names(&model.candidates(&facts, 1)), ["p1"]);
        assert!(model.candidates(&facts, 0).is_empty());
    }

    #[test]
    fn a_named_cut_is_checked() {
        let (model, facts) = pyramid();
        let cut = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            model.cut(&facts, &names).map_err(|e| e.to_string())
        };
        let named = cut(&["q2", "p1"]).unwrap();
        assert_eq!(named.name, "q2+p1");
        assert_eq!(named.head_macs, 640);
        assert!(
            cut(&["p2"])
                .unwrap_err()
                .ends_with("'p1' would have to cross too")
        );
        assert!(
            cut(&["p1", "a"])
                .unwrap_err()
                .ends_with("nothing after it needs 'a'")
        );
        assert!(
            cut(&["x"])
                .unwrap_err()
                .contains("input 'x' is still needed")
        );
        assert!(cut(&[]).is_err());
        assert!(cut(&["p1", "p1"]).is_err());
        assert!(
            cut(&["z"])
                .unwrap_err()
                .ends_with("has no tensor named 'z'")
        );
    }

    #[test]
    fn a_quantised_tensor_crosses_in_place_of_its_dequantised_form() {
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[8])
            .weight("scale", &[], &[0.5])
            .node("QuantizeLinear", &["x", "scale"], &["q"], vec![])
            .node("DequantizeLinear", &["q", "scale"], &["d"], vec![])
            .node("Relu", &["d"], &["r"], vec![])
            .node("Add", &["r", "d"], &["y"], vec![])
            .untyped_output("y")
            .model()
            .unwrap();
        let float = ["x", "d", "r"].map(|n| (n, DType::F32, &[8usize][..]));
        let facts = facts(&[float[0], float[1], float[2], ("q", DType::U8, &[8])]);
        assert_eq!(names(&model.cuts(&facts)), ["q", "q+r"]);
        let e = model
            .cut(&facts, &["d".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            e.ends_with("'d' is 'q' in a wider form; name that instead"),
            "{e}"
        );
        let tail = model.part(&facts, &["q".into(), "r".into()], &["y".into()]);
        assert_eq!(tail.unwrap().proto().graph.as_ref().unwrap().node.len(), 2);
    }
}
