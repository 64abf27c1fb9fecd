// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long this machine takes for each side of each cut.

use crate::error::RuntimeError;
use crate::exit;
use crate::sample::sample;
use crate::split::{SplitModel, gather};
use splitinfer_tensor::Tensor;
use std::time::{Duration, Instant};

/// Median times on this machine, each including the copy of the results out of ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The whole model in one session.
    pub whole: Duration,
    /// For each candidate, the part before it.
    pub head: Vec<Duration>,
    /// For each candidate, the part after it.
    pub tail: Vec<Duration>,
}

/// Discarded before anything is counted: ONNX Runtime plans its memory on a session's first run.
const WARM_UP: usize = 2;

impl SplitModel {
    /// Measures on noise; the time of a feed-forward model does not depend on what it sees.
    ///
    /// # Errors
    /// When a session cannot be made or fails.
    pub fn profile(&self, runs: usize) -> Result<Profile, RuntimeError> {
        self.profile_on(&sample(self.input(), 1)?, runs)
    }

    /// Measures on a given input. Costs about `2 * (runs + 2)` inferences, however many candidates there are:
    /// the chain runs once a round, and heads and tails are sums over its parts.
    ///
    /// # Errors
    /// When the input does not fit, or a session cannot be made or fails.
    pub fn profile_on(&self, input: &Tensor, runs: usize) -> Result<Profile, RuntimeError> {
        self.prepare()?;
        let n = self.candidates().len();
        let mut whole = Vec::new();
        let mut head = vec![Vec::new(); n];
        let mut tail = vec![Vec::new(); n];
        for round in 0..runs.max(1) + WARM_UP {
            // Alternating, so that a change of clock frequency falls on both alike.
            let start = Instant::now();
            self.whole(input)?;
            let whole_time = start.elapsed();
            let parts = self.time_parts(input)?;
            if round < WARM_UP {
                continue;
            }
            whole.push(whole_time);
            for i in 0..n {
                head[i]
                    .push(parts[..=i].iter().map(|p| p.compute).sum::<Duration>() + parts[i].copy);
                let last = parts[n].copy;
                tail[i].push(parts[i + 1..].iter().map(|p| p.compute).sum::<Duration>() + last);
            }
        }
        Ok(Profile {
            whole: median(whole),
            head: head.into_iter().map(median).collect(),
            tail: tail.into_iter().map(median).collect(),
        })
    }

    fn time_parts(&self, input: &Tensor) -> Result<Vec<PartTime>, RuntimeError> {
        let _inside = exit::enter()?;
        let mut live = self.start(input)?;
        (0..=self.candidates().len())
            .map(|part| {
                let start = Instant::now();
                self.advance(part, &mut live, None)?;
                let compute = start.elapsed();
                let start = Instant::now();
                gather(&live, self.boundary(part + 1).into_iter())?;
                Ok(PartTime {
                    compute,
                    copy: start.elapsed(),
                })
            })
            .collect()
    }
}

struct PartTime {
    compute: Duration,
    /// Of the boundary after it, out of ONNX Runtime.
    copy: Duration,
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
