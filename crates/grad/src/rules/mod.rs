// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The rules: how the gradient passes through each operator. One operator, one rule.

mod activation;
mod arithmetic;
pub(crate) mod call;
mod convolution;
mod gather;
mod linear_map;
mod matrix;
mod normalization;
mod pooling;
mod reduce;
mod resize;
mod shape;
mod softmax;
mod window;

use crate::emitter::Emitter;
use call::{Call, Gradients};

/// Gives the gradient of each input that wants one.
pub(crate) type Rule = fn(&Call, &mut Emitter) -> Gradients;

/// Every operator of the default domain that has a rule, sorted by name.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("Abs", activation::abs),
    ("Add", arithmetic::add),
    ("Atan", activation::atan),
    ("AveragePool", pooling::average_pool),
    ("BatchNormalization", normalization::batch),
    ("Cast", shape::cast),
    ("Celu", activation::celu),
    ("Clip", activation::clip),
    ("Concat", shape::concat),
    ("Conv", convolution::conv),
    ("ConvTranspose", convolution::conv_transpose),
    ("Cos", activation::cos),
    ("CumSum", shape::cumulative_sum),
    ("DepthToSpace", shape::depth_to_space),
    ("Div", arithmetic::div),
    ("Dropout", shape::pass),
    ("Einsum", matrix::einsum),
    ("Elu", activation::elu),
    ("Erf", activation::erf),
    ("Exp", activation::exp),
    ("Expand", shape::expand),
    ("Flatten", shape::reshape),
    ("Gather", gather::gather),
    ("GatherElements", gather::gather_elements),
    ("GatherND", gather::gather_nd),
    ("Gelu", activation::gelu),
    ("Gemm", matrix::gemm),
    ("GlobalAveragePool", pooling::global_average_pool),
    ("GlobalMaxPool", pooling::global_max_pool),
    ("GroupNormalization", normalization::group),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", shape::pass),
    ("InstanceNormalization", normalization::instance),
    ("LayerNormalization", normalization::layer),
    ("LeakyRelu", activation::leaky_relu),
    ("Log", activation::log),
    ("LogSoftmax", softmax::log_softmax),
    ("LpNormalization", normalization::lp),
    ("MatMul", matrix::matmul),
    ("Max", arithmetic::extremum),
    ("MaxPool", pooling::max_pool),
    ("Mean", arithmetic::mean),
    ("Min", arithmetic::extremum),
    ("Mish", activation::mish),
    ("Mul", arithmetic::mul),
    ("Neg", activation::neg),
    ("PRelu", activation::prelu),
    ("Pad", shape::pad),
    ("Pow", arithmetic::pow),
    ("Reciprocal", activation::reciprocal),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceLogSum", reduce::log_sum),
    ("ReduceLogSumExp", reduce::log_sum_exp),
    ("ReduceMax", reduce::extremum),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::extremum),
    ("ReduceProd", reduce::product),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Relu", activation::relu),
    ("Reshape", shape::reshape),
    ("Resize", resize::resize),
    ("ScatterElements", gather::scatter_into),
    ("ScatterND", gather::scatter_into),
    ("Selu", activation::selu),
    ("Sigmoid", activation::sigmoid),
    ("Sin", activation::sin),
    ("Slice", shape::slice),
    ("Softmax", softmax::softmax),
    ("Softplus", activation::softplus),
    ("Softsign", activation::softsign),
    ("SpaceToDepth", shape::space_to_depth),
    ("Split", shape::split),
    ("Sqrt", activation::sqrt),
    ("Squeeze", shape::reshape),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::add),
    ("Swish", activation::swish),
    ("Tan", activation::tan),
    ("Tanh", activation::tanh),
    ("ThresholdedRelu", activation::thresholded_relu),
    ("Tile", shape::tile),
    ("TopK", gather::top_k),
    ("Transpose", shape::transpose),
    ("Trilu", shape::triangle),
    ("Unsqueeze", shape::reshape),
    ("Where", arithmetic::select),
];

/// The rule of an operator.
pub(crate) fn rule(op: &str) -> Option<Rule> {
    let place = RULES.binary_search_by_key(&op, |(name, _)| name).ok()?;
    Some(RULES[place].1)
}

/// Operators whose output does not change with small changes of the input: nothing flows back, which is
/// right and not an omission.
pub(crate) fn is_flat(op: &str) -> bool {
    matches!(
        op,
        "Ceil"
            | "Floor"
            | "Round"
            | "Sign"
            | "Shape"
            | "Size"
            | "ArgMax"
            | "ArgMin"
            | "NonZero"
            | "Equal"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
            | "And"
            | "Or"
            | "Not"
            | "Xor"
            | "IsNaN"
            | "IsInf"
            | "ConstantOfShape"
            | "EyeLike"
            | "OneHot"
            | "Range"
            | "NonMaxSuppression"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_so_that_all_are_found() {
        assert!(RULES.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(RULES.iter().all(|(op, _)| rule(op).is_some()));
        assert!(rule("NonMaxSuppression").is_none());
    }
}
