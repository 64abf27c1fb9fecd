// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The graph of a model: which node makes a tensor, which read it, and an order in which nodes can run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::depend::{self, Dependence};
use crate::error::Problem;
use crate::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// Index of a tensor in [`Graph::tensors`].
pub(crate) type TensorId = usize;

/// Index of a node in [`Graph::nodes`].
pub(crate) type NodeId = usize;

/// Where a tensor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Input,
    /// Index among the initializers.
    Initializer(usize),
    /// Index among the sparse initializers.
    Sparse(usize),
    Node(NodeId),
}

#[derive(Clone, Debug)]
pub(crate) struct TensorNode {
    pub name: String,
    pub source: Source,
    pub depends: Dependence,
}

/// A node with the tensors it touches, each once. A node with subgraphs also reads what those take from
/// the graph around them; beyond that it is opaque.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Place in `GraphProto.node`.
    pub index: usize,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
}

/// The checked main graph of a model, without its contents.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub tensors: Vec<TensorNode>,
    /// In topological order; where that leaves a choice, in the order of the file.
    pub nodes: Vec<Node>,
    /// The graph's outputs, each once.
    pub outputs: Vec<TensorId>,
    ids: HashMap<String, TensorId>,
}

impl Graph {
    pub fn new(model: &ModelProto) -> Result<Self, Problem> {
        let empty = GraphProto::default();
        let proto = model.graph.as_ref().unwrap_or(&empty);
        let sources = sources(proto)?;
        let order = sort(&proto.node, &sources)?;
        let mut graph = Self {
            tensors: Vec::with_capacity(sources.len()),
            nodes: Vec::with_capacity(order.len()),
            outputs: Vec::new(),
            ids: HashMap::with_capacity(sources.len()),
        };
        for (name, source) in fixed_sources(proto) {
            graph.add(name, source, depend::of_source(source));
        }
        let rules = depend::Rules::new(model);
        for index in order {
            graph.add_node(index, &proto.node[index], &rules);
        }
        for output in &proto.output {
            let id = graph.id(output.name()).ok_or_else(|| {
                Problem::Invalid(format!("nothing produces its output '{}'", output.name()))
            })?;
            if !graph.outputs.contains(&id) {
                graph.outputs.push(id);
            }
        }
        Ok(graph)
    }

    fn add(&mut self, name: &str, source: Source, depends: Dependence) -> TensorId {
        let id = self.tensors.len();
        self.ids.insert(name.to_owned(), id);
        self.tensors.push(TensorNode {
            name: name.to_owned(),
            source,
            depends,
        });
        id
    }

    fn add_node(&mut self, index: usize, node: &NodeProto, rules: &depend::Rules) {
        let id = self.nodes.len();
        let names: Vec<&str> = reads(node).collect();
        let mut inputs: Vec<TensorId> = names.iter().filter_map(|n| self.id(n)).collect();
        inputs.sort_unstable();
        inputs.dedup();
        let depends = rules.of_node(node, |name| self.id(name).map(|t| self.tensors[t].depends));
        let outputs = writes(node).map(|o| self.add(o, Source::Node(id), depends));
        let outputs = outputs.collect();
        self.nodes.push(Node {
            index,
            inputs,
            outputs,
        });
    }

    pub fn id(&self, name: &str) -> Option<TensorId> {
        self.ids.get(name).copied()
    }

    pub fn name(&self, id: TensorId) -> &str {
        &self.tensors[id].name
    }

    /// Whether this is an input the caller feeds.
    pub fn is_input(&self, name: &str) -> bool {
        let id = self.id(name);
        id.is_some_and(|t| self.tensors[t].source == Source::Input)
    }

    pub fn producer(&self, id: TensorId) -> Option<NodeId> {
        match self.tensors[id].source {
            Source::Node(n) => Some(n),
            _ => None,
        }
    }
}

