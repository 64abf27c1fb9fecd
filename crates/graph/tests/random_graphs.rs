// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Cuts and parts of random graphs, checked by evaluating whole and parts.
//!
//! The value of a tensor is a hash of the node that makes it and of the values it reads, so two models
//! agree only if the same nodes read the same tensors.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use splitinfer_graph::build::GraphBuilder;
use splitinfer_graph::proto::{GraphProto, NodeProto};
use splitinfer_graph::{Cut, Facts, Model, TensorFact};
use splitinfer_tensor::{DType, Tensor};

const SIDE: usize = 4;
const PICTURE: [usize; 2] = [SIDE, 100];

#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    picks: Vec<prop::sample::Index>,
    side: usize,
    can_cross: bool,
    given: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    let mostly = prop::bool::weighted(0.9);
    let rarely = prop::bool::weighted(0.1);
    (0u8..10, picks, 1usize..32, mostly, rarely).prop_map(
        |(kind, picks, side, can_cross, given)| Step {
            kind,
            picks,
            side,
            can_cross,
            given,
        },
    )
}

/// A graph with constants, shapes, widened tensors, nodes of two outputs and dead ends, not in order.
fn graph() -> impl Strategy<Value = (Model, Facts)> {
    (prop::collection::vec(step(), 1..24), any::<bool>()).prop_map(|(steps, reversed)| {
        let mut builder = GraphBuilder::new(17)
            .input("x", DType::F32, &PICTURE)
            .weight("w", &[SIDE, SIDE], &[1.0; SIDE * SIDE])
            .weight("scale", &[], &[0.5]);
        let mut facts = HashMap::new();
        let fact = |dtype, shape: &[usize], stable| TensorFact {
            dtype,
            shape: shape.to_vec(),
            stable,
            value: None,
        };
        facts.insert("x".to_owned(), fact(DType::F32, &PICTURE, true));
        let mut tensors = vec!["x".to_owned(), "w".to_owned()];
        let mut outputs = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            // Mostly recent ones, or the picture would be read until the end and there were no cuts.
            let recent = &tensors[tensors.len().saturating_sub(6)..];
            let inputs: Vec<String> = step.picks.iter().map(|p| p.get(recent).clone()).collect();
            let first = inputs[0].as_str();
            let all: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let name = format!("t{i}");
            let twin = format!("u{i}");
            let shape = [SIDE, step.side];
            builder = match step.kind {
                0 => builder.node("Shape", &[first], &[&name], vec![]),
                1 => builder.node("DequantizeLinear", &[first, "scale"], &[&name], vec![]),
                2 => builder.node("Split", &all, &[&name, &twin], vec![]),
                3 => builder.node("Add", &["w", "w"], &[&name], vec![]),
                4 => builder.node("MatMul", &[first, "w"], &[&name], vec![]),
                _ => builder.node("Sum", &all, &[&name], vec![]),
            };
            let dtype = if step.kind == 1 {
                DType::F64
            } else {
                DType::F32
            };
            facts.insert(name.clone(), fact(dtype, &shape, step.can_cross));
            if step.kind == 2 {
                facts.insert(twin.clone(), fact(dtype, &shape, true));
                tensors.push(twin);
            }
            if step.given {
                outputs.push(name.clone());
            }
            tensors.push(name);
        }
        let last = tensors.last().cloned().unwrap_or_default();
        if !outputs.contains(&last) {
            outputs.push(last);
        }
        for output in &outputs {
            builder = builder.untyped_output(output);
        }
        let mut proto = builder.proto();
        if reversed && let Some(graph) = &mut proto.graph {
            graph.node.reverse();
        }
        let model = Model::from_proto(proto).expect("a valid graph");
        for name in model.shape_only() {
            let value = Tensor::new(vec![2], vec![1i64, 2]).expect("two elements");
            facts.entry(name).and_modify(|f| {
                f.dtype = DType::I64;
                f.shape = vec![2];
                f.value = Some(value);
            });
        }
        (model, Facts(facts))
    })
}

type Values = HashMap<String, u64>;

fn main_graph(model: &Model) -> &GraphProto {
    model.proto().graph.as_ref().expect("a graph")
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Values of the model's outputs, fed with `fed`; constants whose name is in `known` have that value.
fn evaluate(model: &Model, fed: &Values, known: &Values) -> Values {
    let graph = main_graph(model);
    let mut values = fed.clone();
    for constant in &graph.initializer {
        let name = constant.name().trim_end_matches("__value").to_owned();
        let value = known.get(&name).copied().unwrap_or_else(|| hash(&name));
        values.insert(constant.name().to_owned(), value);
    }
    let mut waiting: Vec<&NodeProto> = graph.node.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|node| {
            let inputs: Option<Vec<u64>> =
                node.input.iter().map(|i| values.get(i).copied()).collect();
            let Some(inputs) = inputs else {
                return true;
            };
            for (i, output) in node.output.iter().enumerate() {
                let value = match node.op_type() {
                    "Identity" => inputs[0],
                    op => hash((op, node.name(), i, &inputs)),
                };
                values.insert(output.clone(), value);
            }
            false
        });
        assert!(waiting.len() < before, "{waiting:?} cannot run");
    }
    values
}

