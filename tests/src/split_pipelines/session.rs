// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Plays what is wanted and not in the book yet.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::book::{Book, Key, Place, Run, Setting};
use super::camera;
use super::figures::Figures;
use super::method::{Method, title};
use super::play::{Play, Stage, play};
use super::profile::Profile;
use super::profiling;
use super::subject::Subject;
use crate::measure;
use crate::split_selection::traces::Named;
use crate::spread::mean;

/// Machines and camera.
#[derive(Clone, Copy, Debug)]
pub struct Machines {
    /// Frames a second.
    pub rate: u32,
    pub seconds: u32,
    /// What the model takes on them, ms, before a trace says otherwise: each gets the part of a processor with which it does, and all
    /// of one where that is not enough.
    pub edge: f64,
    pub server: f64,
}

/// What one model is to be played on.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub machines: Machines,
    /// As a multiple of the model's time on the edge, or in ms.
    pub budget: Budget,
    /// With the trace of the link.
    pub places: Vec<(Place, Named)>,
    /// Short names; nothing: all.
    pub methods: Vec<String>,
    /// Of the cuts that are held; `None`: as the profile says.
    pub cuts: Option<Vec<usize>>,
    pub runs: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum Budget {
    Times(f64),
    Ms(u32),
}

/// See the module's documentation.
pub struct Session {
    pub book: Book,
    /// Where films lie.
    folder: PathBuf,
    /// Tell why the split changed.
    explain: bool,
}

/// One model on its machines.
struct Scene {
    stage: Stage,
    setting: Setting,
    profile: Profile,
}

/// Seeds of the runs, which draw other losses and delays, lie so far apart.
const SEEDS: u64 = 1000;

impl Session {
    pub fn new(book: Book, folder: &Path, explain: bool) -> Self {
        Self {
            book,
            folder: folder.to_path_buf(),
            explain,
        }
    }

    /// Plays it run by run, so that what else goes on in the machine falls on all methods alike. Progress on standard error.
    ///
    /// # Errors
    /// When something cannot be played, or does not belong to what is in the book.
    pub fn play(&mut self, subject: &Subject, wanted: &Wanted) -> Result<()> {
        let scene = self.scene(subject, wanted)?;
        let budget_ms = scene.stage.budget_ms;
        let cuts = wanted.cuts.clone();
        let cuts = cuts.unwrap_or_else(|| scene.profile.best_cuts());
        let ids: Vec<&str> = wanted.methods.iter().map(String::as_str).collect();
        let mut methods = Method::all(&scene.profile, budget_ms, &cuts);
        methods.retain(|m| ids.is_empty() || m.is_one_of(&ids));
        let mut left = Vec::new();
        for run in 0..wanted.runs {
            for (place, trace) in &wanted.places {
                for method in &methods {
                    let key = Key {
                        setting: scene.setting.clone(),
                        budget_ms,
                        place: place.clone(),
                        method: method.id.clone(),
                        run,
                    };
                    left.extend((!self.book.has(&key)).then_some((key, method, trace)));
                }
            }
        }
        let (begun, all) = (Instant::now(), left.len());
        for (n, (key, method, trace)) in left.into_iter().enumerate() {
            let told = self.play_one(&scene, key, method, trace)?;
            let rest = begun.elapsed() / (n as u32 + 1) * (all - n - 1) as u32;
            eprintln!("{}/{all}, {} min left: {told}", n + 1, rest.as_secs() / 60);
        }
        Ok(())
    }

    /// Films it and measures the profile, unless it is in the book.
    fn scene(&mut self, subject: &Subject, wanted: &Wanted) -> Result<Scene> {
        let Machines {
            rate,
            seconds,
            edge,
            server,
        } = wanted.machines;
        let film = self.folder.join(format!("{}-{rate}.i420", subject.name));
        let shots = (seconds * rate) as usize;
        if !film.exists() {
            camera::film(&subject.source(rate), rate, shots, &film)
                .with_context(|| subject.name.clone())?;
        }
        let mut setting = Setting {
            model: subject.name.clone(),
            rate,
            shots,
            edge: 1.0,
            server: 1.0,
            machine: measure::machine(),
            build: build()?,
        };
        [setting.edge, setting.server] = match self.book.shares(&setting) {
            Some(shares) => shares,
            None => {
                eprintln!("{}: measuring how fast this machine is", subject.name);
                let alone =
                    profiling::measure(subject.model.clone(), film.clone(), rate, [1.0; 2])?;
                [edge, server].map(|ms| share(alone.edge.whole, ms))
            }
        };
        let (edge, server) = (setting.edge, setting.server);
        if self.book.profile(&setting).is_none() {
            eprintln!("{}: measuring the profile", subject.name);
            let model = subject.model.clone();
            let profile = profiling::measure(model, film.clone(), rate, [edge, server])?;
            self.book.add_profile(setting.clone(), profile)?;
        }
        let profile = self.book.profile(&setting).cloned();
        let profile = profile.context("it was just measured")?;
        let stage = Stage {
            model: subject.model.clone(),
            film,
            rate,
            budget_ms: match wanted.budget {
                Budget::Times(times) => profile.budget_ms(times),
                Budget::Ms(ms) => ms,
            },
            edge,
            server,
        };
        Ok(Scene {
            stage,
            setting,
            profile,
        })
    }

    /// What was played, and how long frames took.
    fn play_one(
        &mut self,
        scene: &Scene,
        key: Key,
        method: &Method,
        trace: &Named,
    ) -> Result<String> {
        let (edges, on) = match &key.place {
            Place::Trace(name) => (1, name.clone()),
            Place::Edges(n) => (*n, format!("{n} edges")),
        };
        let how = Play {
            split: method.split().to_owned(),
            control: method.control(&scene.profile),
            monitor: method.monitor,
            edges,
            trace: trace.trace.clone(),
            seed: trace.seed + SEEDS * u64::from(key.run),
        };
        let name = format!("{}, {on}, {}", key.setting.model, title(&method.id));
        let begun = Instant::now();
        let recordings = play(&scene.stage, &how).with_context(|| name.clone())?;
        let took = begun.elapsed().saturating_sub(length(&key.setting));
        let means = recordings.iter().map(|r| Figures::new(r, &key).mean());
        let mean = mean(&means.collect::<Vec<_>>()).unwrap_or(f64::NAN);
        let told = format!(
            "{name}, run {}: {mean:.1} ms ({:.1} s beside the film)",
            key.run + 1,
            took.as_secs_f64()
        );
        if self.explain {
            for recording in &recordings {
                for (at, reason) in &recording.done.reasons {
                    eprintln!("  {at:6.2} s  {reason}");
                }
                eprintln!("  {}", recording.done.stats);
            }
        }
        self.book.add_run(Run { key, recordings })?;
        Ok(told)
    }
}

/// Of a processor, on which a work takes `alone`, for it to take `wanted`: three digits.
fn share(alone: f64, wanted: f64) -> f64 {
    (alone / wanted * 1e3).round().clamp(1.0, 1e3) / 1e3
}

fn length(setting: &Setting) -> Duration {
    Duration::from_secs(setting.shots as u64) / setting.rate
}

/// Tells builds of the plugins apart, so that runs of two do not get into one table.
///
/// # Errors
/// When there are none.
fn build() -> Result<String> {
    let file = crate::build_folder().join("libgstsplitinfer.so");
    let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}
