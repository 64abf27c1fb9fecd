// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the process of an edge takes: one that never splits, one that can split at one place, one that can at all.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::edge::{Edge, Settings};
use super::memory::{self, Memory};
use crate::measure;

/// Frames at each split.
const FRAMES: usize = 15;
/// The pictures of the camera.
const PICTURES: usize = 4;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The beginning of a pipeline that gives frames.
    pub source: String,
    /// Its address.
    pub server: Option<String>,
    /// The only split that there is to be, beside `edge` and `server`.
    pub only: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// After the first split: that of `only`, or the one in the middle; without a server, `edge`.
    pub one: Memory,
    /// After all.
    pub all: Memory,
    /// In memory, from before the element is made.
    pub peak: f64,
}

/// # Errors
/// When the element does not run.
pub fn run(model: &Path, job: &Job) -> Result<Taken> {
    crate::init();
    let (caps, frames) = measure::frames(&job.source, PICTURES)?;
    Memory::settled()?;
    memory::reset_peak()?;
    let settings = Settings {
        model,
        server: job.server.as_deref(),
        candidates: job.only.as_deref(),
        tensor_bits: 0,
    };
    let mut edge = Edge::start(&caps, frames, &settings)?;
    let mut splits = match (&job.server, &job.only) {
        (None, _) => vec!["edge".to_owned()],
        (_, Some(only)) => vec![only.clone()],
        _ => edge.splits()?,
    };
    let middle = splits.len() / 2;
    splits.swap(0, middle);
    let mut use_split = |split: &String| {
        edge.set_split(split);
        (0..FRAMES).try_for_each(|_| {
            let result = edge.frame()?.context("a frame was lost")?;
            anyhow::ensure!(
                result.split == *split,
                "a frame was split at {}",
                result.split
            );
            anyhow::Ok(())
        })
    };
    use_split(&splits[0])?;
    let one = Memory::now()?;
    splits[1..].iter().try_for_each(&mut use_split)?;
    Ok(Taken {
        one,
        all: Memory::now()?,
        peak: memory::peak()?,
    })
}
