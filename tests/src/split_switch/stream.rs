// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A live stream whose split changes every few frames: what the first frame after a switch takes longer than others.

use anyhow::Result;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use splitinfer_meta::Completed;

use super::THREADS;
use super::edge::{Edge, Settings};
use super::stages::{Stages, Sums};
use crate::measure::{self, Subject, median};
use crate::process::Server;

/// Frames at each split.
const STRETCH: usize = 5;
/// The first frame, and those from this one on, are compared: the second may still wait for what the first left behind.
const LATER: usize = 2;
/// Rounds through all splits at first, in which the code learns how coarse it may be.
const WARM_UP: usize = 2;
/// The pictures of the camera.
const PICTURES: usize = 60;

/// One frame.
#[derive(Clone, Debug)]
struct Shot {
    split: usize,
    /// In its stretch.
    position: usize,
    warm: bool,
    latency: f64,
    stages: Stages,
    by_server: bool,
}

/// What a frame took, compared with the median of later frames at its split.
#[derive(Clone, Copy, Debug)]
pub struct Excess {
    pub ms: f64,
    pub stages: Stages,
    /// Median bytes of later frames.
    pub usual_bytes: f64,
    pub bytes: f64,
}

/// Where a split puts the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Edge,
    Server,
    Cut,
}

pub struct Stream {
    pub frames: usize,
    pub switches: usize,
    pub lost: u64,
    shots: Vec<Shot>,
    splits: Vec<String>,
}

/// Rounds of switches, each through all splits in another order.
///
/// # Errors
/// When the pipeline does not run.
pub fn run(subject: &Subject, tensor_bits: u32, rounds: usize) -> Result<Stream> {
    let model = format!("model={}", subject.model.display());
    let server = Server::start(&[&model, &format!("threads={THREADS}")]);
    let address = server.address();
    let (caps, pictures) = measure::frames(&subject.source, PICTURES)?;
    let settings = Settings {
        model: &subject.model,
        server: Some(&address),
        candidates: None,
        tensor_bits,
    };
    let mut edge = Edge::start(&caps, pictures, &settings)?;
    let splits = edge.splits()?;
    let mut stream = Stream {
        frames: 0,
        switches: 0,
        lost: 0,
        shots: Vec::new(),
        splits: splits.clone(),
    };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut order: Vec<usize> = (0..splits.len()).collect();
    let bar = measure::progress(WARM_UP + rounds);
    bar.set_message(subject.name.clone());
    for round in 0..WARM_UP + rounds {
        let last = order[order.len() - 1];
        order.shuffle(&mut random);
        if order[0] == last {
            order.rotate_left(1);
        }
        for split in &order {
            edge.set_split(&splits[*split]);
            stream.stretch(&mut edge, *split, round >= WARM_UP)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let stats = edge.stats();
    stream.switches = stats.get::<u64>("switches")? as usize;
    stream.lost = stream.lost.max(stats.get("lost-buffers")?);
    Ok(stream)
}

impl Stream {
    fn stretch(&mut self, edge: &mut Edge, split: usize, warm: bool) -> Result<()> {
        let mut before = Sums::new(&edge.stats());
        for position in 0..STRETCH {
            self.frames += 1;
            let Some(result) = edge.frame()? else {
                self.lost += 1;
                continue;
            };
            let after = Sums::new(&edge.stats());
            let latency = result.latency.nseconds() as f64 / 1e6;
            // A frame of another split than was set would be a switch that came late.
            anyhow::ensure!(
                result.split == self.splits[split] || result.completed == Completed::Edge,
                "a frame was split at {}, not at {}",
                result.split,
                self.splits[split]
            );
            self.shots.push(Shot {
                split,
                position,
                warm,
                latency,
                stages: after.since(&before, latency),
                by_server: result.completed == Completed::Server,
            });
            before = after;
        }
        Ok(())
    }

    fn counted(&self) -> impl Iterator<Item = &Shot> {
        self.shots.iter().filter(|s| s.warm)
    }

    /// Percent of the frames whose split wants the server.
    pub fn by_server(&self) -> f64 {
        let wanted = self.counted().filter(|s| self.kind(s.split) != Kind::Edge);
        let (got, all) = wanted.fold((0, 0), |(got, all), s| {
            (got + usize::from(s.by_server), all + 1)
        });
        100.0 * f64::from(got as u32) / f64::from(all as u32)
    }

    fn kind(&self, split: usize) -> Kind {
        match self.splits[split].as_str() {
            "edge" => Kind::Edge,
            "server" => Kind::Server,
            _ => Kind::Cut,
        }
    }

    /// Of first frames, or of later ones, at splits of a kind or of all.
    pub fn excess(&self, first: bool, kind: Option<Kind>) -> Vec<Excess> {
        let mut all = Vec::new();
        for split in 0..self.splits.len() {
            if kind.is_some_and(|k| k != self.kind(split)) {
                continue;
            }
            let of = |later: bool| {
                let here = self.counted().filter(move |s| s.split == split);
                here.filter(move |s| match later {
                    true => s.position >= LATER,
                    false => s.position == 0,
                })
            };
            let usual = usual(&of(true).collect::<Vec<_>>());
            all.extend(of(!first).map(|shot| compare(shot, &usual)));
        }
        all
    }
}

/// Medians, and that of the latency.
fn usual(shots: &[&Shot]) -> (f64, Stages) {
    let of =
        |value: &dyn Fn(&Shot) -> f64| median(&shots.iter().map(|s| value(s)).collect::<Vec<_>>());
    let mut stages = Stages {
        bytes: of(&|s| s.stages.bytes),
        ..Stages::default()
    };
    for i in 0..stages.ms.len() {
        stages.ms[i] = of(&|s| s.stages.ms[i]);
    }
    (of(&|s| s.latency), stages)
}

fn compare(shot: &Shot, (latency, usual): &(f64, Stages)) -> Excess {
    let mut stages = shot.stages;
    for (ms, usual) in stages.ms.iter_mut().zip(&usual.ms) {
        *ms -= usual;
    }
    Excess {
        ms: shot.latency - latency,
        stages,
        usual_bytes: usual.bytes,
        bytes: shot.stages.bytes,
    }
}
