// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Fine-tuning of an ONNX model on the ONNX Runtime that runs it: a [`Trainer`] makes steps on batches of
//! [`Sample`]s, [`fit`] draws them from a [`Replay`] buffer until the loss is low enough, and
//! [`Trainer::model`] gives the same model with the new weights.
//!
//! Where only the layers from a tensor on are trained, a sample holds what crosses there instead of the
//! picture ([`Trainer::features`]): the layers below run once a sample and not once a step.
//!
//! ```no_run
//! use splitinfer_graph::Model;
//! use splitinfer_trainer::{FitSettings, Replay, Sample, Trainable, Trainer, TrainerSettings, default_losses, fit};
//!
//! # fn example(picture: splitinfer_tensor::Tensor, target: splitinfer_tensor::Tensor) -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::load("student.onnx".as_ref())?;
//! let losses = default_losses(&model);
//! let mut trainer = Trainer::new(&model, &Trainable::All, losses, TrainerSettings::default())?;
//! let mut replay = Replay::new(500, 0);
//! replay.push(Sample::new(trainer.features(&[&picture])?, vec![target]));
//! let report = fit(&mut trainer, &mut replay, &[], &FitSettings::default(), |_| Ok(()))?;
//! println!("loss {} after {} steps", report.train_loss, report.steps);
//! trainer.model()?.save("adapted.onnx".as_ref())?;
//! # Ok(())
//! # }
//! ```

mod adaptation;
mod archive;
mod delta;
mod division;
mod error;
mod fit;
mod floor;
mod losses;
mod replay;
mod sample;
mod schedule;
mod selection;
mod state;
mod step;
mod trainer;
mod vary;
mod weighing;
mod words;

pub use adaptation::{Adaptation, AdaptationSettings, Outcome};
pub use delta::Delta;
pub use error::TrainError;
pub use fit::{FitReport, FitSettings, Progress, Stopped, fit};
pub use losses::{DefaultLoss, default_losses, losses_by_output};
pub use replay::{Age, Replay};
pub use sample::Sample;
pub use schedule::Schedule;
pub use selection::Trainable;
pub use splitinfer_grad::{GradError, Loss, LossTerm, Optimizer, Reduction};
pub use state::State;
pub use step::{Batch, Memory, Sharing, StepReport, Stepper};
pub use trainer::{Trainer, TrainerSettings};
pub use vary::Vary;
pub use weighing::Weighing;
pub use words::{loss_words, parse_loss, parse_optimizer};
