// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Parts: what lies between some tensors and others, as a model of its own.

use std::collections::{BTreeSet, HashSet};

use splitinfer_tensor::Tensor;

use crate::build::{node, tensor, untyped, value};
use crate::error::{GraphError, Problem};
use crate::facts::Facts;
use crate::model::{Model, quoted};
use crate::order::{Graph, NodeId, Source, TensorId};
use crate::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, TensorAnnotation, TensorShapeProto,
    TensorType, TypeProto, TypeValue, ValueInfoProto,
};
use crate::schedule::embedded;

/// Before this version every initializer had to be listed as input.
const IR_INITIALIZERS_ALONE: i64 = 4;

impl Model {
    /// The model that computes `outputs` from `inputs`: exactly these, in this order, typed as `facts` says.
    ///
    /// It holds the nodes in between, the constants they read, and, as constants, the values that the input's
    /// shape decides. Operator sets, functions, metadata and known types are kept; training information is
    /// not. Outputs may be any tensors: one that is also an input, or that is a constant, is handed through.
    ///
    /// An output of unknown type is left to inference.
    ///
    /// # Errors
    /// When a tensor does not exist, when `inputs` or `outputs` name one twice, when `outputs` is empty, when
    /// the type of an input is not known, or when an input of the whole model that is not among `inputs`
    /// would be needed (the message names it).
    pub fn part(
        &self,
        facts: &Facts,
        inputs: &[String],
        outputs: &[String],
    ) -> Result<Model, GraphError> {
        let problem = |reason: String| {
            self.problem(Problem::NoSuchPart {
                inputs: quoted(inputs.iter().map(String::as_str)),
                outputs: quoted(outputs.iter().map(String::as_str)),
                reason,
            })
        };
        let from = self.ids(inputs).map_err(|e| e.unwrap_or_else(&problem))?;
        let to = self.ids(outputs).map_err(|e| e.unwrap_or_else(&problem))?;
        if to.is_empty() {
            return Err(problem("it would give nothing".into()));
        }
        let between = Between::new(self.graph(), facts, &from, &to)
            .map_err(|input| problem(format!("input '{input}' would be needed too")))?;
        let graph = self.part_graph(facts, &from, &to, between);
        if let Some(input) = graph.input.iter().find(|i| i.r#type.is_none()) {
            let name = input.name();
            return Err(problem(format!(
                "neither the model nor the facts tell the type of '{name}'"
            )));
        }
        let proto = self.proto();
        self.with_proto(ModelProto {
            ir_version: Some(proto.ir_version().max(IR_INITIALIZERS_ALONE)),
            producer_name: proto.producer_name.clone(),
            producer_version: proto.producer_version.clone(),
            domain: proto.domain.clone(),
            model_version: proto.model_version,
            doc_string: proto.doc_string.clone(),
            graph: Some(graph),
            opset_import: proto.opset_import.clone(),
            metadata_props: proto.metadata_props.clone(),
            training_info: Vec::new(),
            functions: proto.functions.clone(),
            configuration: proto.configuration.clone(),
        })
    }

    /// Ids of named tensors; the error is the graph's, or says that a name comes twice.
    fn ids(&self, names: &[String]) -> Result<Vec<TensorId>, Result<GraphError, String>> {
        let mut seen = HashSet::new();
        let id = |name: &String| {
            let missing = || Ok(self.problem(Problem::NoSuchTensor(name.clone())));
            let id = self.graph().id(name).ok_or_else(missing)?;
            match seen.insert(id) {
                true => Ok(id),
                false => Err(Err(format!("'{name}' is named twice"))),
            }
        };
        names.iter().map(id).collect()
    }

