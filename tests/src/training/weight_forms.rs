// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Ways to write the gradient of a convolution's weights in ordinary operators: graphs from `x` and `dy` to `dw`, to be
//! timed against one another. What crates/grad writes is one of them.

use anyhow::{Context, Result};
use splitinfer_grad::gradient_graph;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_graph::proto::AttributeProto;
use splitinfer_runtime::probe_all;
use splitinfer_tensor::{DType, Tensor};

use super::convolution::Convolution;
use super::draft::Draft;
use super::weight_operands::{Fold, Seen, operands};
use splitinfer_grad_reference::options;

/// What a form is called, and its graph.
pub type Form = (&'static str, Model);

/// Every form that suits a convolution; the first is that of crates/grad.
///
/// # Errors
/// When a graph cannot be built.
pub fn forms(c: &Convolution) -> Result<Vec<Form>> {
    let mut forms = vec![("crates/grad", rule(c)?)];
    if c.groups == 1 {
        forms.push(("im2col", im2col(c, Fold::None, Seen::Windows)?));
        forms.push(("im2col folded", im2col(c, Fold::Pictures, Seen::Windows)?));
        forms.push(("taps", taps(c, Fold::None, Seen::Windows)?));
        forms.push(("Conv", transposed_conv(c)?));
        if c.kernel > 1 {
            forms.push(("flat im2col", im2col(c, Fold::None, Seen::Flat)?));
            forms.push(("flat im2col folded", im2col(c, Fold::Pictures, Seen::Flat)?));
            forms.push(("flat taps", taps(c, Fold::None, Seen::Flat)?));
            forms.push(("flat taps folded", taps(c, Fold::Pictures, Seen::Flat)?));
        }
    }
    if c.is_depthwise() && c.inputs == c.outputs {
        forms.push(("products", products(c, Seen::Windows)?));
        forms.push(("flat products", products(c, Seen::Flat)?));
        forms.push(("flat MatMul", channel_products(c)?));
        forms.push(("grouped Conv", transposed_conv(c)?));
    }
    Ok(forms)
}

/// The form of crates/grad, without the convolution itself.
fn rule(c: &Convolution) -> Result<Model> {
    let weights = [c.outputs, c.inputs / c.groups, c.kernel, c.kernel];
    let count = weights.iter().product();
    let [height, width] = c.output();
    let model = GraphBuilder::new(17)
        .input("x", DType::F32, &[c.pictures, c.inputs, c.height, c.width])
        .weight("w", &weights, &vec![0.1; count])
        .node("Conv", &["x", "w"], &["y"], attributes(c))
        .output("y", DType::F32, &[c.pictures, c.outputs, height, width])
        .model()?;
    let facts = probe_all(&model, &[], &options(0))?;
    Ok(gradient_graph(
        &model,
        &facts,
        &["y".into()],
        &["w".into()],
    )?)
}

/// Attributes of a Conv node.
pub fn attributes(c: &Convolution) -> Vec<AttributeProto> {
    let two = |n: usize| [n as i64; 2];
    vec![
        ints("kernel_shape", &two(c.kernel)),
        ints("strides", &two(c.stride)),
        ints("dilations", &two(c.dilation)),
        ints("pads", &[c.padding as i64; 4]),
        int("group", c.groups as i64),
    ]
}

/// All places in one matrix, (b · places) × length, and one product a picture, or one.
fn im2col(c: &Convolution, fold: Fold, how: Seen) -> Result<Model> {
    let mut d = Draft::new(c);
    let o = operands(&mut d, c, fold, how)?;
    let seen: Vec<String> = o
        .seen
        .iter()
        .map(|s| d.reshape(s, &[o.outer, o.inner, 1, o.length]))
        .collect::<Result<_>>()?;
    let names: Vec<&str> = seen.iter().map(String::as_str).collect();
    let columns = match names.as_slice() {
        [one] => (*one).to_owned(),
        all => d.node("Concat", all, vec![int("axis", 2)]),
    };
    let columns = d.reshape(
        &columns,
        &[o.outer, o.inner * c.kernel * c.kernel, o.length],
    )?;
    let columns = d.transpose(&columns, &[0, 2, 1]);
    let product = d.node("MatMul", &[&o.dy, &columns], vec![]);
    let dw = d.sum(&product, &[0])?;
    d.finish(c, &dw)
}

/// A product for each place of the window, without a matrix of all.
fn taps(c: &Convolution, fold: Fold, how: Seen) -> Result<Model> {
    let mut d = Draft::new(c);
    let o = operands(&mut d, c, fold, how)?;
    let mut products = Vec::new();
    for seen in &o.seen {
        let transposed = d.transpose(seen, &[0, 2, 1]);
        let product = d.node("MatMul", &[&o.dy, &transposed], vec![]);
        let sum = d.sum(&product, &[0])?;
        products.push(d.reshape(&sum, &[c.outputs, o.inner, 1])?);
    }
    let names: Vec<&str> = products.iter().map(String::as_str).collect();
    let dw = d.node("Concat", &names, vec![int("axis", 2)]);
    d.finish(c, &dw)
}

/// Depthwise: for each place the product element by element, summed over pictures and places.
fn products(c: &Convolution, how: Seen) -> Result<Model> {
    let mut d = Draft::new(c);
    let o = operands(&mut d, c, Fold::None, how)?;
    let mut sums = Vec::new();
    for seen in &o.seen {
        let product = d.node("Mul", &[&o.dy, seen], vec![]);
        let sum = d.sum(&product, &[0, 2])?;
        sums.push(d.reshape(&sum, &[c.outputs, 1])?);
    }
    let names: Vec<&str> = sums.iter().map(String::as_str).collect();
    let dw = d.node("Concat", &names, vec![int("axis", 1)]);
    d.finish(c, &dw)
}

/// Depthwise: for each channel, places × length times the gradient as a column.
fn channel_products(c: &Convolution) -> Result<Model> {
    let mut d = Draft::new(c);
    let o = operands(&mut d, c, Fold::None, Seen::Flat)?;
    let mut rows = Vec::new();
    for seen in &o.seen {
        rows.push(d.reshape(seen, &[c.pictures, c.inputs, 1, o.length])?);
    }
    let names: Vec<&str> = rows.iter().map(String::as_str).collect();
    let columns = d.node("Concat", &names, vec![int("axis", 2)]);
    let dy = d.reshape(&o.dy, &[c.pictures, c.outputs, o.length, 1])?;
    let product = d.node("MatMul", &[&columns, &dy], vec![]);
    let dw = d.sum(&product, &[0])?;
    d.finish(c, &dw)
}

/// The convolution of the data with the gradient as weights, pictures as channels; stride and dilation change places.
fn transposed_conv(c: &Convolution) -> Result<Model> {
    let mut d = Draft::new(c);
    let [height, width] = c.output();
    let x = d.transpose("x", &[1, 0, 2, 3]);
    let dy = d.transpose("seed/y", &[1, 0, 2, 3]);
    let x = match c.groups {
        1 => x,
        _ => d.reshape(&x, &[1, c.inputs * c.pictures, c.height, c.width])?,
    };
    let two = |n: usize| [n as i64; 2];
    let attributes = vec![
        ints("kernel_shape", &[height as i64, width as i64]),
        ints("strides", &two(c.dilation)),
        ints("dilations", &two(c.stride)),
        ints("pads", &[c.padding as i64; 4]),
        int("group", c.groups as i64),
    ];
    let seen = d.node("Conv", &[&x, &dy], attributes);
    let seen = d.slice(&seen, &[2, 3], &[0, 0], &[c.kernel; 2], 1)?;
    let dw = match c.groups {
        1 => d.transpose(&seen, &[1, 0, 2, 3]),
        _ => seen,
    };
    d.finish(c, &dw)
}

/// The output of a form, whatever it is called.
///
/// # Errors
/// When there is none.
pub fn only(outputs: Vec<(String, Tensor)>) -> Result<Tensor> {
    let mut outputs = outputs.into_iter();
    Ok(outputs.next().context("a form has an output")?.1)
}
