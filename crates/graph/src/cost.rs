// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a node costs: multiply–accumulate operations (MACs) from the shapes it works on.
//!
//! Counted are the operators that make up the work of a network: convolutions, matrix products and
//! recurrent layers, in float and in the quantised forms of ONNX and ONNX Runtime. Elementwise operators,
//! pooling, resizing and the like count 0, as is usual when MACs of networks are compared. So do nodes whose
//! inside is not visible here: control flow, functions, attention, operators of unknown domains.

use crate::facts::product;
use crate::proto::{AttributeProto, NodeProto};

/// MACs of one node. `shape` gives the shape of a tensor by name, if it is known; where one that is
/// needed is not, the node counts 0.
pub(crate) fn macs(node: &NodeProto, shape: impl Fn(&str) -> Option<Vec<usize>>) -> u64 {
    let input = |i: usize| node.input.get(i).and_then(|n| shape(n));
    let output = || node.output.first().and_then(|n| shape(n));
    let counted = match node.op_type() {
        "Conv" | "ConvInteger" | "FusedConv" | "NhwcFusedConv" | "DeformConv" => {
            convolution(output(), input(1))
        }
        "QLinearConv" => convolution(output(), input(3)),
        // Each element of the input is multiplied with its channel's slice of the weights (Cin, Cout/group, k…).
        "ConvTranspose" => convolution(input(0), input(1)),
        "QLinearConvTranspose" => convolution(input(0), input(3)),
        "Gemm" | "FusedGemm" => {
            let axis = if flag(node, "transA") { 0 } else { 1 };
            matrix_product(output(), input(0).and_then(|a| a.get(axis).copied()))
        }
        "QGemm" => matrix_product(output(), input(0).and_then(|a| a.last().copied())),
        "FusedMatMul" if flag(node, "transA") => matrix_product(
            output(),
            input(0).and_then(|a| a.iter().nth_back(1).copied()),
        ),
        "MatMul"
        | "MatMulInteger"
        | "MatMulIntegerToFloat"
        | "DynamicQuantizeMatMul"
        | "QLinearMatMul"
        | "FusedMatMul"
        | "MatMulNBits" => matrix_product(output(), input(0).and_then(|a| a.last().copied())),
        "Einsum" => einsum(node, input),
        "LSTM" | "GRU" | "RNN" => recurrent(input(0), input(1), input(2)),
        _ => None,
    };
    counted.unwrap_or(0)
}

/// Elements times the work for each: the weights of one output channel (or input channel, transposed).
fn convolution(elements: Option<Vec<usize>>, weights: Option<Vec<usize>>) -> Option<u64> {
    Some(product(&elements?).saturating_mul(product(weights?.get(1..)?)))
}

fn matrix_product(output: Option<Vec<usize>>, inner: Option<usize>) -> Option<u64> {
    Some(product(&output?).saturating_mul(inner? as u64))
}

/// The product of the sizes of all distinct indices, when there are two operands or more.
fn einsum(node: &NodeProto, input: impl Fn(usize) -> Option<Vec<usize>>) -> Option<u64> {
    if node.input.len() < 2 {
        return None;
    }
    let equation = attribute(node, "equation")?.s.as_deref()?;
    let equation: String = std::str::from_utf8(equation).ok()?.replace(' ', "");
    let operands = equation.split("->").next()?.split(',');
    let mut sizes = std::collections::BTreeMap::new();
    for (i, labels) in operands.enumerate() {
        let shape = input(i)?;
        // An ellipsis stands for the axes that the labels leave over; they are numbered from the right.
        let (before, after) = labels.split_once("...").unwrap_or((labels, ""));
        let over = shape.len().checked_sub(before.len() + after.len())?;
        let named = before.chars().map(String::from);
        let hidden = (0..over).rev().map(|k| format!("...{k}"));
        let labels = named.chain(hidden).chain(after.chars().map(String::from));
        for (label, size) in labels.zip(shape) {
            let known = sizes.entry(label).or_insert(size);
            *known = size.max(*known);
        }
    }
    Some(product(&sizes.into_values().collect::<Vec<_>>()))
}

