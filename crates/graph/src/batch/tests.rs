// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::build::{GraphBuilder, int, ints};
use crate::facts::TensorFact;
use crate::model::Dim;
use splitinfer_tensor::DType;

fn facts(shapes: &[(&str, &[usize])]) -> Facts {
    let fact = |shape: &[usize]| TensorFact {
        dtype: DType::F32,
        shape: shape.to_vec(),
        stable: true,
        value: None,
    };
    Facts(
        shapes
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), fact(shape)))
            .collect(),
    )
}

/// One operator between `x` and `y`, with the constants it reads.
struct One {
    builder: GraphBuilder,
    facts: Facts,
    y: Vec<usize>,
}

impl One {
    fn new(x: &[usize], y: &[usize]) -> Self {
        Self {
            builder: GraphBuilder::new(17).input("x", DType::F32, x),
            facts: facts(&[("x", x), ("y", y)]),
            y: y.to_vec(),
        }
    }

    fn weight(mut self, name: &str, shape: &[usize]) -> Self {
        let n = shape.iter().product();
        self.builder = self.builder.weight(name, shape, &vec![0.5; n]);
        self
    }

    fn numbers(mut self, name: &str, values: &[i64]) -> Self {
        let value = Tensor::new(vec![values.len()], values.to_vec()).unwrap();
        self.builder = self.builder.constant(name, &value);
        self
    }

    fn batched(
        self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<crate::proto::AttributeProto>,
    ) -> Result<Model, GraphError> {
        let builder = self.builder.node(op, inputs, &["y"], attributes);
        let model = builder.output("y", DType::F32, &self.y).model().unwrap();
        model.batched(&self.facts)
    }
}

fn refusal(model: Result<Model, GraphError>) -> String {
    model.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_first_size_of_inputs_and_outputs_is_the_number_of_frames() {
    let model = One::new(&[1, 3, 8, 8], &[1, 3, 8, 8]).batched("Relu", &["x"], vec![]);
    let model = model.unwrap();
    let frames = Dim::Symbol(FRAMES.to_owned());
    for value in [model.inputs(), model.outputs()].concat() {
        let shape = value.shape.unwrap();
        assert_eq!(shape[0], frames);
        assert_eq!(shape[1..], [3, 8, 8].map(Dim::Fixed));
    }
}

#[test]
fn a_shape_of_one_frame_becomes_that_of_each() {
    let one = One::new(&[1, 3, 4], &[1, 12]).numbers("shape", &[1, -1]);
    let model = one.batched("Reshape", &["x", "shape"], vec![]).unwrap();
    let main = model.main();
    let shape = &main.node[0].input[1];
    let shape = main.initializer.iter().find(|i| i.name() == shape).unwrap();
    let shape = crate::read_constant(shape).unwrap();
    assert_eq!(shape.as_slice::<i64>().unwrap(), [0, 12]);
    let flat = One::new(&[1, 3, 4], &[1, 12]).batched("Flatten", &["x"], vec![]);
    assert_eq!(flat.unwrap().main().node[0].op_type(), "Reshape");
}

#[test]
fn a_constant_that_is_concatenated_is_repeated_for_each_frame() {
    let one = One::new(&[1, 4, 8], &[1, 6, 8])
        .weight("a", &[1, 1, 8])
        .weight("b", &[1, 1, 8]);
    let model = one.batched("Concat", &["a", "x", "b"], vec![int("axis", 1)]);
    let ops: Vec<_> = model
        .unwrap()
        .main()
        .node
        .iter()
        .map(|n| n.op_type().to_owned())
        .collect();
    assert_eq!(
        ops,
        ["Shape", "Slice", "Concat", "Expand", "Expand", "Concat"]
    );
}

#[test]
fn what_works_along_the_first_axis_is_refused() {
    let along = |e: String| assert!(e.contains("along the first axis"), "{e}");
    let same = || One::new(&[1, 4], &[1, 4]);
    along(refusal(same().batched(
        "Softmax",
        &["x"],
        vec![int("axis", -2)],
    )));
    along(refusal(same().batched(
        "Concat",
        &["x", "x"],
        vec![int("axis", 0)],
    )));
    along(refusal(same().batched(
        "ReduceSum",
        &["x"],
        vec![ints("axes", &[0])],
    )));
    along(refusal(same().batched("ArgMax", &["x"], vec![])));
    let all = same().batched("ReduceMax", &["x"], vec![]);
    assert!(refusal(all).contains("along all axes"));
    let gemm = same().weight("w", &[4, 4]);
    along(refusal(gemm.batched(
        "Gemm",
        &["x", "w"],
        vec![int("transA", 1)],
    )));
    let moved = One::new(&[1, 1, 4], &[1, 1, 4]);
    let moved = moved.batched("Transpose", &["x"], vec![ints("perm", &[1, 0, 2])]);
    assert!(refusal(moved).contains("moves the first axis"));
}

#[test]
fn constants_that_differ_from_frame_to_frame_are_refused() {
    let add = |w: &[usize]| {
        let one = One::new(&[1, 4], &[1, 4]).weight("w", w);
        one.batched("Add", &["x", "w"], vec![])
    };
    assert!(add(&[1, 4]).is_ok());
    assert!(add(&[4]).is_ok());
    assert!(add(&[1]).is_ok());
    let more = One::new(&[1, 4], &[1, 1, 4]).weight("w", &[1, 1, 4]);
    let more = more.batched("Add", &["x", "w"], vec![]);
    assert!(refusal(more).contains("axes"));
}

#[test]
fn what_the_whole_batch_would_decide_is_refused() {
    let e = refusal(One::new(&[1, 4], &[1, 4]).batched("DynamicQuantizeLinear", &["x"], vec![]));
    assert!(
        e.contains("DynamicQuantizeLinear at 'y'") && e.contains("not known"),
        "{e}"
    );
    let mut one = One::new(&[2, 4], &[2, 4]);
    one.facts = facts(&[("x", &[2, 4]), ("y", &[2, 4])]);
    assert!(refusal(one.batched("Relu", &["x"], vec![])).contains("[2, 4]"));
}
