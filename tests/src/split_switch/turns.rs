// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Ways that run the same frames in turns, in one process: what a split costs, and what the first frame after a switch.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use splitinfer_tensor::Tensor;

use super::child::{Job, Way};
use super::holding::{Ground, Outputs};
use crate::measure::{median, ms, processor_time};

/// Frames at a split after the first.
const LATER: usize = 4;

/// Of one way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Times {
    pub name: String,
    /// Of each candidate and round: the processor's milliseconds of the first frame after a switch, and the median of those
    /// after it. The whole model has no candidates; its frames are counted just as if it had.
    pub frames: Vec<Vec<[f64; 2]>>,
    /// Largest difference of an output from that of the whole model, relative to the largest output.
    pub difference: f32,
}

/// What takes turns.
struct Runner<'a> {
    name: &'static str,
    run: Box<dyn FnMut(usize) -> Result<Outputs> + 'a>,
}

/// The whole model against chain and pairs, or against pairs that share weights: with `shared`'s layout.
///
/// # Errors
/// When ONNX Runtime fails.
pub fn run(job: &Job, shared: Option<bool>, rounds: usize) -> Result<Vec<Times>> {
    let ways = match shared {
        None => vec![Way::ChainAndWhole, Way::Pairs],
        Some(layout) => vec![Way::SharedPairs { layout }],
    };
    let ground = |way: &Way| Ground::new(*way, &job.model, &job.files, &job.library);
    let grounds = ways.iter().map(ground).collect::<Result<Vec<_>>>()?;
    let mut held = Vec::new();
    for (ground, way) in grounds.iter().zip(&ways) {
        held.push((way.name(), ground.hold(*way)?));
    }
    let mut whole = grounds[0].hold(ways[0])?;
    let mut runners = vec![Runner {
        name: Way::Whole.name(),
        run: Box::new(move |_| whole.whole()?.context("there is a whole model")),
    }];
    for (name, held) in &mut held {
        let run = Box::new(move |candidate| held.split(candidate));
        runners.push(Runner { name, run });
    }
    take_turns(&mut runners, job.files.names.len(), rounds)
}

fn take_turns(runners: &mut [Runner], candidates: usize, rounds: usize) -> Result<Vec<Times>> {
    let expected = (runners[0].run)(0)?;
    let mut times = Vec::new();
    for runner in &mut *runners {
        let differences = (0..candidates).map(|i| Ok(difference(&(runner.run)(i)?, &expected)));
        let differences = differences.collect::<Result<Vec<f32>>>()?;
        times.push(Times {
            name: runner.name.to_owned(),
            frames: vec![Vec::new(); candidates],
            difference: differences.into_iter().fold(0.0, f32::max),
        });
    }
    for round in 0..rounds {
        for (runner, times) in runners.iter_mut().zip(&mut times) {
            // So that the first counted frame, too, comes after one of the same way.
            (runner.run)((round + candidates - 1) % candidates)?;
            for i in 0..candidates {
                let candidate = (round + i) % candidates;
                let mut time = || {
                    let begun = processor_time();
                    (runner.run)(candidate)?;
                    anyhow::Ok(ms(processor_time() - begun))
                };
                let first = time()?;
                let later = (0..LATER).map(|_| time()).collect::<Result<Vec<_>>>()?;
                times.frames[candidate].push([first, median(&later)]);
            }
        }
    }
    Ok(times)
}

/// Of the worst output.
fn difference(found: &Outputs, expected: &Outputs) -> f32 {
    let largest = |values: &[f32]| values.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    let of = |found: &Tensor, expected: &Tensor| {
        let (found, expected) = (found.to_f32_vec(), expected.to_f32_vec());
        let pairs = found.iter().zip(&expected);
        let apart: Vec<f32> = pairs.map(|(a, b)| a - b).collect();
        largest(&apart) / largest(&expected).max(f32::MIN_POSITIVE)
    };
    let pairs = found.iter().zip(expected);
    pairs.map(|((_, a), (_, b))| of(a, b)).fold(0.0, f32::max)
}