/// Inputs and constants. An initializer that is also listed as input is a constant with a default that
/// nobody overrides here (before IR version 4 all had to be listed).
fn fixed_sources(proto: &GraphProto) -> Vec<(&str, Source)> {
    let dense = proto.initializer.iter().enumerate();
    let sparse = proto.sparse_initializer.iter().enumerate();
    let mut all: Vec<(&str, Source)> = dense
        .map(|(i, t)| (t.name(), Source::Initializer(i)))
        .chain(sparse.filter_map(|(i, t)| Some((t.values.as_ref()?.name(), Source::Sparse(i)))))
        .collect();
    let constants: HashSet<&str> = all.iter().map(|(n, _)| *n).collect();
    let inputs = proto.input.iter().map(|i| i.name());
    all.extend(
        inputs
            .filter(|n| !constants.contains(n))
            .map(|n| (n, Source::Input)),
    );
    all
}

/// Who makes each tensor; for nodes, by place in the file.
fn sources(proto: &GraphProto) -> Result<HashMap<&str, Source>, Problem> {
    let mut sources = HashMap::new();
    let made = proto.node.iter().enumerate();
    let made = made.flat_map(|(i, n)| writes(n).map(move |o| (o, Source::Node(i))));
    for (name, source) in fixed_sources(proto).into_iter().chain(made) {
        if name.is_empty() {
            return Err(Problem::Invalid(
                "an input or initializer has no name".into(),
            ));
        }
        if sources.insert(name, source).is_some() {
            return Err(Problem::Invalid(format!(
                "tensor '{name}' is produced more than once"
            )));
        }
    }
    Ok(sources)
}

/// Places in the file in an order in which each node comes after those it reads from (Kahn's algorithm,
/// the earliest in the file first).
fn sort(nodes: &[NodeProto], sources: &HashMap<&str, Source>) -> Result<Vec<usize>, Problem> {
    let mut waits = vec![0usize; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        for name in reads(node) {
            match sources.get(name) {
                Some(Source::Node(producer)) => {
                    waits[i] += 1;
                    readers[*producer].push(i);
                }
                Some(_) => {}
                None => {
                    return Err(Problem::Invalid(format!(
                        "{} reads tensor '{name}', which nothing produces",
                        describe(node)
                    )));
                }
            }
        }
    }
    let ready = waits.iter().enumerate().filter(|(_, w)| **w == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(|(i, _)| Reverse(i)).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for &reader in &readers[i] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    match waits.iter().position(|w| *w > 0) {
        None => Ok(order),
        Some(i) => Err(Problem::Invalid(format!(
            "{} is part of, or waits for, a cycle",
            describe(&nodes[i])
        ))),
    }
}

fn describe(node: &NodeProto) -> String {
    let name = match node.name() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    };
    format!("node '{name}' ({})", node.op_type())
}

/// Names of the tensors a node makes; optional ones left out are skipped.
pub(crate) fn writes(node: &NodeProto) -> impl Iterator<Item = &str> {
    let names = node.output.iter().map(String::as_str);
    names.filter(|n| !n.is_empty())
}

/// Names of the tensors a node reads, also through its subgraphs; a name may come more than once.
pub fn reads(node: &NodeProto) -> impl Iterator<Item = &str> {
    let direct = node.input.iter().map(String::as_str);
    let mut captured = Vec::new();
    for graph in subgraphs(&node.attribute) {
        captures(graph, &mut captured);
    }
    direct.filter(|n| !n.is_empty()).chain(captured)
}

