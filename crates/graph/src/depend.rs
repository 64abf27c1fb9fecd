// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a tensor's value depends on: constants only, the shapes of the inputs, or their data.
//!
//! Values that constants decide are computed again in each part that needs them. Values that shapes decide
//! (the Shape → Gather → Concat → Reshape chains of exporters) are the same for every frame once the input
//! shape is fixed, so they become constants too. Only what depends on data can cross a cut.

use crate::order::{Source, reads, subgraphs};
use crate::proto::{ModelProto, NodeProto};

/// Ordered: a node's outputs depend on the most that any of its inputs depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Constant,
    Shapes,
    Data,
}

/// What decides a tensor's value, and what decides its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dependence {
    pub value: Level,
    pub shape: Level,
}

/// Of a tensor that no node makes.
pub(crate) fn of_source(source: Source) -> Dependence {
    match source {
        Source::Input => Dependence {
            value: Level::Data,
            shape: Level::Shapes,
        },
        _ => Dependence {
            value: Level::Constant,
            shape: Level::Constant,
        },
    }
}

/// Operators whose value no input decides. Two runs differ, so they run in one part only.
const RANDOM: [&str; 6] = [
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
];

/// How dependence passes through the nodes of one model.
pub(crate) struct Rules {
    /// Some function of the model has a random operator inside.
    random_functions: bool,
}

impl Rules {
    pub fn new(model: &ModelProto) -> Self {
        let nodes = model.functions.iter().flat_map(|f| &f.node);
        Self {
            random_functions: nodes.into_iter().any(random),
        }
    }

    /// Of the outputs of `node`, from those of the tensors it reads.
    pub fn of_node(&self, node: &NodeProto, of: impl Fn(&str) -> Option<Dependence>) -> Dependence {
        let inputs: Vec<Dependence> = reads(node).filter_map(&of).collect();
        let value = highest(inputs.iter().map(|d| d.value));
        let shape = highest(inputs.iter().map(|d| d.shape));
        if random(node) || (self.random_functions && !standard(node)) {
            return Dependence {
                value: Level::Data,
                shape: value.max(shape),
            };
        }
        if standard(node) && matches!(node.op_type(), "Shape" | "Size") {
            return Dependence {
                // What is made from data is no constant, even if its rank is: a part cannot make it again
                // without the data, but it can have its value.
                value: shape.max(value.min(Level::Shapes)),
                shape: Level::Constant,
            };
        }
        let shape = match shape_givers(node) {
            Some(places) => highest(places.filter_map(|i| {
                let name = node.input.get(i)?;
                of(name).map(|d| d.value)
            }))
            .max(shape),
            None => value.max(shape),
        };
        // The value cannot be known without the shape.
        Dependence {
            value: value.max(shape),
            shape,
        }
    }
}

fn highest(levels: impl Iterator<Item = Level>) -> Level {
    levels.max().unwrap_or(Level::Constant)
}

fn standard(node: &NodeProto) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

fn random(node: &NodeProto) -> bool {
    let inside = || subgraphs(&node.attribute).any(|g| g.node.iter().any(random));
    (standard(node) && RANDOM.contains(&node.op_type())) || inside()
}

/// Which inputs decide the output's shape by their value, beside the shapes of all inputs; `None`: any
/// may (control flow, operators that are not the standard's, outputs as long as what they found).
fn shape_givers(node: &NodeProto) -> Option<std::ops::Range<usize>> {
    if !standard(node) || subgraphs(&node.attribute).next().is_some() {
        return None;
    }
    Some(match node.op_type() {
        "NonZero" | "NonMaxSuppression" | "Unique" | "Compress" | "StringSplit" | "Range" => {
            return None;
        }
        "ConstantOfShape" => 0..1,
        "Slice" | "Resize" | "Upsample" | "Pad" => 1..5,
        "Reshape" | "Expand" | "Tile" | "TopK" | "OneHot" | "Split" | "Squeeze" | "Unsqueeze"
        | "CenterCropPad" | "AffineGrid" | "MaxUnpool" | "Trilu" | "ReduceSum" | "ReduceMean"
        | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2" | "ReduceProd" | "ReduceLogSum"
        | "ReduceLogSumExp" | "ReduceSumSquare" | "SequenceAt" | "SplitToSequence" => 1..3,
        "STFT" | "DFT" | "Col2Im" | "Optional" | "Bernoulli" | "HannWindow" | "HammingWindow"
        | "BlackmanWindow" | "MelWeightMatrix" => 0..5,
        _ => 0..0,
    })
}

#[cfg(test)]
mod tests {
    use super::Level::{self, Constant, Data, Shapes};
    use crate::build::{GraphBuilder, ints};
    use splitinfer_tensor::{DType, Tensor};

    #[test]
    fn values_decided_by_shapes_are_told_from_data() {
        let one = Tensor::new(vec![1], vec![1i64]).unwrap();
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[1, 4])
            .constant("one", &one)
            .node("Shape", &["x"], &["shape"], vec![])
            .node("Gather", &["shape", "one"], &["width"], vec![])
            .node("Add", &["one", "one"], &["two"], vec![])
            .node(
                "Concat",
                &["width", "two"],
                &["target"],
                vec![ints("axis", &[0])],
            )
            .node("Reshape", &["x", "target"], &["reshaped"], vec![])
            .node("Shape", &["reshaped"], &["again"], vec![])
            .node("NonZero", &["x"], &["found"], vec![])
            .node("Shape", &["found"], &["count"], vec![])
            .node("RandomNormal", &[], &["noise"], vec![ints("shape", &[1])])
            .node("Shape", &["count"], &["rank"], vec![])
            .node("TopK", &["x", "count"], &["top", ""], vec![])
            .node("Shape", &["top"], &["top_shape"], vec![])
            .untyped_output("top")
            .model()
            .unwrap();
        let graph = model.graph();
        let value = |name: &str| -> Level { graph.tensors[graph.id(name).unwrap()].depends.value };
        for (name, level) in [
            ("x", Data),
            ("one", Constant),
            ("two", Constant),
            ("shape", Shapes),
            ("width", Shapes),
            ("target", Shapes),
            ("reshaped", Data),
            ("again", Shapes),
            ("found", Data),
            ("count", Data),
            ("rank", Shapes),
            ("noise", Data),
            ("top_shape", Data),
        ] {
            assert_eq!(value(name), level, "{name}");
        }
    }
}
