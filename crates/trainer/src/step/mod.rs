// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Steps of training: a graph that makes them whole, or shares of the batch side by side and the update that their
//! gradients make together. Which it is decides how long a step takes, and but for the order in which numbers are added
//! up nothing else.

mod batch;
mod feed;
mod memory;
mod shares;
mod sharing;

use splitinfer_grad::{ShareGraph, Spec, StepPorts, TrainingGraph, UpdateGraph};
use splitinfer_graph::Model;
use splitinfer_runtime::{CarriedSession, Held, Provider, SessionOptions, probe_all};
use splitinfer_tensor::{DType, Tensor};

use crate::error::TrainError;
use crate::sample::Sample;
use feed::{Run, filled, number};
use shares::Shares;

pub(crate) use feed::{Feed, Losses};
pub use memory::Memory;
pub use sharing::Sharing;

/// What a step told.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Before the step: the sum of all losses times their factors.
    pub loss: f32,
    /// Each loss.
    pub terms: Vec<f32>,
    /// Euclidean norm of all gradients before clipping.
    pub gradient_norm: f32,
}

/// A full batch, made ready for a [`Stepper`].
pub struct Batch(Vec<Run>);

/// Makes steps of one model's weights.
pub struct Stepper {
    feed: Feed,
    sharing: Sharing,
    memory: Memory,
    graphs: Vec<Model>,
    /// The whole step, or the update by the sum of the shares' gradients.
    session: CarriedSession,
    step: StepPorts,
    work: Work,
}

/// Where gradients are made.
enum Work {
    /// In the graph that makes the step.
    Whole(Losses),
    /// Before it; and the inputs that take them.
    Shared(Shares, Vec<String>),
}

impl Stepper {
    /// `single`, in its trainable form, takes one example.
    ///
    /// # Errors
    /// When the model cannot be trained like this, or ONNX Runtime fails.
    pub fn new(
        single: &Model,
        spec: &Spec,
        batch: usize,
        options: &SessionOptions,
    ) -> Result<Self, TrainError> {
        let (form, sharing) = share_out(single, batch, options);
        let facts = probe_all(&form, &[], options)?;
        let (graphs, losses, step, work) = match sharing.is_whole() {
            true => {
                let graph = TrainingGraph::new(&form, &facts, spec)?;
                let work = Work::Whole(Losses::new(&graph.losses));
                (vec![graph.model], graph.losses, graph.step, work)
            }
            false => {
                let share = ShareGraph::new(&form, &facts, spec, sharing.runs)?;
                let update = UpdateGraph::new(&form, &facts, spec, sharing.lanes)?;
                let shares = Shares::new(&share, &update.step, &sharing, options)?;
                let work = Work::Shared(shares, update.gradients);
                (
                    vec![share.model, update.model],
                    share.losses,
                    update.step,
                    work,
                )
            }
        };
        let carried: Vec<(&str, &str, &Tensor)> = step
            .carried()
            .map(|c| (c.input.as_str(), c.output.as_str(), &c.initial))
            .collect();
        let options = SessionOptions {
            threads: sharing.threads * sharing.lanes,
            ..options.clone()
        };
        // The last graph is the one that makes the step.
        let session = CarriedSession::new(&graphs[graphs.len() - 1], &carried, &options)?;
        Ok(Self {
            feed: Feed::new(&probe_all(single, &[], &options)?, &losses, spec)?,
            memory: Memory::of(&step, &form, &facts, &sharing),
            sharing,
            graphs,
            session,
            step,
            work,
        })
    }

    /// A batch made ready. One that is not full is filled by repeating its samples.
    ///
    /// # Errors
    /// When it is empty or too large, or a sample does not fit.
    pub fn batch(&self, samples: &[&Sample]) -> Result<Batch, TrainError> {
        let batch = self.sharing.examples * self.sharing.runs;
        if samples.is_empty() || samples.len() > batch {
            return Err(TrainError::BatchSize {
                batch,
                got: samples.len(),
            });
        }
        let filled: Vec<&Sample> = samples.iter().copied().cycle().take(batch).collect();
        self.feed.runs(&filled, self.sharing.examples).map(Batch)
    }

    /// One step at this learning rate.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn step(&mut self, Batch(runs): &Batch, rate: f64) -> Result<StepReport, TrainError> {
        let rate = Held::new(filled(rate, &[], DType::F32))?;
        let mut inputs: Vec<(&str, &Held)> = vec![(&self.step.learning_rate, &rate)];
        let (losses, outputs) = match &self.work {
            Work::Whole(losses) => {
                inputs.extend(runs.iter().flat_map(Run::held));
                let outputs = self.session.step(&inputs)?;
                (losses.of(&outputs), outputs)
            }
            Work::Shared(shares, names) => {
                let (gradients, losses) = shares.gradients(&self.session, runs)?;
                inputs.extend(names.iter().map(String::as_str).zip(&gradients));
                (losses, self.session.step(&inputs)?)
            }
        };
        Ok(StepReport {
            loss: losses.first().copied().unwrap_or(f32::NAN),
            terms: losses.get(1..).unwrap_or_default().to_vec(),
            gradient_norm: number(&self.step.gradient_norm, &outputs),
        })
    }

    /// The weights and what the optimizer remembers, by name, as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn carried(&self) -> Result<Vec<Tensor>, TrainError> {
        Ok(self.session.carried()?)
    }

    /// Puts others in their place.
    ///
    /// # Errors
    /// When they are not of the same number, types and shapes.
    pub fn set(&mut self, tensors: &[&Tensor]) -> Result<(), TrainError> {
        Ok(self.session.set(tensors)?)
    }

    /// Names of what [`Stepper::carried`] gives, in order.
    pub fn carried_names(&self) -> impl Iterator<Item = &str> {
        self.step.carried().map(|c| c.input.as_str())
    }

    /// The weights that learn, by name of the initializer, and as they were at first.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let parameters = self.step.parameters.iter();
        parameters.map(|(name, carried)| (name.as_str(), &carried.initial))
    }

    /// The graphs that make a step.
    pub fn graphs(&self) -> &[Model] {
        &self.graphs
    }

    /// What training keeps in memory, at most.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// How a batch is shared out.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }
}

/// The model for the examples of one run, and how many runs make a batch.
fn share_out(single: &Model, batch: usize, options: &SessionOptions) -> (Model, Sharing) {
    let sharing = |together| match options.provider {
        Provider::Cpu => Sharing::new(batch, threads(options), together),
        _ => Sharing::in_line(batch, options.threads, together),
    };
    let together = sharing(true);
    let several = match together.examples {
        1 => None,
        examples => batch::batched(single, examples, options),
    };
    match several {
        Some(form) => (form, together),
        None => (single.clone(), sharing(false)),
    }
}

/// As many as are asked for; for 0 one a physical core, if this process may use as many.
fn threads(options: &SessionOptions) -> usize {
    match options.threads {
        0 => num_cpus::get_physical().min(num_cpus::get()),
        threads => threads,
    }
}