    fn part_graph(
        &self,
        facts: &Facts,
        from: &[TensorId],
        to: &[TensorId],
        between: Between,
    ) -> GraphProto {
        let (main, graph) = (self.main(), self.graph());
        let mut part = GraphProto {
            name: main.name.clone(),
            doc_string: main.doc_string.clone(),
            metadata_props: main.metadata_props.clone(),
            input: from.iter().map(|t| self.typed(facts, *t)).collect(),
            output: to.iter().map(|t| self.typed(facts, *t)).collect(),
            ..Default::default()
        };
        let fed: HashSet<TensorId> = from.iter().copied().collect();
        for &n in &between.nodes {
            let mut copy = main.node[graph.nodes[n].index].clone();
            for output in &mut copy.output {
                // A fed tensor whose node runs for another of its outputs must not be made a second time.
                if graph.id(output).is_some_and(|t| fed.contains(&t)) {
                    *output = self.fresh(output, "unused");
                }
            }
            part.node.push(copy);
        }
        for &constant in &between.constants {
            match graph.tensors[constant].source {
                Source::Initializer(i) => part.initializer.push(main.initializer[i].clone()),
                Source::Sparse(i) => part
                    .sparse_initializer
                    .push(main.sparse_initializer[i].clone()),
                _ => {}
            }
        }
        let values = between.values.iter();
        let values = values.map(|(t, value)| tensor(graph.name(*t), value));
        part.initializer.extend(values);
        self.hand_constants_through(&mut part);
        self.keep_annotations(&mut part);
        part
    }

    /// Lets a node give what would be constant and output at once: not every runtime takes that.
    fn hand_constants_through(&self, part: &mut GraphProto) {
        let given: HashSet<&str> = part.output.iter().map(|o| o.name()).collect();
        let mut nodes = Vec::new();
        let dense = part.initializer.iter_mut();
        let sparse = part.sparse_initializer.iter_mut();
        let all = dense.chain(sparse.filter_map(|s| s.values.as_mut()));
        for constant in all.filter(|c| given.contains(c.name())) {
            let name = constant.name().to_owned();
            let renamed = self.fresh(&name, "value");
            nodes.push(node("Identity", &[&renamed], &[&name], vec![]));
            constant.name = Some(renamed);
        }
        // They come first: other nodes may read what they give.
        part.node.splice(0..0, nodes);
    }

    /// Types of intermediate tensors and quantisation notes, as far as they concern the part.
    fn keep_annotations(&self, part: &mut GraphProto) {
        let main = self.main();
        let made = part.node.iter().flat_map(|n| &n.output).map(String::as_str);
        let made: HashSet<&str> = made.collect();
        let edge = part.input.iter().chain(&part.output).map(|v| v.name());
        let edge: HashSet<&str> = edge.collect();
        let inner = |v: &&ValueInfoProto| made.contains(v.name()) && !edge.contains(v.name());
        let value_info = main.value_info.iter().filter(inner).cloned().collect();
        let mut present = &made | &edge;
        present.extend(part.initializer.iter().map(|i| i.name()));
        let concerns = |a: &&TensorAnnotation| {
            let mut parameters = a.quant_parameter_tensor_names.iter();
            present.contains(a.tensor_name()) && parameters.all(|p| present.contains(p.value()))
        };
        let annotations = main.quantization_annotation.iter();
        let annotations = annotations.filter(concerns).cloned().collect();
        part.value_info = value_info;
        part.quantization_annotation = annotations;
    }

    /// A name that the model does not use.
    pub(crate) fn fresh(&self, name: &str, why: &str) -> String {
        let mut fresh = format!("{name}__{why}");
        while self.graph().id(&fresh).is_some() {
            fresh.push('_');
        }
        fresh
    }

    /// A tensor with its type: measured, or else as the model says it.
    fn typed(&self, facts: &Facts, tensor: TensorId) -> ValueInfoProto {
        let name = self.graph().name(tensor);
        let main = self.main();
        let known = main
            .input
            .iter()
            .chain(&main.output)
            .chain(&main.value_info);
        let said = known.into_iter().find(|v| v.name() == name);
        match (facts.get(name), said) {
            (Some(fact), Some(said)) if fact.stable => ValueInfoProto {
                r#type: value(name, fact.dtype, &fact.shape)
                    .r#type
                    .map(|t| TypeProto {
                        denotation: said.r#type.as_ref().and_then(|t| t.denotation.clone()),
                        ..t
                    }),
                ..said.clone()
            },
            (Some(fact), None) if fact.stable => value(name, fact.dtype, &fact.shape),
            (_, Some(said)) => said.clone(),
            _ => ValueInfoProto {
                r#type: self.constant_type(tensor),
                ..untyped(name)
            },
        }
    }

