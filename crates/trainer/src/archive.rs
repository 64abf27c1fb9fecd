// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tensors in a file: an ONNX model without nodes, whose initializers they are, so that any ONNX tool can look
//! inside.

use splitinfer_graph::build::{GraphBuilder, tensor};
use splitinfer_graph::proto::StringStringEntryProto;
use splitinfer_graph::{GraphError, Model, read_constant};
use splitinfer_tensor::Tensor;

/// A graph must give something.
const OUTPUT: &str = "archive";

/// # Errors
/// When two tensors have one name.
pub(crate) fn pack(
    tensors: &[(String, Tensor)],
    notes: &[(&str, String)],
) -> Result<Vec<u8>, GraphError> {
    let mut proto = GraphBuilder::new(17).untyped_output(OUTPUT).proto();
    let entry = |(key, value): &(&str, String)| StringStringEntryProto {
        key: Some((*key).to_owned()),
        value: Some(value.clone()),
    };
    proto.metadata_props.extend(notes.iter().map(entry));
    if let Some(graph) = &mut proto.graph {
        let given = Tensor::new(vec![], vec![tensors.len() as i64]);
        graph
            .initializer
            .extend(given.ok().map(|t| tensor(OUTPUT, &t)));
        graph
            .initializer
            .extend(tensors.iter().map(|(name, value)| tensor(name, value)));
    }
    Ok(Model::from_proto(proto)?.to_bytes())
}

/// What [`pack`] wrote: the tensors, and the note of a name.
pub(crate) struct Archive(Model);

impl Archive {
    /// # Errors
    /// When the bytes are no ONNX model.
    pub fn read(bytes: &[u8]) -> Result<Self, GraphError> {
        Model::from_bytes(bytes, None).map(Self)
    }

    pub fn note(&self, key: &str) -> Option<&str> {
        let mut notes = self.0.proto().metadata_props.iter();
        notes.find(|p| p.key() == key).map(|p| p.value())
    }

    /// `None` when one is of a type that tensors do not have.
    pub fn tensors(&self) -> Option<Vec<(String, Tensor)>> {
        let initializers = self.0.proto().graph.iter().flat_map(|g| &g.initializer);
        initializers
            .filter(|t| t.name() != OUTPUT)
            .map(|t| Some((t.name().to_owned(), read_constant(t)?)))
            .collect()
    }
}
