// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How good results are: the command line around `splitinfer-evaluate`. Results come from files that `inferjson` wrote
//! or from a pipeline that is run here, truth from files or from the scenes themselves.

mod args;
mod labels;
mod markdown;
mod model;
mod pipeline;
mod plots;
mod plugins;
mod report;
mod results;
mod run;
mod scenes;
mod truth;
mod values;
mod video;

pub use args::Args;
pub use report::{Report, Row, Table};
pub use run::evaluate;

pub use labels::Labels;
pub(crate) use results::read as read_results;
use splitinfer_evaluate::{Ignore, Rules};
use std::path::PathBuf;
pub(crate) use truth::load as load_truth;
pub(crate) use values::property;

/// What to evaluate, how, and where to put what comes out.
#[derive(Clone, Debug)]
pub struct Request {
    pub source: Source,
    pub rules: Rules,
    /// Score of the operating point; `None`: the model's own threshold, and for files all that they hold.
    pub score: Option<f64>,
    pub ignore: Ignore,
    pub labels: Labels,
    /// What to show; `None`: what the results are about.
    pub tables: Option<Vec<Table>>,
    pub json: Option<PathBuf>,
    pub plots: Option<PathBuf>,
}

/// Where results and truth come from.
#[derive(Clone, Debug)]
pub enum Source {
    Files(Vec<ResultFile>),
    Models(Models),
}

/// Models that are run here.
#[derive(Clone, Debug)]
pub struct Models {
    pub models: Vec<NamedModel>,
    pub input: Input,
    /// Frames of a video or of each scene; `None`: all of a video.
    pub frames: Option<u64>,
    /// Lowest score that is asked of a model, so that AP sees more than the operating point.
    pub least_score: f32,
    /// Properties of `splitinfer-edge`, name and value.
    pub properties: Vec<(String, String)>,
}

/// Lines of `inferjson`, and what is true about them.
#[derive(Clone, Debug)]
pub struct ResultFile {
    pub name: String,
    pub results: PathBuf,
    pub truth: PathBuf,
}

/// A model and what to call it.
#[derive(Clone, Debug)]
pub struct NamedModel {
    pub name: String,
    pub path: PathBuf,
}

/// What models are run on.
#[derive(Clone, Debug)]
pub enum Input {
    Video { video: PathBuf, truth: PathBuf },
    Scenes(Scenes),
}

/// Scenes of `scenesrc`.
#[derive(Clone, Debug)]
pub struct Scenes {
    /// `traffic` or `walker`.
    pub kind: String,
    pub domains: Vec<String>,
    pub scenario: String,
    /// Seed of the first scene of each domain; each further scene has the next.
    pub seed: u64,
    /// Scenes a domain.
    pub count: u64,
    pub width: u32,
    pub height: u32,
    /// Frames a second.
    pub rate: (i32, i32),
}
