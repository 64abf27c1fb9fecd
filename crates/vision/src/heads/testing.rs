// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Models and outputs for the heads' tests.

use splitinfer_tensor::Tensor;

use crate::modelinfo::ModelInfo;

/// Keys of the sidecar's own section.
pub(crate) type Own = &'static [(&'static str, &'static str)];

/// A model with this head, an input of this width and height, and these outputs; and the outputs filled with zeros.
pub(crate) fn model(
    head: &str,
    own: Own,
    [width, height]: [usize; 2],
    outputs: &[(&str, &[usize])],
) -> (ModelInfo, Outputs) {
    let mut text = format!(
        "[modelinfo]\nversion=1.0\n[in]\ndir=input\ntype=float32\ndims=1,3,{height},{width}\n"
    );
    for (name, shape) in outputs {
        let dims: Vec<_> = shape.iter().map(usize::to_string).collect();
        let dims = dims.join(",");
        text += &format!("[{name}]\ndir=output\ntype=float32\ndims={dims}\n");
    }
    text += &format!("[splitinfer]\nhead={head}\n");
    for (key, value) in own {
        text += &format!("{key}={value}\n");
    }
    let tensors = outputs
        .iter()
        .map(|(name, shape)| Out {
            name: (*name).to_owned(),
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()],
        })
        .collect();
    (ModelInfo::parse(&text).unwrap(), Outputs(tensors))
}

/// Outputs under construction.
pub(crate) struct Outputs(Vec<Out>);

struct Out {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Outputs {
    /// Sets one element of an output.
    pub fn set(&mut self, name: &str, index: &[usize], value: f32) {
        let out = self.0.iter_mut().find(|o| o.name == name).unwrap();
        let flat = index.iter().zip(&out.shape).fold(0, |n, (i, d)| n * d + i);
        out.values[flat] = value;
    }

    /// Sets neighbours along the last dimension.
    pub fn row(&mut self, name: &str, index: &[usize], values: &[f32]) {
        for (i, value) in values.iter().enumerate() {
            self.set(name, &[index, &[i]].concat(), *value);
        }
    }

    pub fn tensors(self) -> Vec<(String, Tensor)> {
        self.0
            .into_iter()
            .map(|o| (o.name, Tensor::new(o.shape, o.values).unwrap()))
            .collect()
    }
}

/// Whether numbers agree within a thousandth.
pub(crate) fn assert_close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (a, b) in got.iter().zip(expected) {
        assert!(
            (a - b).abs() < 1e-3 * b.abs().max(1.0),
            "{got:?}, expected {expected:?}"
        );
    }
}