/// Input (steps, batch, features), weights (directions, gates × hidden, features) and recurrence
/// (directions, gates × hidden, hidden).
fn recurrent(
    input: Option<Vec<usize>>,
    weights: Option<Vec<usize>>,
    recurrence: Option<Vec<usize>>,
) -> Option<u64> {
    let steps = product(input?.get(..2)?);
    let a_step = product(&weights?).saturating_add(product(&recurrence?));
    Some(steps.saturating_mul(a_step))
}

pub(crate) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name() == name)
}

fn flag(node: &NodeProto, name: &str) -> bool {
    attribute(node, name).is_some_and(|a| a.i() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{int, node, string};

    fn count(op: &str, shapes: &[&[usize]], output: &[usize], attrs: Vec<AttributeProto>) -> u64 {
        let names: Vec<String> = (0..shapes.len()).map(|i| i.to_string()).collect();
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let node = node(op, &inputs, &["out"], attrs);
        macs(&node, |name| match name {
            "out" => Some(output.to_vec()),
            i => Some(shapes[i.parse::<usize>().unwrap()].to_vec()),
        })
    }

    #[test]
    fn counts_agree_with_the_definitions() {
        let conv = count(
            "Conv",
            &[&[1, 3, 8, 8], &[16, 3, 3, 3]],
            &[1, 16, 8, 8],
            vec![],
        );
        assert_eq!(conv, 8 * 8 * 16 * 27);
        let depthwise = count(
            "Conv",
            &[&[1, 16, 8, 8], &[16, 1, 3, 3]],
            &[1, 16, 4, 4],
            vec![],
        );
        assert_eq!(depthwise, 4 * 4 * 16 * 9);
        let scalar: &[usize] = &[];
        let q = [&[1, 3, 8, 8][..], scalar, scalar, &[16, 3, 3, 3]];
        assert_eq!(count("QLinearConv", &q, &[1, 16, 8, 8], vec![]), conv);
        let up = count(
            "ConvTranspose",
            &[&[1, 8, 4, 4], &[8, 5, 2, 2]],
            &[1, 5, 8, 8],
            vec![],
        );
        assert_eq!(up, 4 * 4 * 8 * 5 * 4);
        assert_eq!(count("Gemm", &[&[2, 3], &[3, 5]], &[2, 5], vec![]), 30);
        let transposed = count("Gemm", &[&[3, 2], &[3, 5]], &[2, 5], vec![int("transA", 1)]);
        assert_eq!(transposed, 30);
        assert_eq!(
            count("MatMul", &[&[7, 2, 3], &[3, 5]], &[7, 2, 5], vec![]),
            210
        );
        let equation = |e| vec![string("equation", e)];
        let product = count(
            "Einsum",
            &[&[7, 2, 3], &[3, 5]],
            &[7, 2, 5],
            equation("bij, jk -> bik"),
        );
        assert_eq!(product, 210);
        let dots = count(
            "Einsum",
            &[&[7, 2, 3], &[3, 5]],
            &[7, 2, 5],
            equation("...ij,jk->...ik"),
        );
        assert_eq!(dots, 210);
        let lstm = [&[10, 1, 4][..], &[1, 32, 4], &[1, 32, 8]];
        assert_eq!(
            count("LSTM", &lstm, &[10, 1, 1, 8], vec![]),
            10 * (32 * 4 + 32 * 8)
        );
        assert_eq!(count("Relu", &[&[1, 3]], &[1, 3], vec![]), 0);
    }

    #[test]
    fn an_unknown_shape_counts_nothing_and_a_huge_one_does_not_overflow() {
        let node = node("Conv", &["x", "w"], &["y"], vec![]);
        assert_eq!(macs(&node, |_| None), 0);
        assert_eq!(macs(&node, |_| Some(vec![usize::MAX; 4])), u64::MAX);
        assert_eq!(macs(&node, |_| Some(vec![])), 0);
    }
}
