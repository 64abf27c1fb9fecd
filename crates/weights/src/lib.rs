// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights for a model that is in use: which change, coded small, and applied bit for bit the same on every machine.
//!
//! A **version** of a model is its graph with other values in its float initializers. Version 0, the **base**, is the
//! file itself. An **update** leads from one version to a later one; `docs/weight-update.md` specifies its bytes.
//! Values lie on a grid around those of the base, so that errors never add up and an update that starts from the base
//! (for a receiver that has nothing else) is small, too. The sender adopts what the receiver will decode
//! ([`Coded::model`]), so both have the same bits, which a digest checks.
//!
//! [`Versions`] is what either side holds: the base, and the versions that a next update may start from.
//!
//! ```
//! use splitinfer_graph::build::GraphBuilder;
//! use splitinfer_tensor::DType;
//! use splitinfer_weights::{Encoding, Versions, encode};
//! let model = |w: &[f32]| {
//!     let graph = GraphBuilder::new(17).input("x", DType::F32, &[4]).weight("w", &[4], w);
//!     graph.node("Add", &["x", "w"], &["y"], vec![]).untyped_output("y").model().unwrap()
//! };
//! let base = model(&[0.5, -0.25, 0.125, 1.0]);
//! let trained = model(&[0.52, -0.25, 0.12, 1.01]);
//!
//! let sender = Versions::new(base.clone());
//! let coded = encode(&sender, 1, &trained, &Encoding::default()).unwrap();
//! let receiver = Versions::new(base);
//! let (header, received) = receiver.read(&coded.bytes).unwrap();
//! assert_eq!(header.to, 1);
//! assert_eq!(received.hash(), coded.model.hash());
//! ```

mod apply;
mod digest;
mod encode;
mod error;
mod grid;
mod header;
mod range;
mod residual;
mod tensors;
mod values;
mod versions;

pub use digest::digest;
pub use encode::{Coded, Encoding, Precision, encode, rollback};
pub use error::UpdateError;
pub use header::{HEADER_BYTES, Header, MAGIC};
pub use versions::{KEPT, Versions};
