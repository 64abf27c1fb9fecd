// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Of each operator, whether it treats the entries of the first axis each by itself as it is used here, and what has to be
//! changed for any number of them. What is not listed is refused.

use super::call::Call;

/// What to do with a node.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    None,
    /// Put a Reshape in its place that keeps the first axis and gives the others these sizes.
    Reshape(Vec<usize>),
    /// Give it at input `at` the number of frames, then `rest`.
    Sizes {
        at: usize,
        rest: Vec<i64>,
    },
    /// Repeat these constant inputs for each frame.
    Repeat(Vec<usize>),
}

type Verdict = Result<Change, String>;

/// # Errors
/// Why frames may not stay apart.
pub(super) fn of(call: &Call) -> Verdict {
    match call.op() {
        "Abs" | "Acos" | "Acosh" | "Add" | "And" | "Asin" | "Asinh" | "Atan" | "Atanh"
        | "BitShift" | "Cast" | "CastLike" | "Ceil" | "Celu" | "Clip" | "Cos" | "Cosh" | "Div"
        | "Dropout" | "Elu" | "Equal" | "Erf" | "Exp" | "Floor" | "Gelu" | "Greater"
        | "GreaterOrEqual" | "HardSigmoid" | "HardSwish" | "Identity" | "IsInf" | "IsNaN"
        | "LeakyRelu" | "Less" | "LessOrEqual" | "Log" | "Max" | "Mean" | "Min" | "Mish"
        | "Mod" | "Mul" | "Neg" | "Not" | "Or" | "PRelu" | "Pow" | "Reciprocal" | "Relu"
        | "Round" | "Selu" | "Sigmoid" | "Sign" | "Sin" | "Sinh" | "Softplus" | "Softsign"
        | "Sqrt" | "Sub" | "Sum" | "Swish" | "Tan" | "Tanh" | "ThresholdedRelu" | "Where"
        | "Xor" => elementwise(call),
        "AveragePool"
        | "BatchNormalization"
        | "Conv"
        | "ConvInteger"
        | "ConvTranspose"
        | "DepthToSpace"
        | "GlobalAveragePool"
        | "GlobalLpPool"
        | "GlobalMaxPool"
        | "GroupNormalization"
        | "InstanceNormalization"
        | "LRN"
        | "LpPool"
        | "MaxPool"
        | "QLinearConv"
        | "SpaceToDepth" => image(call),
        "QuantizeLinear" | "DequantizeLinear" => quantise(call),
        "MatMul" => matmul(call),
        "Gemm" => gemm(call),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => reshape(call),
        "Transpose" => transpose(call),
        "Concat" => concat(call),
        "Split" => first_only(call).and_then(|()| along(call, call.int("axis", 0))),
        "Slice" => slice(call),
        "Gather" => gather(call),
        "GatherElements" => all_frames(call).and_then(|()| along(call, call.int("axis", 0))),
        "Softmax" | "LogSoftmax" | "Hardmax" => softmax(call),
        "ArgMax" | "ArgMin" => along(call, call.int("axis", 0)),
        "TopK" | "LpNormalization" => {
            first_only(call).and_then(|()| along(call, call.int("axis", -1)))
        }
        "LayerNormalization" => first_only(call).and_then(|()| along(call, call.int("axis", -1))),
        "CumSum" => cumulative(call),
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax"
        | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => {
            reduce(call)
        }
        "Resize" | "Upsample" => resize(call),
        "Pad" => pad(call),
        "Expand" => expand(call),
        "Tile" => tile(call),
        "GridSample" => all_frames(call).map(|()| Change::None),
        _ => Err("it is not known to keep frames apart".to_owned()),
    }
}

fn refuse<T>(reason: &str) -> Result<T, String> {
    Err(reason.to_owned())
}

/// Broadcasting must not move a frame's axis, nor must a constant differ along it.
fn elementwise(call: &Call) -> Verdict {
    for i in call.inputs() {
        broadcasts(call, i, call.output().len())?;
    }
    Ok(Change::None)
}

