// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Ways to hold a model that can be cut at any of its candidates.

use std::path::Path;

use anyhow::{Context, Result};
use splitinfer_graph::Model;
use splitinfer_runtime::{Session, SplitModel, load_library, sample};
use splitinfer_tensor::Tensor;

use super::child::Way;
use super::files::Files;
use super::options;
use super::shared::Shared;
use crate::model::SizedModel;

/// Outputs by name.
pub type Outputs = Vec<(String, Tensor)>;

/// What runs frames at any split.
pub trait Held {
    /// Uncut. `None` for what holds no whole model.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    fn whole(&mut self) -> Result<Option<Outputs>>;

    /// Head, then tail.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    fn split(&mut self, candidate: usize) -> Result<Outputs>;
}

/// What a way needs before it makes sessions. Nobody counts the memory that this takes.
pub enum Ground {
    Files {
        files: Files,
        input: Tensor,
    },
    Sized {
        sized: Box<SizedModel>,
        input: Tensor,
    },
    Shared {
        ground: super::shared::Ground,
    },
}

impl Ground {
    /// # Errors
    /// When the model or ONNX Runtime cannot be used.
    pub fn new(way: Way, model: &Path, files: &Files, library: &Path) -> Result<Self> {
        if let Way::SharedPairs { layout } = way {
            let ground = super::shared::Ground::new(files.clone(), library, layout)?;
            return Ok(Self::Shared { ground });
        }
        load_library(Some(&crate::build_folder()))?;
        let input = input(files)?;
        Ok(match way {
            Way::Chain | Way::ChainAndWhole => Self::Sized {
                sized: Box::new(SizedModel::load(model, &options())?),
                input,
            },
            _ => Self::Files {
                files: files.clone(),
                input,
            },
        })
    }

    /// Makes the sessions of a way, all that are made in advance.
    ///
    /// # Errors
    /// When ONNX Runtime refuses one of them.
    pub fn hold(&self, way: Way) -> Result<Box<dyn Held + '_>> {
        Ok(match self {
            Self::Files { files, input } => Box::new(Pairs::new(files, input, way)?),
            Self::Sized { sized, input } => {
                Box::new(Chain::new(sized, input, way == Way::ChainAndWhole)?)
            }
            Self::Shared { ground } => Box::new(Shared::new(ground)?),
        })
    }
}

/// Noise that fits the model.
///
/// # Errors
/// When the model cannot be read.
pub fn input(files: &Files) -> Result<Tensor> {
    let model = Model::load(&files.whole())?;
    let input = model.inputs().into_iter().next();
    Ok(sample(&input.context("a model has an input")?, 1)?)
}

/// The product's own: parts, one after another.
pub struct Chain<'a> {
    model: SplitModel,
    input: &'a Tensor,
    whole: bool,
}

impl<'a> Chain<'a> {
    /// `whole`: with a session of the whole model, as in the product.
    ///
    /// # Errors
    /// When ONNX Runtime refuses one of the parts.
    pub fn new(sized: &SizedModel, input: &'a Tensor, whole: bool) -> Result<Self> {
        let model = sized.split(&options())?;
        if whole {
            model.prepare()?;
        } else {
            // Parts are made when they are first needed; these need all.
            let last = model.candidates().len() - 1;
            model.tail(last, &model.head(last, input)?)?;
        }
        Ok(Self {
            model,
            input,
            whole,
        })
    }
}

impl Held for Chain<'_> {
    fn whole(&mut self) -> Result<Option<Outputs>> {
        let run = self.whole.then(|| self.model.whole(self.input));
        Ok(run.transpose()?)
    }

    fn split(&mut self, candidate: usize) -> Result<Outputs> {
        let crossing = self.model.head(candidate, self.input)?;
        Ok(self.model.tail(candidate, &crossing)?)
    }
}

/// The whole model, and head and tail of all candidates, of the last one used, or of none.
pub struct Pairs<'a> {
    files: &'a Files,
    input: &'a Tensor,
    name: String,
    whole: Session,
    pairs: Vec<[Session; 2]>,
    /// Of the only pair.
    current: Option<usize>,
}

impl<'a> Pairs<'a> {
    /// # Errors
    /// When ONNX Runtime refuses one of them.
    pub fn new(files: &'a Files, input: &'a Tensor, way: Way) -> Result<Self> {
        let whole = session(&files.whole())?;
        let made = match way {
            Way::Pairs => 0..files.names.len(),
            Way::OnePair => 0..1,
            _ => 0..0,
        };
        Ok(Self {
            files,
            input,
            name: whole.inputs()[0].name.clone(),
            whole,
            pairs: made.map(|i| pair(files, i)).collect::<Result<_>>()?,
            current: (way == Way::OnePair).then_some(0),
        })
    }
}

impl Held for Pairs<'_> {
    fn whole(&mut self) -> Result<Option<Outputs>> {
        Ok(Some(self.whole.run(&[(&self.name, self.input)])?))
    }

    fn split(&mut self, candidate: usize) -> Result<Outputs> {
        let at = match &mut self.current {
            None => candidate,
            Some(current) if *current == candidate => 0,
            Some(current) => {
                // Until the new one is there, frames go on with the old one.
                self.pairs[0] = pair(self.files, candidate)?;
                *current = candidate;
                0
            }
        };
        let [head, tail] = &self.pairs[at];
        let crossing = head.run(&[(&self.name, self.input)])?;
        let given: Vec<_> = crossing.iter().map(|(n, t)| (n.as_str(), t)).collect();
        Ok(tail.run(&given)?)
    }
}

fn pair(files: &Files, candidate: usize) -> Result<[Session; 2]> {
    let [head, tail] = files.pair(candidate);
    Ok([session(&head)?, session(&tail)?])
}

fn session(file: &Path) -> Result<Session> {
    Ok(Session::from_bytes(&std::fs::read(file)?, &options())?)
}
