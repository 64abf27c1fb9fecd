// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The command line.

use super::goals::WeighBy;
use super::{Files, Reading, Request};
use crate::cuts::InputShape;
use crate::eval::{Labels, property};
use anyhow::{Context, Result};
use clap::Parser;
use splitinfer_evaluate::Ignore;
use splitinfer_runtime::{Provider, SessionOptions};
use splitinfer_trainer::{
    LossTerm, Optimizer, Schedule, TrainError, Trainable, TrainerSettings, parse_loss,
    parse_optimizer,
};
use std::path::{Path, PathBuf};

/// Trains the weights of an ONNX model on new examples and writes the same graph with the new weights.
///
/// Examples are arrays of inputs and targets (--data FILE.npz), or pictures and videos whose targets a larger model
/// gives (--data FOLDER --teacher TEACHER.onnx). Exits with 0 when the weights became better on examples that were
/// held back, with 2 when they did not (nothing is written then), with 3 when the training diverged (the best weights of
/// before are written if they are better), with 1 when something could not be used.
#[derive(Clone, Debug, Parser)]
#[command(name = "onnx-finetune", version)]
pub struct Args {
    /// The ONNX model
    pub model: PathBuf,

    /// A NumPy archive (.npz) of inputs and targets, a folder of pictures, a picture or a video; may be repeated
    #[arg(long, value_name = "PATH", required_unless_present = "inspect")]
    pub data: Vec<PathBuf>,

    /// Model whose outputs are the targets of pictures
    #[arg(long, value_name = "FILE")]
    pub teacher: Option<PathBuf>,

    /// What is truly on pictures, in place of a teacher: COCO annotations, a MOT file or a scene's truth; one for each
    /// --data of pictures, in their order, and if you like one for each of --anchors after that
    #[arg(long, value_name = "FILE")]
    pub truth: Vec<PathBuf>,

    /// True objects whose shorter side has fewer pixels are neither to be found nor wrong
    #[arg(long, value_name = "PIXELS", default_value_t = 0.0, value_parser = not_negative, requires = "truth")]
    pub min_size: f64,

    /// True objects of which a smaller share is visible are neither to be found nor wrong
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, requires = "truth")]
    pub min_visible: f64,

    /// Rename labels of the truth to those of the model
    #[arg(long, value_name = "FROM=TO", value_delimiter = ',', value_parser = property, requires = "truth")]
    pub map: Vec<(String, String)>,

    /// Examples as --data from where the model comes from, mixed into every batch, so that little is forgotten
    #[arg(long, value_name = "PATH")]
    pub anchors: Vec<PathBuf>,

    /// Share of a batch that is drawn from the anchors
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = share)]
    pub anchor_share: f64,

    /// Frames of each video, evenly spread over it
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = count)]
    pub frames: usize,

    /// A loss: TENSOR=KIND[:PARAMETER][*FACTOR], KIND one of mse, huber:DELTA, bce, bce-logits, focal, cross-entropy:AXIS,
    /// kl:AXIS; may be repeated (default: what suits each output)
    #[arg(long, value_name = "LOSS", value_parser = loss)]
    pub loss: Vec<LossTerm>,

    /// Weigh each element of a loss by another output: [TENSOR=]OUTPUT[:each], or none (default: what suits the head)
    #[arg(long, value_name = "OUTPUT")]
    pub weigh_by: Vec<String>,

    /// Weights that learn: all, after:TENSOR (from a cut on), or names with * for any characters
    #[arg(long, value_name = "WHICH", default_value = "all")]
    pub trainable: String,

    /// sgd[:MOMENTUM], adam or adamw[:DECAY]
    #[arg(long, value_name = "NAME", default_value = "adamw", value_parser = optimizer)]
    pub optimizer: Optimizer,

    /// Highest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-3, value_parser = positive)]
    pub learning_rate: f64,

    /// How the learning rate changes: constant or cosine (down to nothing)
    #[arg(long, value_name = "NAME", default_value = "cosine")]
    pub schedule: Schedule,

    /// Examples a step
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = count)]
    pub batch: usize,

    /// Most steps
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = count)]
    pub steps: usize,

    /// Stop when the loss on what is held back is no larger
    #[arg(long, value_name = "LOSS", value_parser = finite)]
    pub target_loss: Option<f32>,

    /// Stop after so many looks at what is held back that were no better than the best
    #[arg(long, value_name = "N", value_parser = count)]
    pub patience: Option<usize>,

    /// Steps between two looks (default: so that looking takes about a fifth of the time)
    #[arg(long, value_name = "N", value_parser = count)]
    pub validate_every: Option<usize>,

    /// Largest norm of all gradients together; 0: any
    #[arg(long, value_name = "NORM", default_value_t = 10.0, value_parser = not_negative)]
    pub clip_norm: f64,

    /// Share of the examples that is held back to judge by: of videos and folders the end, of arrays every so manieth;
    /// 0: judge by the examples that are trained on
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share_below_one)]
    pub validation_share: f64,

    /// Draws of batches depend on this alone
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Threads, each with its share of a batch; 0: one a physical core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,

    /// What runs the training: cpu, cuda, tensorrt, openvino, coreml, directml or xnnpack
    #[arg(long, value_name = "NAME", default_value_t = Provider::Cpu)]
    pub execution_provider: Provider,

    /// Number of the execution provider's device
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub device: i32,

    /// Shape of an input whose dimensions are not fixed in the file, with a batch of one
    #[arg(long, value_name = "[NAME=]SHAPE")]
    pub input_shape: Vec<InputShape>,

    /// Where the trained model goes (default: MODEL-finetuned.onnx)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite the output
    #[arg(long)]
    pub force: bool,

    /// Write the output also if it is no better
    #[arg(long)]
    pub keep: bool,

    /// Write one JSON object a step, and at the end one about the whole
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// Draw the losses over the steps (.svg or .png)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,

    /// Write what changed: an ONNX file whose initializers are the new weights
    #[arg(long, value_name = "FILE")]
    pub delta: Option<PathBuf>,

    /// Go on from a state
    #[arg(long, value_name = "STATE")]
    pub resume: Option<PathBuf>,

    /// Write the state to go on from
    #[arg(long, value_name = "STATE")]
    pub save_state: Option<PathBuf>,

    /// Tell what would be trained, and train nothing
    #[arg(long)]
    pub inspect: bool,
}

