// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An ONNX model as a graph: loaded, checked, cut, and taken apart into models that do the same together.
//!
//! A **cut** is a set of tensors that separates a model into a **head**, which runs from the picture to
//! those tensors, and a **tail**, which runs from them to the outputs. [`Model::cuts`] lists every one that
//! lies on one order of the nodes, so the head of a cut contains the head of each cut before it;
//! [`Model::part`] extracts what lies between two, and [`Model::batched`] makes of it a model for several frames.
//!
//! Nothing here runs a model. What must be known of tensors (types, shapes, values that shapes decide) comes
//! as [`Facts`], which whoever can run [`Model::probe_model`] collects.

mod batch;
pub mod build;
mod constant;
mod cost;
mod cut;
mod depend;
mod error;
mod external;
mod facts;
mod greedy;
mod model;
mod order;
mod part;
mod probe;
pub mod proto;
mod schedule;
mod view;

pub use constant::read_constant;
pub use cut::{Cut, TensorSpec};
pub use error::{GraphError, Problem};
pub use facts::{Facts, TensorFact};
pub use model::{Dim, Model, ValueInfo};
pub use order::reads;
