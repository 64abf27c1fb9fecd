// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The two sides of the products that make the gradient of a convolution's weights.

use anyhow::Result;

use super::convolution::Convolution;
use super::draft::Draft;

/// Whether all pictures are one long row, so that one product sums over them too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    None,
    Pictures,
}

/// How what the window sees at one place is taken from the picture: cut out of it row by row, or, with the gradient
/// spread to rows as long as the picture's, as one run of all rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Windows,
    Flat,
}

/// What the window sees at each of its places, (outer, inner, length), and the gradient beside it, (outer, outputs,
/// length): outer are the pictures, or 1 with all pictures in a row.
pub struct Operands {
    pub seen: Vec<String>,
    pub dy: String,
    pub outer: usize,
    pub inner: usize,
    pub length: usize,
}

/// Rows and columns of the picture as the window moves over it, in steps of its stride.
struct Field {
    tall: usize,
    wide: usize,
    /// Elements of one place of the window, of one picture and channel.
    length: usize,
}

impl Field {
    fn new(c: &Convolution, how: Seen) -> Self {
        let [height, width] = c.output();
        if how == Seen::Windows {
            return Self {
                tall: height,
                wide: width,
                length: height * width,
            };
        }
        // As many more rows and columns as the window reaches beyond the output.
        let extra = (c.kernel - 1) * c.dilation / c.stride;
        let (tall, wide) = (height + extra, width + extra);
        Self {
            tall,
            wide,
            length: height * wide - extra,
        }
    }
}

/// Adds the nodes that give them.
///
/// # Errors
/// When a constant cannot be made.
pub fn operands(d: &mut Draft, c: &Convolution, fold: Fold, how: Seen) -> Result<Operands> {
    let field = Field::new(c, how);
    let (mut x, mut dy) = ("x".to_owned(), "seed/y".to_owned());
    let mut axes = [c.pictures, c.inputs];
    let mut dy_axes = [c.pictures, c.outputs];
    if fold == Fold::Pictures {
        x = d.transpose(&x, &[1, 0, 2, 3]);
        dy = d.transpose(&dy, &[1, 0, 2, 3]);
        axes.reverse();
        dy_axes.reverse();
    }
    let (outer, length) = match fold {
        Fold::None => (c.pictures, field.length),
        Fold::Pictures => (1, c.pictures * field.length),
    };
    let source = match how {
        Seen::Windows => d.pad(&x, c.padding, [c.padding; 2])?,
        Seen::Flat => flat_picture(d, c, &field, &x, axes)?,
    };
    if how == Seen::Flat {
        dy = flat_gradient(d, c, &field, &dy, dy_axes)?;
    }
    let dy = d.reshape(&dy, &[outer, c.outputs, length])?;
    let mut seen = Vec::new();
    for place in 0..c.kernel * c.kernel {
        let at = [place / c.kernel, place % c.kernel].map(|i| i * c.dilation);
        let piece = match how {
            Seen::Windows => {
                let end = |i: usize| at[i] + (c.output()[i] - 1) * c.stride + 1;
                d.slice(&source, &[2, 3], &at, &[end(0), end(1)], c.stride)?
            }
            Seen::Flat => run(d, c, &field, &source, at)?,
        };
        seen.push(d.reshape(&piece, &[outer, c.inputs, length])?);
    }
    Ok(Operands {
        seen,
        dy,
        outer,
        inner: c.inputs,
        length,
    })
}

/// The picture with its padding as one run of rows; with a stride, one run for each of its phases, before the other axes.
fn flat_picture(
    d: &mut Draft,
    c: &Convolution,
    field: &Field,
    x: &str,
    axes: [usize; 2],
) -> Result<String> {
    let size = [field.tall * c.stride, field.wide * c.stride];
    let have = [c.height + c.padding, c.width + c.padding];
    let after = [0, 1].map(|i| size[i].saturating_sub(have[i]));
    let mut grown = d.pad(x, c.padding, after)?;
    if have[0] > size[0] || have[1] > size[1] {
        grown = d.slice(&grown, &[2, 3], &[0, 0], &size, 1)?;
    }
    let run = field.tall * field.wide;
    if c.stride == 1 {
        return d.reshape(&grown, &[axes[0], axes[1], run]);
    }
    let split = [axes[0], axes[1], field.tall, c.stride, field.wide, c.stride];
    let split = d.reshape(&grown, &split)?;
    let phases = d.transpose(&split, &[3, 5, 0, 1, 2, 4]);
    d.reshape(&phases, &[c.stride * c.stride, axes[0], axes[1], run])
}

/// The gradient with rows as long as the picture's, zeros between.
fn flat_gradient(
    d: &mut Draft,
    c: &Convolution,
    field: &Field,
    dy: &str,
    axes: [usize; 2],
) -> Result<String> {
    let [height, width] = c.output();
    let spread = d.pad(dy, 0, [0, field.wide - width])?;
    let run = d.reshape(&spread, &[axes[0], axes[1], height * field.wide])?;
    d.slice(&run, &[2], &[0], &[field.length], 1)
}

/// What a place of the window sees of flat pictures.
fn run(
    d: &mut Draft,
    c: &Convolution,
    field: &Field,
    source: &str,
    at: [usize; 2],
) -> Result<String> {
    let start = at[0] / c.stride * field.wide + at[1] / c.stride;
    let end = start + field.length;
    if c.stride == 1 {
        return d.slice(source, &[2], &[start], &[end], 1);
    }
    let phase = at[0] % c.stride * c.stride + at[1] % c.stride;
    d.slice(source, &[0, 3], &[phase, start], &[phase + 1, end], 1)
}