/// Whether input `i`, broadcast to so many axes, has its frames along the first, or the same for each frame.
fn broadcasts(call: &Call, i: usize, rank: usize) -> Result<(), String> {
    let shape = call.shape(i);
    match call.has_frames(i) {
        true if shape.len() != rank => refuse("the frames of its inputs lie along different axes"),
        false if shape.len() > rank => refuse("a constant has more axes than the frames"),
        false if shape.len() == rank && shape.first() != Some(&1) => {
            refuse("a constant differs from frame to frame")
        }
        _ => Ok(()),
    }
}

/// Only the first input may hold frames.
fn first_only(call: &Call) -> Result<(), String> {
    match call.inputs().skip(1).any(|i| call.has_frames(i)) || !call.has_frames(0) {
        true => refuse("what should be constant is computed from the frame"),
        false => Ok(()),
    }
}

/// Every input must hold frames.
fn all_frames(call: &Call) -> Result<(), String> {
    match call.inputs().all(|i| call.has_frames(i)) {
        true => Ok(()),
        false => refuse("one of its inputs is constant"),
    }
}

/// The axis, which counts from the end if it is negative, must not be the first.
fn along(call: &Call, axis: i64) -> Verdict {
    match axis_of(axis, call.shape(0).len()) {
        0 => refuse("it works along the first axis"),
        _ => Ok(Change::None),
    }
}

fn axis_of(axis: i64, rank: usize) -> i64 {
    match axis < 0 {
        true => axis + rank as i64,
        false => axis,
    }
}

/// What works on pictures, each of a batch by itself.
fn image(call: &Call) -> Verdict {
    first_only(call)?;
    if call.int("training_mode", 0) != 0 {
        return refuse("it takes its statistics from all frames");
    }
    // The second output of MaxPool counts through the whole batch.
    match call.outputs() {
        1 => Ok(Change::None),
        _ => refuse("it has several outputs"),
    }
}

fn quantise(call: &Call) -> Verdict {
    first_only(call)?;
    let single = call.shape(1).iter().product::<usize>() == 1;
    match single || axis_of(call.int("axis", 1), call.shape(0).len()) != 0 {
        true => Ok(Change::None),
        false => refuse("each frame would have a scale of its own"),
    }
}

fn matmul(call: &Call) -> Verdict {
    let rank = |i| call.shape(i).len();
    let batches = |i| broadcasts(call, i, call.output().len());
    match (call.has_frames(0), call.has_frames(1)) {
        (true, false) if rank(0) >= 2 && rank(1) == 2 => Ok(Change::None),
        // The last two axes are those of the matrices.
        _ if call.output().len() >= 3 && rank(0) >= 2 && rank(1) >= 2 => {
            batches(0)?;
            batches(1)?;
            Ok(Change::None)
        }
        _ => refuse("it multiplies along the first axis"),
    }
}

fn gemm(call: &Call) -> Verdict {
    first_only(call)?;
    if call.int("transA", 0) != 0 {
        return refuse("it multiplies along the first axis");
    }
    if call.is_given(2) {
        broadcasts(call, 2, 2)?;
    }
    Ok(Change::None)
}

/// The numbers of a frame lie one after the other, so any new shape of one frame is one of each.
fn reshape(call: &Call) -> Verdict {
    first_only(call)?;
    Ok(Change::Reshape(call.output()[1..].to_vec()))
}

fn transpose(call: &Call) -> Verdict {
    match call.ints("perm") {
        Some([0, ..]) => Ok(Change::None),
        _ => refuse("it moves the first axis"),
    }
}

fn concat(call: &Call) -> Verdict {
    let rank = call.output().len();
    if axis_of(call.int("axis", 0), rank) == 0 {
        return refuse("it works along the first axis");
    }
    let constants: Vec<_> = call.inputs().filter(|i| !call.has_frames(*i)).collect();
    if constants.iter().any(|i| call.shape(*i).first() != Some(&1)) {
        return refuse("a constant differs from frame to frame");
    }
    Ok(match constants.is_empty() {
        true => Change::None,
        false => Change::Repeat(constants),
    })
}

