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

/// Whether all pictures are one long row, so that one product sums over them too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fold {
    None,
    Pictures,
}

/// How what the window sees at one place is taken from the picture: cut out of it row by row, or, with the gradient
/// spread to rows as long as the picture's, as one run of all rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Windows,
    Flat,
}

/// A graph that grows; tensors are numbered.
struct Draft {
    builder: GraphBuilder,
    count: usize,
}

impl Draft {
    fn new(c: &Convolution) -> Self {
        let [height, width] = c.output();
        let builder = GraphBuilder::new(17)
            .input("x", DType::F32, &[c.pictures, c.inputs, c.height, c.width])
            .input(
                "seed/y",
                DType::F32,
                &[c.pictures, c.outputs, height, width],
            );
        Self { builder, count: 0 }
    }

    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("t{}", self.count);
        self.count += 1;
        let builder = std::mem::replace(&mut self.builder, GraphBuilder::new(17));
        self.builder = builder.node(op, inputs, &[&output], attributes);
        output
    }

    fn list(&mut self, values: &[usize]) -> Result<String> {
        let name = format!("c{}", self.count);
        self.count += 1;
        let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
        let builder = std::mem::replace(&mut self.builder, GraphBuilder::new(17));
        self.builder = builder.constant(&name, &Tensor::new(vec![values.len()], values)?);
        Ok(name)
    }

    fn reshape(&mut self, x: &str, shape: &[usize]) -> Result<String> {
        let shape = self.list(shape)?;
        Ok(self.node("Reshape", &[x, &shape], vec![]))
    }

    fn transpose(&mut self, x: &str, perm: &[i64]) -> String {
        self.node("Transpose", &[x], vec![ints("perm", perm)])
    }

    /// `ends` are absolute.
    fn slice(
        &mut self,
        x: &str,
        axes: &[usize],
        starts: &[usize],
        ends: &[usize],
        step: usize,
    ) -> Result<String> {
        let lists = [starts, ends, axes, &vec![step; axes.len()]].map(|l| self.list(l));
        let [starts, ends, axes, steps] = lists;
        Ok(self.node("Slice", &[x, &starts?, &ends?, &axes?, &steps?], vec![]))
    }

    /// Zeros after and before the last two axes.
    fn pad(&mut self, x: &str, before: usize, after: [usize; 2]) -> Result<String> {
        if before == 0 && after == [0, 0] {
            return Ok(x.to_owned());
        }
        let pads = self.list(&[0, 0, before, before, 0, 0, after[0], after[1]])?;
        Ok(self.node("Pad", &[x, &pads], vec![]))
    }

    fn sum(&mut self, x: &str, axes: &[usize]) -> Result<String> {
        let axes = self.list(axes)?;
        Ok(self.node("ReduceSum", &[x, &axes], vec![int("keepdims", 0)]))
    }

    fn finish(mut self, c: &Convolution, dw: &str) -> Result<Model> {
        let shape = [c.outputs, c.inputs / c.groups, c.kernel, c.kernel];
        let sizes = self.list(&shape)?;
        let builder = self.builder.node("Reshape", &[dw, &sizes], &["dw"], vec![]);
        Ok(builder.output("dw", DType::F32, &shape).model()?)
    }
}

/// What each place of the window sees, (a, b, length), and the gradient in the same order, (a, outputs, length); a is the
/// pictures and b the channels, or with all pictures in a row, a is 1.
struct Operands {
    seen: Vec<String>,
    dy: String,
    rows: usize,
    length: usize,
}