    fn constant_type(&self, tensor: TensorId) -> Option<TypeProto> {
        let Source::Initializer(i) = self.graph().tensors[tensor].source else {
            return None;
        };
        let constant = &self.main().initializer[i];
        let size = |d: &i64| Dimension {
            value: Some(DimensionValue::Value(*d)),
            denotation: None,
        };
        Some(TypeProto {
            value: Some(TypeValue::Tensor(TensorType {
                elem_type: constant.data_type,
                shape: Some(TensorShapeProto {
                    dim: constant.dims.iter().map(size).collect(),
                }),
            })),
            denotation: None,
        })
    }
}

/// What lies between two sets of tensors.
struct Between<'f> {
    /// In topological order.
    nodes: BTreeSet<NodeId>,
    constants: BTreeSet<TensorId>,
    values: Vec<(TensorId, &'f Tensor)>,
}

impl<'f> Between<'f> {
    /// Walks back from `to`. The error is the name of an input that would be needed beside `from`.
    fn new(
        graph: &Graph,
        facts: &'f Facts,
        from: &[TensorId],
        to: &[TensorId],
    ) -> Result<Self, String> {
        let mut between = Self {
            nodes: BTreeSet::new(),
            constants: BTreeSet::new(),
            values: Vec::new(),
        };
        let mut seen: HashSet<TensorId> = from.iter().copied().collect();
        let mut open: Vec<TensorId> = to.to_vec();
        while let Some(tensor) = open.pop() {
            if !seen.insert(tensor) {
                continue;
            }
            if let Some(value) = embedded(graph, facts, tensor) {
                between.values.push((tensor, value));
                continue;
            }
            match graph.tensors[tensor].source {
                Source::Input => return Err(graph.name(tensor).to_owned()),
                Source::Initializer(_) | Source::Sparse(_) => {
                    between.constants.insert(tensor);
                }
                Source::Node(node) => {
                    if between.nodes.insert(node) {
                        open.extend(&graph.nodes[node].inputs);
                    }
                }
            }
        }
        // A node that runs anyway makes the value itself.
        let runs = |t: TensorId| {
            graph
                .producer(t)
                .is_some_and(|n| between.nodes.contains(&n))
        };
        between.values.retain(|(t, _)| !runs(*t));
        between.values.sort_by_key(|(t, _)| *t);
        Ok(between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorFact;
    use crate::build::{GraphBuilder, ints};
    use splitinfer_tensor::DType;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    fn fact(shape: &[usize], value: Option<Tensor>) -> TensorFact {
        let dtype = value.as_ref().map_or(DType::F32, Tensor::dtype);
        TensorFact {
            dtype,
            shape: shape.to_vec(),
            stable: true,
            value,
        }
    }

    /// x → a → r → y, with a shape computed on the way and a weight that both ends read.
    fn model() -> (Model, Facts) {
        let mut proto = GraphBuilder::new(17)
            .input("x", DType::F32, &[2, 2])
            .weight("w", &[2, 2], &[1.0; 4])
            .weight("far", &[2, 2], &[2.0; 4])
            .node("MatMul", &["x", "w"], &["a"], vec![])
            .node("Shape", &["a"], &["shape"], vec![])
            .node("Neg", &["w"], &["negative"], vec![])
            .node("Reshape", &["a", "shape"], &["r"], vec![])
            .node("Sum", &["r", "negative", "far"], &["y"], vec![])
            .node("Split", &["y"], &["s0", "s1"], vec![ints("axis", &[0])])
            .output("y", DType::F32, &[2, 2])
            .proto();
        let graph = proto.graph.as_mut().unwrap();
        graph.value_info = vec![
            value("a", DType::F32, &[2, 2]),
            value("r", DType::F32, &[2, 2]),
        ];
        let shape = Tensor::new(vec![2], vec![2i64, 2]).unwrap();
        let square = ["x", "a", "r", "y", "s0", "s1"];
        let mut facts = Facts(square.map(|n| (n.to_owned(), fact(&[2, 2], None))).into());
        facts.0.insert("shape".into(), fact(&[2], Some(shape)));
        (Model::from_proto(proto).unwrap(), facts)
    }

    fn contents(model: &Model) -> (Vec<&str>, Vec<&str>) {
        let graph = model.proto().graph.as_ref().unwrap();
        let nodes = graph.node.iter().map(|n| n.op_type()).collect();
        (nodes, graph.initializer.iter().map(|i| i.name()).collect())
    }

    #[test]
    fn a_tail_has_its_own_constants_and_the_shapes_it_needs() {
        let (model, facts) = model();
        let tail = model.part(&facts, &names(&["a"]), &names(&["y"])).unwrap();
        assert_eq!(
            contents(&tail),
            (vec!["Neg", "Reshape", "Sum"], vec!["w", "far", "shape"])
        );
        assert_eq!(tail.inputs()[0].name, "a");
        assert_eq!(tail.inputs()[0].dtype, Some(DType::F32));
        let known = &tail.proto().graph.as_ref().unwrap().value_info;
        assert_eq!(known.iter().map(|v| v.name()).collect::<Vec<_>>(), ["r"]);
        let head = model.part(&facts, &names(&["x"]), &names(&["a"])).unwrap();
        assert_eq!(contents(&head), (vec!["MatMul"], vec!["w"]));
    }

    #[test]
    fn inputs_and_constants_are_handed_through() {
        let (model, facts) = model();
        let outputs = names(&["a", "y", "w", "shape"]);
        let part = model.part(&facts, &names(&["a"]), &outputs).unwrap();
        let (nodes, constants) = contents(&part);
        assert_eq!(nodes, ["Identity", "Identity", "Neg", "Reshape", "Sum"]);
        assert_eq!(constants, ["w__value", "far", "shape__value"]);
        let given: Vec<String> = part.outputs().into_iter().map(|o| o.name).collect();
        assert_eq!(given, outputs);
        assert!(part.outputs().iter().all(|o| o.shape.is_some()));
    }

    #[test]
    fn a_fed_tensor_is_not_made_a_second_time() {
        let (model, facts) = model();
        let part = model
            .part(&facts, &names(&["y", "s0"]), &names(&["s1"]))
            .unwrap();
        let graph = part.proto().graph.as_ref().unwrap();
        assert_eq!(graph.node[0].output, names(&["s0__unused", "s1"]));
    }

    #[test]
    fn what_is_impossible_is_said() {
        let (model, facts) = model();
        let error = |inputs: &[&str], outputs: &[&str]| {
            let part = model.part(&facts, &names(inputs), &names(outputs));
            part.unwrap_err().to_string()
        };
        assert_eq!(
            error(&["s0"], &["y"]),
            "the model has no part from 's0' to 'y': input 'x' would be needed too"
        );
        assert_eq!(error(&["x"], &["z"]), "the model has no tensor named 'z'");
        assert!(error(&["x"], &[]).ends_with("it would give nothing"));
        assert!(error(&["x", "x"], &["y"]).ends_with("'x' is named twice"));
        let e = model.part(&Facts::default(), &names(&["s0"]), &names(&["s0"]));
        assert!(e.unwrap_err().to_string().contains("the type of 's0'"));
    }

    #[test]
    fn old_files_get_a_version_that_lets_initializers_stand_alone() {
        let (model, facts) = model();
        let mut proto = model.proto().clone();
        proto.ir_version = Some(3);
        let graph = proto.graph.as_mut().unwrap();
        graph.input.push(value("w", DType::F32, &[2, 2]));
        let model = Model::from_proto(proto).unwrap();
        let part = model.part(&facts, &names(&["x"]), &names(&["y"])).unwrap();
        assert_eq!(part.proto().ir_version(), 4);
        assert_eq!(part.proto().graph.as_ref().unwrap().input.len(), 1);
    }
}