pub(crate) fn subgraphs(attributes: &[AttributeProto]) -> impl Iterator<Item = &GraphProto> {
    attributes.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Adds the names that a subgraph takes from the graphs around it.
fn captures<'a>(graph: &'a GraphProto, outer: &mut Vec<&'a str>) {
    let mut own: HashSet<&str> = fixed_sources(graph).into_iter().map(|(n, _)| n).collect();
    own.extend(graph.node.iter().flat_map(writes));
    let mut used: Vec<&str> = graph.output.iter().map(|o| o.name()).collect();
    used.extend(graph.node.iter().flat_map(reads));
    outer.extend(
        used.into_iter()
            .filter(|n| !n.is_empty() && !own.contains(n)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use crate::build::{GraphBuilder, int, node, subgraph, untyped};
    use splitinfer_tensor::DType;

    fn two_nodes(first: (&[&str], &str), second: (&[&str], &str)) -> Result<Model, String> {
        GraphBuilder::new(13)
            .input("x", DType::F32, &[1])
            .node("Add", first.0, &[first.1], vec![])
            .node("Mul", second.0, &[second.1], vec![])
            .untyped_output("y")
            .model()
            .map_err(|e| e.to_string())
    }

    #[test]
    fn nodes_out_of_order_are_put_in_order() {
        let model = two_nodes((&["a", "x"], "y"), (&["x", "x"], "a")).unwrap();
        let order: Vec<usize> = model.graph().nodes.iter().map(|n| n.index).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn invalid_graphs_are_refused_by_name() {
        let e = two_nodes((&["x", "lost"], "a"), (&["a", "x"], "y")).unwrap_err();
        assert_eq!(
            e,
            "the model is not a valid ONNX graph: node 'a' (Add) reads tensor 'lost', which nothing produces"
        );
        let e = two_nodes((&["x", "x"], "y"), (&["x", "x"], "y")).unwrap_err();
        assert!(e.ends_with("tensor 'y' is produced more than once"), "{e}");
        let e = two_nodes((&["x", "x"], "x"), (&["x", "x"], "y")).unwrap_err();
        assert!(e.ends_with("tensor 'x' is produced more than once"), "{e}");
        let e = two_nodes((&["x", "y"], "a"), (&["a", "x"], "y")).unwrap_err();
        assert!(e.ends_with("cycle"), "{e}");
        let e = two_nodes((&["x", "x"], "a"), (&["a", "x"], "b")).unwrap_err();
        assert!(e.ends_with("nothing produces its output 'y'"), "{e}");
    }

    #[test]
    fn a_node_reads_what_its_subgraphs_take_from_outside() {
        let inner = GraphBuilder::new(13)
            .weight("k", &[1], &[2.0])
            .node("Mul", &["outside", "k"], &["t"], vec![])
            .untyped_output("t")
            .graph();
        let nested = GraphBuilder::new(13)
            .node(
                "If",
                &["deep"],
                &["u"],
                vec![subgraph("then_branch", inner.clone())],
            )
            .untyped_output("u")
            .graph();
        let node = node(
            "If",
            &["condition"],
            &["y"],
            vec![
                subgraph("then_branch", inner),
                subgraph("else_branch", nested),
                int("unrelated", 1),
            ],
        );
        let names: Vec<&str> = reads(&node).collect();
        assert_eq!(names, ["condition", "outside", "deep", "outside"]);
    }

    #[test]
    fn initializers_that_old_files_list_as_inputs_are_not_fed() {
        let mut proto = GraphBuilder::new(9)
            .input("x", DType::F32, &[2])
            .input("w", DType::F32, &[2])
            .weight("w", &[2], &[1.0, 2.0])
            .node("Add", &["x", "w"], &["y"], vec![])
            .untyped_output("y")
            .proto();
        proto.ir_version = Some(3);
        let model = Model::from_proto(proto).unwrap();
        assert_eq!(model.inputs().len(), 1);
        assert_eq!(model.inputs()[0].name, "x");
    }

    #[test]
    fn an_output_may_be_listed_twice_and_may_be_an_input() {
        let mut proto = GraphBuilder::new(13)
            .input("x", DType::F32, &[1])
            .untyped_output("x")
            .proto();
        let graph = proto.graph.as_mut().unwrap();
        graph.output.push(untyped("x"));
        assert_eq!(Model::from_proto(proto).unwrap().graph().outputs.len(), 1);
    }
}
