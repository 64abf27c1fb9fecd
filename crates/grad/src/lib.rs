// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reverse-mode differentiation of ONNX models: a model in, an ordinary ONNX graph out that computes its
//! gradients or makes a whole training step, run by the same runtime as inference on any of its providers.
//!
//! ONNX has no gradients of its own, and ONNX Runtime's training packages ended with version 1.19. Here each
//! operator has one short rule (the `rules` module) that says, in standard operators, how a gradient passes
//! through it; [`gradient_graph`] walks the nodes from last to first and applies them, and [`TrainingGraph`]
//! adds losses and an optimizer; [`ShareGraph`] and [`UpdateGraph`] are the same in two, for batches that are shared
//! out. Nothing here runs a model.
//!
//! ```
//! use splitinfer_grad::{LossTerm, Loss, Optimizer, Spec, TrainingGraph, parameters, trainable_form};
//! use splitinfer_graph::{Facts, TensorFact, build::GraphBuilder};
//! use splitinfer_tensor::DType;
//!
//! let model = GraphBuilder::new(17)
//!     .input("x", DType::F32, &[4, 3])
//!     .weight("w", &[3, 2], &[0.5; 6])
//!     .node("MatMul", &["x", "w"], &["y"], vec![])
//!     .output("y", DType::F32, &[4, 2])
//!     .model()?;
//! let model = trainable_form(&model)?;
//! // What a runtime tells of the model's tensors: `splitinfer_runtime::probe_all`.
//! # let fact = |shape: &[usize]| TensorFact { dtype: DType::F32, shape: shape.to_vec(), stable: true, value: None };
//! # let facts = Facts([("x".to_owned(), fact(&[4, 3])), ("y".to_owned(), fact(&[4, 2]))].into());
//! let spec = Spec {
//!     parameters: parameters(&model).into_iter().map(|p| p.name).collect(),
//!     losses: vec![LossTerm::new("y", Loss::MeanSquared)],
//!     optimizer: Optimizer::adam(),
//!     clip_norm: None,
//! };
//! let graph = TrainingGraph::new(&model, &facts, &spec)?;
//! assert_eq!(graph.losses.targets, ["target/y"]);
//! assert_eq!(graph.step.parameters[0].1.output, "next/w");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backward;
mod emitter;
mod error;
mod forward;
mod judge;
mod loss;
mod ops;
mod optimizer;
mod parameters;
mod rules;
mod shares;
mod training;
mod update;
mod upgrade;
mod value;
mod widen;
mod writer;

pub use error::GradError;
pub use loss::{Loss, Reduction};
pub use optimizer::Optimizer;
pub use parameters::{Parameter, parameters};
pub use shares::{ShareGraph, UpdateGraph};
pub use training::{
    Carried, LossPorts, LossTerm, Spec, StepPorts, TrainingGraph, gradient_graph, loss_graph,
};
pub use upgrade::trainable_form;

/// The operators through which gradients pass, sorted by name.
pub fn differentiable_operators() -> impl Iterator<Item = &'static str> {
    rules::RULES.iter().map(|(op, _)| *op)
}
