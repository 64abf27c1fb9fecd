// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What tells two versions of a model apart.

use sha2::{Digest, Sha256};
use splitinfer_graph::Model;

use crate::error::UpdateError;
use crate::tensors::{initializers, read};

/// SHA-256 over the weights of a model: of every float initializer, in the order of the file, the length of its name
/// (`u32`, big-endian), the name, and its elements as ONNX `raw_data`. How the file writes them does not matter.
///
/// # Errors
/// When the model's own data does not fit its shapes.
pub fn digest(model: &Model) -> Result<[u8; 32], UpdateError> {
    let mut digest = Sha256::new();
    for tensor in initializers(model) {
        if let Some(weight) = read(tensor)? {
            let name = tensor.name().as_bytes();
            digest.update((name.len() as u32).to_be_bytes());
            digest.update(name);
            digest.update(weight.to_le_bytes());
        }
    }
    Ok(digest.finalize().into())
}
