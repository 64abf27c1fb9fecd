// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Shares of a batch, side by side: each lane is a session of its own that adds up the gradients of its runs.

use splitinfer_grad::{ShareGraph, StepPorts};
use splitinfer_runtime::{CarriedSession, Given, Held, Session, SessionOptions};
use splitinfer_tensor::{DType, Tensor};

use super::feed::{Losses, Run, filled};
use super::sharing::Sharing;
use crate::error::TrainError;

/// Sessions that make gradients of the same weights at the same time.
pub(crate) struct Shares {
    lanes: Vec<Session>,
    before: String,
    gradient: String,
    parameters: usize,
    /// What a lane's first run adds to.
    zeros: Held,
    losses: Losses,
}

/// What a lane made of its runs.
struct Made {
    gradient: Held,
    /// Of each run, the batch's losses that it adds.
    losses: Vec<Vec<f32>>,
}

impl Shares {
    /// # Errors
    /// When ONNX Runtime refuses the graph.
    pub fn new(
        graph: &ShareGraph,
        step: &StepPorts,
        sharing: &Sharing,
        options: &SessionOptions,
    ) -> Result<Self, TrainError> {
        let options = SessionOptions {
            threads: sharing.threads,
            ..options.clone()
        };
        let lane = || Session::from_model(&graph.model, &options);
        Ok(Self {
            lanes: (0..sharing.lanes)
                .map(|_| lane())
                .collect::<Result<_, _>>()?,
            before: graph.before.clone(),
            gradient: graph.gradient.clone(),
            parameters: graph.parameters.len(),
            zeros: Held::new(zeros(step))?,
            losses: Losses::new(&graph.losses),
        })
    }

    /// Of each lane the sum of its runs' gradients; and the losses of the batch. `weights` begin with the parameters.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn gradients(
        &self,
        weights: &CarriedSession,
        runs: &[Run],
    ) -> Result<(Vec<Held>, Vec<f32>), TrainError> {
        let weights: Vec<(&str, Given<'_>)> = weights.given().take(self.parameters).collect();
        let count = self.lanes.len();
        let own = |lane: usize| &runs[lane * runs.len() / count..(lane + 1) * runs.len() / count];
        let weights = weights.as_slice();
        let made = std::thread::scope(|threads| {
            let work = |lane| move || self.lane(lane, weights, own(lane));
            let others: Vec<_> = (1..count)
                .map(|lane| std::thread::Builder::new().spawn_scoped(threads, work(lane)))
                .collect();
            let first = work(0)();
            let joined = (1..).zip(others).map(|(lane, thread)| match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|p| std::panic::resume_unwind(p)),
                // The system has no thread to spare: it takes longer, that is all.
                Err(_) => work(lane)(),
            });
            std::iter::once(first)
                .chain(joined)
                .collect::<Result<Vec<Made>, _>>()
        })?;
        // Added up in the order of the batch, so that the same batch has the same losses to the last bit.
        let losses = made.iter().flat_map(|m| &m.losses).fold(vec![], summed);
        Ok((made.into_iter().map(|m| m.gradient).collect(), losses))
    }

    /// One lane's runs, one after another.
    fn lane(
        &self,
        lane: usize,
        weights: &[(&str, Given<'_>)],
        runs: &[Run],
    ) -> Result<Made, TrainError> {
        let mut sum: Option<Held> = None;
        let mut losses = Vec::with_capacity(runs.len());
        for run in runs {
            let mut given: Vec<(&str, Given<'_>)> = run.given().collect();
            given.extend_from_slice(weights);
            let before = sum.as_ref().unwrap_or(&self.zeros);
            given.push((&self.before, Given::from(before)));
            let outputs = self.lanes[lane].run_held(&given)?;
            losses.push(self.losses.of_held(&outputs)?);
            let mut outputs = outputs.into_iter();
            sum = outputs
                .find(|(name, _)| *name == self.gradient)
                .map(|(_, held)| held);
        }
        // There is no lane without a run, and no run without a gradient.
        let gradient = sum.unwrap_or_else(|| unreachable!("a lane has no gradient"));
        Ok(Made { gradient, losses })
    }
}

fn summed(sum: Vec<f32>, next: &Vec<f32>) -> Vec<f32> {
    match sum.is_empty() {
        true => next.clone(),
        false => sum.iter().zip(next).map(|(a, b)| a + b).collect(),
    }
}

/// As many as all parameters have elements, of their type.
fn zeros(step: &StepPorts) -> Tensor {
    let initial = step.parameters.iter().map(|(_, c)| &c.initial);
    let dtype = initial.clone().next().map_or(DType::F32, Tensor::dtype);
    let elements = initial.map(Tensor::len).sum();
    filled(0.0, &[elements], dtype)
}
