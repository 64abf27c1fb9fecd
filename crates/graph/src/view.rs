// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tensors that are another tensor in a wider form: dequantised, or cast to a type at least as large.
//!
//! Where one of these would cross a cut, the narrower tensor crosses instead, and each side makes the wide
//! form for itself. A quantised (QDQ) model then sends bytes and not floats, and its quantised operators,
//! which a runtime recognises by the DequantizeLinear nodes before them, stay whole on both sides.

use crate::depend::Level;
use crate::facts::Facts;
use crate::model::Model;
use crate::order::{Node, TensorId};

/// Of each tensor: the one that crosses in its place, which mostly is itself.
pub(crate) fn bases(model: &Model, facts: &Facts) -> Vec<TensorId> {
    let graph = model.graph();
    let mut bases: Vec<TensorId> = (0..graph.tensors.len()).collect();
    // Nodes come in topological order, so the base of a base is known.
    for node in &graph.nodes {
        if let Some((wide, narrow)) = view(model, facts, node) {
            bases[wide] = bases[narrow];
        }
    }
    bases
}

/// What the node makes, and from what, if it is only a wider form.
fn view(model: &Model, facts: &Facts, node: &Node) -> Option<(TensorId, TensorId)> {
    let graph = model.graph();
    let proto = &model.main().node[node.index];
    if !matches!(proto.op_type(), "DequantizeLinear" | "Cast") {
        return None;
    }
    let narrow = graph.id(proto.input.first()?)?;
    let &[wide] = node.outputs.as_slice() else {
        return None;
    };
    let constant = |t: &TensorId| graph.tensors[*t].depends.value == Level::Constant;
    let alone = node.inputs.iter().all(|t| *t == narrow || constant(t));
    let [from, to] = [narrow, wide].map(|t| facts.get(graph.name(t)));
    let wider = from?.stable && from?.byte_len() <= to?.byte_len();
    (alone && wider && !constant(&narrow)).then_some((wide, narrow))
}