fn operands(d: &mut Draft, c: &Convolution, fold: Fold, how: Seen) -> Result<Operands> {
    let [height, width] = c.output();
    let (mut x, mut dy) = ("x".to_owned(), "seed/y".to_owned());
    let (mut outer, mut inner, mut outputs) = (c.pictures, c.inputs, c.outputs);
    if fold == Fold::Pictures {
        x = d.transpose(&x, &[1, 0, 2, 3]);
        dy = d.transpose(&dy, &[1, 0, 2, 3]);
        (outer, inner, outputs) = (c.inputs, c.pictures, c.pictures);
    }
    let reach = (c.kernel - 1) * c.dilation;
    let (tall, wide, length) = match how {
        Seen::Windows => (height, width, height * width),
        Seen::Flat => {
            // Whole phases of the stride, and as many columns as the window reaches beyond the output.
            let extra = reach / c.stride;
            (
                height + extra,
                width + extra,
                height * (width + extra) - extra,
            )
        }
    };
    let padded = match how {
        Seen::Windows => d.pad(&x, c.padding, [c.padding; 2])?,
        Seen::Flat => {
            let [tall, wide] = [tall * c.stride, wide * c.stride];
            let (have_tall, have_wide) = (c.height + c.padding, c.width + c.padding);
            let after = [
                tall.saturating_sub(have_tall),
                wide.saturating_sub(have_wide),
            ];
            let grown = d.pad(&x, c.padding, after)?;
            let shape = [outer, inner, tall, wide];
            match have_tall > tall || have_wide > wide {
                true => d.slice(&grown, &[2, 3], &[0, 0], &shape[2..], 1)?,
                false => grown,
            }
        }
    };
    let phases = match how {
        Seen::Flat if c.stride > 1 => {
            let split = d.reshape(&padded, &[outer, inner, tall, c.stride, wide, c.stride])?;
            let split = d.transpose(&split, &[3, 5, 0, 1, 2, 4]);
            d.reshape(&split, &[c.stride * c.stride, outer, inner, tall * wide])?
        }
        Seen::Flat => d.reshape(&padded, &[outer, inner, tall * wide])?,
        Seen::Windows => padded,
    };
    let dy = match how {
        Seen::Flat => {
            let spread = d.pad(&dy, 0, [0, wide - width])?;
            let (a, b) = if fold == Fold::Pictures {
                (c.outputs, c.pictures)
            } else {
                (c.pictures, c.outputs)
            };
            let flat = d.reshape(&spread, &[a, b, height * wide])?;
            d.slice(&flat, &[2], &[0], &[length], 1)?
        }
        Seen::Windows => dy,
    };
    let (rows, columns, a) = match fold {
        Fold::None => (c.inputs, length, c.pictures),
        Fold::Pictures => (c.inputs, c.pictures * length, 1),
    };
    let _ = outputs;
    let dy = d.reshape(&dy, &[a, c.outputs, columns])?;
    let mut seen = Vec::new();
    for i in 0..c.kernel {
        for j in 0..c.kernel {
            let (y, x) = (i * c.dilation, j * c.dilation);
            let piece = match how {
                Seen::Windows => {
                    let ends = [
                        y + (height - 1) * c.stride + 1,
                        x + (width - 1) * c.stride + 1,
                    ];
                    d.slice(&phases, &[2, 3], &[y, x], &ends, c.stride)?
                }
                Seen::Flat => {
                    let start = y / c.stride * wide + x / c.stride;
                    if c.stride > 1 {
                        let phase = y % c.stride * c.stride + x % c.stride;
                        d.slice(
                            &phases,
                            &[0, 3],
                            &[phase, start],
                            &[phase + 1, start + length],
                            1,
                        )?
                    } else {
                        d.slice(&phases, &[2], &[start], &[start + length], 1)?
                    }
                }
            };
            seen.push(d.reshape(&piece, &[a, rows, columns])?);
        }
    }
    Ok(Operands {
        seen,
        dy,
        rows,
        length: columns,
    })
}

/// All places in one matrix, (b · places) × length, and one product a picture, or one.
fn im2col(c: &Convolution, fold: Fold, how: Seen) -> Result<Model> {
    let mut d = Draft::new(c);
    let o = operands(&mut d, c, fold, how)?;
    let a = if fold == Fold::Pictures {
        1
    } else {
        c.pictures
    };
    let seen: Vec<String> = o
        .seen
        .iter()
        .map(|s| d.reshape(s, &[a, o.rows, 1, o.length]))
        .collect::<Result<_>>()?;
    let names: Vec<&str> = seen.iter().map(String::as_str).collect();
    let columns = match names.as_slice() {
        [one] => (*one).to_owned(),
        all => d.node("Concat", all, vec![int("axis", 2)]),
    };
    let columns = d.reshape(&columns, &[a, o.rows * c.kernel * c.kernel, o.length])?;
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
        products.push(d.reshape(&sum, &[c.outputs, o.rows, 1])?);
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