fn slice(call: &Call) -> Verdict {
    first_only(call)?;
    let rank = call.shape(0).len();
    let listed = match call.is_given(3) {
        true => Some(call.constant(3).ok_or("its axes are not known")?),
        false => call
            .ints("axes")
            .map(|axes| axes.iter().map(|a| *a as f64).collect()),
    };
    // Without a list it begins with the first axis.
    match listed {
        Some(axes) if axes.iter().all(|a| axis_of(*a as i64, rank) != 0) => Ok(Change::None),
        _ => refuse("it works along the first axis"),
    }
}

fn gather(call: &Call) -> Verdict {
    let axis = axis_of(call.int("axis", 0), call.shape(0).len());
    match (call.has_frames(0), call.has_frames(1)) {
        (true, false) if axis != 0 => Ok(Change::None),
        // A table, and frames of places in it.
        (false, true) if axis == 0 => Ok(Change::None),
        _ => refuse("it works along the first axis"),
    }
}

/// Before operator set 13 the axis was 1 unless said, which is not the first either.
fn softmax(call: &Call) -> Verdict {
    match call.has("axis") {
        true => along(call, call.int("axis", 1)),
        false if call.shape(0).len() > 1 => Ok(Change::None),
        false => refuse("it works along the first axis"),
    }
}

fn cumulative(call: &Call) -> Verdict {
    first_only(call)?;
    match call.constant(1).as_deref() {
        Some([axis]) => along(call, *axis as i64),
        _ => refuse("its axis is not known"),
    }
}

fn reduce(call: &Call) -> Verdict {
    first_only(call)?;
    let axes = match call.is_given(1) {
        true => call.constant(1),
        false => call
            .ints("axes")
            .map(|axes| axes.iter().map(|a| *a as f64).collect()),
    };
    let rank = call.shape(0).len();
    match axes {
        Some(axes) if !axes.is_empty() => {
            match axes.iter().any(|a| axis_of(*a as i64, rank) == 0) {
                true => refuse("it works along the first axis"),
                false => Ok(Change::None),
            }
        }
        _ => refuse("it works along all axes"),
    }
}

fn resize(call: &Call) -> Verdict {
    first_only(call)?;
    if call.has("axes") {
        let axes = call.ints("axes").unwrap_or_default();
        let rank = call.shape(0).len();
        return match axes.iter().any(|a| axis_of(*a, rank) == 0) {
            true => refuse("it works along the first axis"),
            false => Ok(Change::None),
        };
    }
    if call.is_given(3) {
        let rest = call.output()[1..].iter().map(|d| *d as i64).collect();
        // Other policies take the sizes as bounds.
        return match call.has("keep_aspect_ratio_policy") {
            true => refuse("it chooses the sizes itself"),
            false => Ok(Change::Sizes { at: 3, rest }),
        };
    }
    let scales = match call.inputs().len() {
        1 => call
            .floats("scales")
            .map(|scales| scales.iter().map(|s| f64::from(*s)).collect()),
        2 => call.constant(1),
        _ => call.constant(2),
    };
    match scales.as_deref() {
        Some([1.0, ..]) => Ok(Change::None),
        _ => refuse("it works along the first axis"),
    }
}

fn pad(call: &Call) -> Verdict {
    first_only(call)?;
    let rank = call.shape(0).len();
    if call.is_given(3) {
        return refuse("it names the axes it works along");
    }
    let pads = match call.is_given(1) {
        true => call.constant(1),
        false => call
            .ints("pads")
            .map(|pads| pads.iter().map(|p| *p as f64).collect()),
    };
    match pads {
        Some(pads) if pads.len() == 2 * rank && pads[0] == 0.0 && pads[rank] == 0.0 => {
            Ok(Change::None)
        }
        _ => refuse("it works along the first axis"),
    }
}

fn expand(call: &Call) -> Verdict {
    first_only(call)?;
    let rank = call.shape(0).len();
    match call.constant(1) {
        Some(shape) if shape.len() < rank || (shape.len() == rank && shape[0] == 1.0) => {
            Ok(Change::None)
        }
        _ => refuse("it works along the first axis"),
    }
}

fn tile(call: &Call) -> Verdict {
    first_only(call)?;
    match call.constant(1).as_deref() {
        Some([1.0, ..]) => Ok(Change::None),
        _ => refuse("it works along the first axis"),
    }
}
