// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long frames take together and one by one, without elements around.

use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::ProgressBar;
use splitinfer_runtime::{SessionOptions, SplitModel, probe, sample};

use super::models::Named;
use crate::measure::{median, short};

/// Numbers of frames.
pub const SIZES: [usize; 3] = [2, 4, 8];

/// From one place on.
pub struct Row {
    pub model: String,
    pub from: String,
    pub times: Result<Times, String>,
}

/// Medians.
pub struct Times {
    /// The chain of parts that a frame alone goes through.
    pub alone: Duration,
    /// One frame in the session for several.
    pub one: Duration,
    /// So many frames together, in the order of [`SIZES`].
    pub together: [Duration; 3],
}

impl Times {
    /// How many frames a second more than one by one.
    pub fn gain(&self, i: usize) -> f64 {
        SIZES[i] as f64 * self.alone.as_secs_f64() / self.together[i].as_secs_f64()
    }

    /// Whether two frames have their results sooner in the mean when they are computed together: a server does so then.
    pub fn pays(&self) -> bool {
        let sooner = |(size, time): (usize, &Duration)| {
            time.as_secs_f64() < self.one.as_secs_f64() * (size as f64 + 1.0) / 2.0
        };
        SIZES.into_iter().zip(&self.together).any(sooner)
    }
}

/// Of a model: whole, and from a cut in the middle and a late one on.
///
/// # Errors
/// When the model cannot be run.
pub fn rows(named: &Named, turns: usize, progress: &ProgressBar) -> Result<Vec<Row>> {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    let facts = probe(&named.model, &options)?;
    let candidates = named.model.candidates(&facts, 8);
    let split = SplitModel::new(&named.model, &facts, candidates, &options)?;
    let count = split.candidates().len();
    let mut places = vec![None];
    if count > 0 {
        places.extend([Some(count / 2), Some(count - 1)]);
        places.dedup();
    }
    let mut rows = Vec::new();
    for from in places {
        rows.push(Row {
            model: named.name.clone(),
            from: from.map_or("whole".to_owned(), |i| short(&split.candidates()[i].name)),
            times: times(&split, from, turns).map_err(|e| e.to_string()),
        });
        progress.inc(1);
    }
    Ok(rows)
}

fn times(split: &SplitModel, from: Option<usize>, turns: usize) -> Result<Times> {
    let batched = split.batched(from)?;
    let frames = (1..=8)
        .map(|seed| {
            let input = sample(split.input(), 2 * seed + 1)?;
            Ok(match from {
                Some(candidate) => split.head(candidate, &input)?,
                None => vec![input],
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
    let mut seconds: [Vec<f64>; 5] = Default::default();
    // In turns, so that whatever else the machine does meets all of them.
    for turn in 0..turns {
        let begun = Instant::now();
        match from {
            Some(candidate) => drop(split.tail(candidate, frames[turn % 8])?),
            None => drop(split.whole(&frames[turn % 8][0])?),
        }
        seconds[0].push(begun.elapsed().as_secs_f64());
        for (i, size) in [1].into_iter().chain(SIZES).enumerate() {
            let begun = Instant::now();
            batched.run(&frames[..size])?;
            seconds[i + 1].push(begun.elapsed().as_secs_f64());
        }
    }
    let [alone, one, together @ ..] = seconds.map(|s| Duration::from_secs_f64(median(&s)));
    Ok(Times {
        alone,
        one,
        together,
    })
}
