// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model that tells facts about another: every tensor that may matter becomes an output.

use std::collections::HashSet;

use crate::build::untyped;
use crate::depend::Level;
use crate::model::Model;
use crate::order::{TensorId, subgraphs};
use crate::proto::{GraphProto, ModelProto, NodeProto, TypeValue, ValueInfoProto};

/// Operators that give sequences, maps or optional values, which are no tensors.
const NO_TENSOR: [&str; 9] = [
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceInsert",
    "SequenceErase",
    "SequenceMap",
    "SplitToSequence",
    "Optional",
    "ZipMap",
    "StringSplit",
];

impl Model {
    /// The same model, which gives, after its own outputs, every tensor that may cross a cut or whose value
    /// shapes decide. Running it (twice, on different inputs) yields the [`Facts`](crate::Facts).
    ///
    /// The added outputs have names but no types: a runtime infers them. Sequences, maps and optional values
    /// are not added, nor is what constants alone decide.
    pub fn probe_model(&self) -> Model {
        self.giving_tensors(Level::Shapes)
    }

    /// As [`Model::probe_model`], but what constants alone decide is added too.
    pub fn probe_all_model(&self) -> Model {
        self.giving_tensors(Level::Constant)
    }

    /// With every tensor as an output that depends on so much at least.
    fn giving_tensors(&self, least: Level) -> Model {
        let graph = self.graph();
        let others = self.no_tensors();
        let wanted = |t: &TensorId| {
            graph.producer(*t).is_some()
                && graph.tensors[*t].depends.value >= least
                && !graph.outputs.contains(t)
                && !others.contains(graph.name(*t))
        };
        let added = (0..graph.tensors.len()).filter(wanted);
        let mut proto = ModelProto::clone(self.proto());
        if let Some(main) = &mut proto.graph {
            main.output.extend(added.map(|t| untyped(graph.name(t))));
        }
        // More outputs cannot make a valid graph invalid.
        self.with_proto(proto).unwrap_or_else(|_| self.clone())
    }

    /// Tensors whose value depends on the shape of the inputs but not on their data. For these
    /// [`TensorFact::value`](crate::TensorFact::value) is used.
    pub fn shape_only(&self) -> HashSet<String> {
        self.decided_by(|level| level == Level::Shapes)
    }

    /// Tensors whose value does not depend on data: [`Model::shape_only`], and what constants alone decide.
    pub fn without_data(&self) -> HashSet<String> {
        self.decided_by(|level| level < Level::Data)
    }

    fn decided_by(&self, wanted: impl Fn(Level) -> bool) -> HashSet<String> {
        let tensors = self.graph().tensors.iter();
        tensors
            .filter(|t| wanted(t.depends.value))
            .map(|t| t.name.clone())
            .collect()
    }

    /// Names of values that are not tensors, by the model's own types or by the operator.
    fn no_tensors(&self) -> HashSet<&str> {
        let main = self.main();
        let typed = main
            .value_info
            .iter()
            .chain(&main.input)
            .chain(&main.output);
        let mut found: HashSet<&str> = typed.filter(|v| !is_tensor(v)).map(|v| v.name()).collect();
        for node in &self.graph().nodes {
            let node = &main.node[node.index];
            let hands_on = node.op_type() == "Identity";
            let of_input = hands_on && node.input.iter().any(|i| found.contains(i.as_str()));
            if NO_TENSOR.contains(&node.op_type()) || of_input {
                found.extend(node.output.iter().map(String::as_str));
            } else {
                found.extend(control_flow_no_tensors(node));
            }
        }
        found
    }
}

/// Outputs of `If`, `Loop` and `Scan` that their subgraphs say, or let see, are no tensors. A subgraph's
/// last outputs are the node's; a loop's first one is its condition.
fn control_flow_no_tensors(node: &NodeProto) -> Vec<&str> {
    let mut found = Vec::new();
    for graph in subgraphs(&node.attribute) {
        let skip = graph.output.len().saturating_sub(node.output.len());
        for (inner, outer) in graph.output.iter().skip(skip).zip(&node.output) {
            if !is_tensor(inner) || made_as_no_tensor(graph, inner.name()) {
                found.push(outer.as_str());
            }
        }
    }
    found
}

fn made_as_no_tensor(graph: &GraphProto, name: &str) -> bool {
    let makes = |n: &&NodeProto| n.output.iter().any(|o| o == name);
    let maker = graph.node.iter().find(makes);
    maker.is_some_and(|n| NO_TENSOR.contains(&n.op_type()))
}

/// Whether a value is, or may be, a tensor.
fn is_tensor(value: &ValueInfoProto) -> bool {
    let kind = value.r#type.as_ref().and_then(|t| t.value.as_ref());
    matches!(kind, None | Some(TypeValue::Tensor(_)))
}

#[cfg(test)]
mod tests {
    use crate::build::GraphBuilder;
    use splitinfer_tensor::DType;

    #[test]
    fn every_tensor_on_data_or_shapes_becomes_an_output() {
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[2])
            .weight("w", &[2], &[1.0, 2.0])
            .node("Neg", &["w"], &["constant"], vec![])
            .node("Add", &["x", "constant"], &["a"], vec![])
            .node("Shape", &["a"], &["shape"], vec![])
            .node("SequenceConstruct", &["a"], &["sequence"], vec![])
            .node("Identity", &["sequence"], &["same"], vec![])
            .node("ConcatFromSequence", &["same"], &["y"], vec![])
            .output("y", DType::F32, &[2])
            .model()
            .unwrap();
        let outputs = model.probe_model().outputs();
        let names: Vec<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["y", "a", "shape"]);
        assert_eq!(
            model.shape_only().into_iter().collect::<Vec<_>>(),
            ["shape"]
        );
    }
}
