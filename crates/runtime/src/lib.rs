// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! ONNX Runtime for the rest of the project: its library is found by itself, models become sessions, and a
//! [`SplitModel`] runs one model whole or as head and tail with a split point chosen anew on every call.
//!
//! Nothing here panics when the library is missing, too old or not what its name says: every such case is a
//! [`RuntimeError`] that tells how to get a library that works.
//!
//! ```no_run
//! use splitinfer_graph::Model;
//! use splitinfer_runtime::{SessionOptions, SplitModel, fix_shapes, load_library, probe};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! println!("ONNX Runtime {}", load_library(None)?.version);
//! let model = fix_shapes(&Model::load("model.onnx".as_ref())?, &[])?;
//! let options = SessionOptions::default();
//! let facts = probe(&model, &options)?;
//! let split = SplitModel::new(&model, &facts, model.candidates(&facts, 8), &options)?;
//! let input = splitinfer_runtime::sample(split.input(), 1)?;
//! let crossing = split.head(0, &input)?; // on one machine
//! let outputs = split.tail(0, &crossing)?; // on another
//! # Ok(())
//! # }
//! ```

mod arena;
mod batch;
mod carried;
mod error;
mod exit;
mod held;
mod library;
mod probe;
mod profile;
mod provider;
mod sample;
mod session;
mod shape;
mod split;
mod stop;
mod value;

pub use batch::{Batched, for_frames};
pub use carried::CarriedSession;
pub use error::RuntimeError;
pub use held::{Given, Held};
pub use library::{Library, LogLevel, load_library, log_to};
pub use probe::{probe, probe_all};
pub use profile::Profile;
pub use provider::Provider;
pub use sample::{random_tensor, sample};
pub use session::{Port, Session, SessionOptions};
pub use shape::fix_shapes;
pub use split::{DEFAULT_CANDIDATES, SplitModel};
pub use stop::Stop;
