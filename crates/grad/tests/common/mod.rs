// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The fixtures: a model, and beside it what PyTorch makes of it.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use splitinfer_graph::{Model, read_constant};
use splitinfer_runtime::load_library;
use splitinfer_tensor::{Data, Tensor};

/// Whether there is an ONNX Runtime; without one the tests say so and skip.
pub fn runtime() -> bool {
    match load_library(None) {
        Ok(_) => true,
        Err(e) => {
            eprintln!("SKIPPED: {e}");
            false
        }
    }
}

/// A model and its reference tensors: `in:NAME`, `out:NAME`, `seed:NAME`, `grad:NAME`, `central:NAME` and others.
pub struct Fixture {
    pub name: String,
    pub model: Model,
    pub data: BTreeMap<String, Tensor>,
    /// The key–value pairs of the data file.
    pub notes: BTreeMap<String, String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Names of all fixtures with this prefix.
pub fn names(prefix: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("the fixtures are part of the repository");
    let files = files.map(|f| f.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|f| f.strip_suffix(".data.onnx").map(str::to_owned))
        .filter(|n| n.starts_with(prefix))
        .collect();
    names.sort();
    names
}

/// # Panics
/// When the files are not fixtures.
pub fn load(name: &str) -> Fixture {
    let model = |file: String| Model::load(&folder().join(file)).unwrap_or_else(|e| panic!("{e}"));
    let data = model(format!("{name}.data.onnx"));
    let proto = data.proto();
    let tensors = proto.graph.iter().flat_map(|g| &g.initializer);
    let pairs = proto.metadata_props.iter();
    Fixture {
        name: name.to_owned(),
        model: model(format!("{name}.onnx")),
        data: tensors
            .map(|t| (t.name().to_owned(), read_constant(t).unwrap()))
            .collect(),
        notes: pairs
            .map(|p| (p.key().to_owned(), p.value().to_owned()))
            .collect(),
    }
}

impl Fixture {
    /// The tensors of one kind, by the name behind the colon.
    pub fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let of = move |(k, t): (&'a String, &'a Tensor)| {
            Some((k.strip_prefix(kind)?.strip_prefix(':')?, t))
        };
        self.data.iter().filter_map(of)
    }
}

/// Elements in double precision.
pub fn doubles(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        Data::F64(v) => v.clone(),
        _ => tensor.to_f32_vec().into_iter().map(f64::from).collect(),
    }
}

/// A reference this much smaller than others beside it is zero but for rounding.
const ZERO: f64 = 1e-9;

/// The largest difference over the largest element of the reference, or over `scale`, the size of what stands
/// beside it, where the reference is zero.
pub fn relative_error(reference: &Tensor, got: &Tensor, scale: f64) -> f64 {
    assert_eq!(reference.shape(), got.shape());
    let pairs = doubles(reference).into_iter().zip(doubles(got));
    let difference = pairs.fold(0.0f64, |m, (a, b)| m.max(nan_is_far((a - b).abs())));
    let size = size(reference);
    let zero = size <= ZERO * scale;
    difference
        / if zero && scale > 0.0 {
            scale
        } else if zero {
            1.0
        } else {
            size
        }
}

/// The largest element.
pub fn size(tensor: &Tensor) -> f64 {
    doubles(tensor).iter().fold(0.0f64, |m, v| m.max(v.abs()))
}

fn nan_is_far(v: f64) -> f64 {
    if v.is_nan() { f64::INFINITY } else { v }
}