impl Args {
    /// # Errors
    /// When options do not go together.
    pub fn request(&self) -> Result<Request> {
        let weigh_by = match &self.weigh_by[..] {
            [] => None,
            [none] if none == "none" => Some(vec![]),
            all => Some(
                all.iter()
                    .map(|s| s.parse())
                    .collect::<Result<Vec<WeighBy>>>()?,
            ),
        };
        Ok(Request {
            model: self.model.clone(),
            shapes: self.input_shape.clone(),
            data: self.data.clone(),
            anchors: self.anchors.clone(),
            anchor_share: self.anchor_share,
            teacher: self.teacher.clone(),
            truth: self.truth.clone(),
            reading: self.reading(),
            frames: self.frames,
            losses: self.loss.clone(),
            weigh_by,
            trainable: Trainable::parse(&self.trainable),
            trainer: TrainerSettings {
                optimizer: self.optimizer,
                clip_norm: (self.clip_norm > 0.0).then_some(self.clip_norm),
                batch: self.batch,
                session: SessionOptions {
                    threads: self.threads,
                    provider: self.execution_provider,
                    device: self.device,
                },
            },
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            steps: self.steps,
            target_loss: self.target_loss,
            patience: self.patience,
            validate_every: self.validate_every,
            validation_share: self.validation_share,
            seed: self.seed,
            files: self.files()?,
            inspect: self.inspect,
        })
    }

    fn reading(&self) -> Reading {
        Reading {
            ignore: Ignore {
                min_size: self.min_size,
                min_visible: self.min_visible,
                largest: false,
            },
            labels: Labels {
                map: self.map.iter().cloned().collect(),
                ..Labels::default()
            },
        }
    }

    fn files(&self) -> Result<Files> {
        Ok(Files {
            output: match &self.output {
                Some(output) => output.clone(),
                None => finetuned(&self.model)?,
            },
            force: self.force,
            keep: self.keep,
            log: self.log.clone(),
            plot: self.plot.clone(),
            delta: self.delta.clone(),
            resume: self.resume.clone(),
            save_state: self.save_state.clone(),
        })
    }
}

fn finetuned(model: &Path) -> Result<PathBuf> {
    let stem = model.file_stem().context("the model has no name")?;
    Ok(model.with_file_name(format!("{}-finetuned.onnx", stem.to_string_lossy())))
}

fn loss(text: &str) -> Result<LossTerm, TrainError> {
    parse_loss(text)
}

fn optimizer(text: &str) -> Result<Optimizer, TrainError> {
    parse_optimizer(text)
}

fn number(text: &str, good: impl Fn(f64) -> bool, what: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|v| good(*v));
    value.ok_or_else(|| format!("it must be {what}"))
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |v| (0.0..=1.0).contains(&v), "a number from 0 to 1")
}

fn share_below_one(text: &str) -> Result<f64, String> {
    number(
        text,
        |v| (0.0..1.0).contains(&v),
        "a number from 0 to below 1",
    )
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |v| v > 0.0 && v.is_finite(), "a number above 0")
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(
        text,
        |v| v >= 0.0 && v.is_finite(),
        "a number of at least 0",
    )
}

fn finite(text: &str) -> Result<f32, String> {
    number(text, f64::is_finite, "a number").map(|v| v as f32)
}

fn count(text: &str) -> Result<usize, String> {
    let value = text
        .parse()
        .ok()
        .filter(|n| (1..=1_000_000_000).contains(n));
    value.ok_or_else(|| "it must be a whole number of at least 1".to_owned())
}
