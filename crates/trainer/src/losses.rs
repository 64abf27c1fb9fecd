// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Losses that suit a model's outputs, so that a teacher's raw outputs can be learned without more being said.
//!
//! Where an output is a sigmoid or a softmax the loss is put before it: there gradients do not vanish when the
//! model is wrong and sure of it.

use splitinfer_grad::{Loss, LossTerm};
use splitinfer_graph::Model;
use splitinfer_graph::proto::NodeProto;

/// A loss, and the output of the model whose values are its target.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultLoss {
    pub output: String,
    pub term: LossTerm,
}

/// A loss for each output of the model that nodes make.
pub fn default_losses(model: &Model) -> Vec<LossTerm> {
    losses_by_output(model)
        .into_iter()
        .map(|l| l.term)
        .collect()
}

/// As [`default_losses`], with the output that each is about.
pub fn losses_by_output(model: &Model) -> Vec<DefaultLoss> {
    let maker = |tensor: &str| {
        model
            .ordered_nodes()
            .find(|n| n.output.iter().any(|o| o == tensor))
    };
    let outputs = model.outputs().into_iter();
    let floats = outputs.filter(|o| o.dtype.is_none_or(|d| d.is_float()));
    floats
        .filter_map(|output| {
            let node = maker(&output.name)?;
            let rank = output.shape.map_or(4, |s| s.len());
            Some(DefaultLoss {
                term: loss_of(node, &output.name, rank),
                output: output.name,
            })
        })
        .collect()
}

fn loss_of(node: &NodeProto, output: &str, rank: usize) -> LossTerm {
    let before = || node.input.first().map_or(output, String::as_str);
    match node.op_type() {
        "Sigmoid" => LossTerm::new(before(), Loss::BinaryCrossEntropyWithLogits),
        "Softmax" => {
            let given = node.attribute.iter().find(|a| a.name() == "axis");
            let axis = given.map_or(-1, |a| a.i());
            let axis = if axis < 0 { axis + rank as i64 } else { axis };
            let axis = usize::try_from(axis).unwrap_or(0);
            LossTerm::new(before(), Loss::KullbackLeibler { axis })
        }
        _ => LossTerm::new(output, Loss::Huber { delta: 1.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_graph::build::{GraphBuilder, int};
    use splitinfer_tensor::DType;

    #[test]
    fn losses_stand_before_what_squashes() {
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[1, 3])
            .node("Sigmoid", &["x"], &["p"], vec![])
            .node("Neg", &["x"], &["n"], vec![])
            .node("Softmax", &["n"], &["c"], vec![int("axis", -1)])
            .output("p", DType::F32, &[1, 3])
            .output("c", DType::F32, &[1, 3])
            .output("n", DType::F32, &[1, 3])
            .model()
            .unwrap();
        let found: Vec<(String, Loss)> = default_losses(&model)
            .into_iter()
            .map(|t| (t.tensor, t.loss))
            .collect();
        let expected = [
            ("x".to_owned(), Loss::BinaryCrossEntropyWithLogits),
            ("n".to_owned(), Loss::KullbackLeibler { axis: 1 }),
            ("n".to_owned(), Loss::Huber { delta: 1.0 }),
        ];
        assert_eq!(found, expected);
    }
}
