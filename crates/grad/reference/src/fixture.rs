// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The fixtures of crates/grad/tests/fixtures: a model, and beside it what PyTorch makes of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use splitinfer_graph::{Model, read_constant};
use splitinfer_tensor::Tensor;

use crate::compare::{relative_error, size};

/// A model and its reference tensors: `in:NAME`, `out:NAME`, `seed:NAME`, `grad:NAME`, `central:NAME` and others.
pub struct Fixture {
    pub name: String,
    pub model: Model,
    pub data: BTreeMap<String, Tensor>,
    /// The key–value pairs of the data file.
    pub notes: BTreeMap<String, String>,
}

/// Where the fixtures lie, and the Python packages that make them.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// Names of all fixtures with this prefix.
///
/// # Panics
/// When the fixtures are not there: they are part of the repository.
pub fn names(prefix: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("the fixtures are part of the repository");
    let files = files.filter_map(|f| f.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = files
        .filter_map(|f| f.strip_suffix(".data.onnx").map(str::to_owned))
        .filter(|n| n.starts_with(prefix))
        .collect();
    names.sort();
    names
}

/// Names of the fixtures of operators and small networks, which have gradients of inputs and parameters.
pub fn operator_names() -> Vec<String> {
    let mut names = names("");
    names.retain(|n| !n.starts_with("train_") && !n.starts_with("loss_"));
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
    let read = |t| read_constant(t).unwrap_or_else(|| panic!("{name}: a tensor cannot be read"));
    Fixture {
        name: name.to_owned(),
        model: model(format!("{name}.onnx")),
        data: tensors.map(|t| (t.name().to_owned(), read(t))).collect(),
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

    /// How far gradients are from those of one kind, `grad` or `central`, tensor by tensor. One that is not there is
    /// zero.
    pub fn errors<'a>(
        &'a self,
        kind: &'a str,
        found: &'a [(String, Tensor)],
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let beside = self.kind("grad").chain(self.kind("seed"));
        let scale = beside.map(|(_, t)| size(t)).fold(0.0, f64::max);
        self.kind(kind).map(move |(name, expected)| {
            let got = found
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, t)| t.clone());
            let got = got.unwrap_or_else(|| zeros(expected.shape()));
            (name, relative_error(expected, &got, scale))
        })
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::new(shape.to_vec(), vec![0f32; count]).unwrap_or_else(|e| unreachable!("{e}"))
}