fn names(cut: &Cut) -> Vec<String> {
    cut.tensors.iter().map(|t| t.name.clone()).collect()
}

fn only(values: &Values, keys: &[String]) -> Values {
    keys.iter().map(|k| (k.clone(), values[k])).collect()
}

fn made(model: &Model) -> HashSet<&str> {
    main_graph(model).node.iter().map(|n| n.name()).collect()
}

fn check(model: &Model, facts: &Facts) {
    let inputs: Vec<String> = model.inputs().into_iter().map(|i| i.name).collect();
    let outputs: Vec<String> = model.outputs().into_iter().map(|o| o.name).collect();
    let fed: Values = inputs.iter().map(|i| (i.clone(), hash(i))).collect();
    let all = evaluate(model, &fed, &Values::new());
    let known: Values = model
        .shape_only()
        .into_iter()
        .map(|n| (n.clone(), all[&n]))
        .collect();
    let part = |from: &[String], to: &[String]| model.part(facts, from, to).expect("a part");
    let whole = part(&inputs, &outputs);
    assert_eq!(
        only(&evaluate(&whole, &fed, &known), &outputs),
        only(&all, &outputs)
    );

    let cuts = model.cuts(facts);
    let (mut live, mut values) = (inputs.clone(), fed.clone());
    let mut nodes_before = 0;
    for cut in &cuts {
        let crossing = names(cut);
        let head = part(&inputs, &crossing);
        let sent = evaluate(&head, &fed, &known);
        assert_eq!(only(&sent, &crossing), only(&all, &crossing));
        let tail = part(&crossing, &outputs);
        let received = only(&sent, &crossing);
        let result = evaluate(&tail, &received, &known);
        assert_eq!(only(&result, &outputs), only(&all, &outputs));

        // Nothing crosses that nobody reads, and no data is worked on twice.
        let read = main_graph(&tail).node.iter().flat_map(|n| &n.input);
        let read: HashSet<&String> = read.chain(&outputs).collect();
        assert!(crossing.iter().all(|t| read.contains(t)), "{}", cut.name);
        let widens = |n: &NodeProto| n.op_type() == "DequantizeLinear";
        let fixed = |n: &NodeProto| model.part(facts, &[], &n.output[..1]).is_ok();
        let in_head = made(&head);
        let mut twice = main_graph(&tail)
            .node
            .iter()
            .filter(|n| in_head.contains(n.name()));
        assert!(twice.all(|n| widens(n) || fixed(n)), "{}", cut.name);

        // Heads are nested: the chain of parts between consecutive cuts is the head.
        let fresh: Vec<String> = crossing
            .iter()
            .filter(|t| !live.contains(t))
            .cloned()
            .collect();
        let link = part(&live, &fresh);
        values.extend(evaluate(&link, &only(&values, &live), &known));
        assert_eq!(only(&values, &crossing), received);
        assert!(cut.nodes_before > nodes_before);
        nodes_before = cut.nodes_before;
        live = crossing;

        assert_eq!(cut.head_macs + cut.tail_macs, model.macs(facts));
        assert_eq!(&model.cut(facts, &live).expect("a cut"), cut);
        assert!(
            cut.tensors
                .iter()
                .all(|t| facts.get(&t.name).is_some_and(|f| f.stable))
        );
    }
    let distinct: HashSet<&str> = cuts.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(distinct.len(), cuts.len());
    candidates_are_the_best(model, facts, &cuts);
}

fn candidates_are_the_best(model: &Model, facts: &Facts, cuts: &[Cut]) {
    for limit in [0, 1, 3, cuts.len()] {
        let some = model.candidates(facts, limit);
        assert!(some.len() <= limit);
        assert!(limit == 0 || cuts.is_empty() || !some.is_empty());
        assert!(some.is_sorted_by_key(|c| c.nodes_before));
        assert!(some.iter().all(|c| cuts.contains(c)));
    }
    let picture: usize = PICTURE.iter().product();
    let values = |c: &Cut| {
        c.tensors
            .iter()
            .map(|t| t.shape.iter().product::<usize>())
            .sum::<usize>()
    };
    let useful = |c: &&Cut| c.head_macs > 0 && c.tail_macs > 0 && values(c) < picture;
    let all = model.candidates(facts, cuts.len());
    for cut in cuts.iter().filter(useful) {
        let covers = |c: &Cut| c.head_macs <= cut.head_macs && c.raw_bytes <= cut.raw_bytes;
        assert!(all.iter().any(covers), "nothing is as good as {}", cut.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn head_and_tail_of_every_cut_are_the_model((model, facts) in graph()) {
        check(&model, &facts);
    }

    #[test]
    fn bytes_from_anywhere_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Model::from_bytes(&bytes, None);
    }

    #[test]
    fn a_damaged_model_never_panics(
        (model, facts) in graph(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = model.to_bytes();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for bytes in [&bytes[..], &bytes[..end.index(bytes.len())]] {
            if let Ok(damaged) = Model::from_bytes(bytes, None) {
                let cuts = damaged.candidates(&facts, 4);
                let _ = damaged.probe_model().hash();
                let outputs: Vec<String> = damaged.outputs().into_iter().map(|o| o.name).collect();
                for cut in &cuts {
                    let _ = damaged.part(&facts, &names(cut), &outputs);
                }
            }
        }
    }
}
