// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties of `finetune`.

use gst::glib;
use gst::prelude::*;
use splitinfer_runtime::SessionOptions;
use splitinfer_trainer::{
    AdaptationSettings, FitSettings, Optimizer, TrainError, TrainerSettings, parse_optimizer,
};

use crate::provider::ExecutionProvider;

/// What the user set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) model: Option<String>,
    pub(super) trainable: String,
    pub(super) loss: Option<String>,
    pub(super) optimizer: String,
    pub(super) learning_rate: f64,
    pub(super) batch_size: u32,
    pub(super) max_steps: u32,
    pub(super) target_loss: f64,
    pub(super) replay_size: u32,
    pub(super) new_frames: u32,
    pub(super) min_gain: f64,
    pub(super) augment: bool,
    pub(super) cpu_share: f64,
    pub(super) threads: u32,
    pub(super) execution_provider: ExecutionProvider,
    pub(super) device: i32,
    pub(super) checkpoint_dir: Option<String>,
    pub(super) seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            trainable: "all".into(),
            loss: None,
            optimizer: "adamw".into(),
            learning_rate: 5e-4,
            batch_size: 8,
            max_steps: 60,
            target_loss: 0.0,
            replay_size: 256,
            new_frames: 20,
            min_gain: 0.02,
            augment: true,
            cpu_share: 0.5,
            threads: 1,
            execution_provider: ExecutionProvider::default(),
            device: 0,
            checkpoint_dir: None,
            seed: 0,
        }
    }
}

impl Settings {
    /// # Errors
    /// When the optimizer is none.
    pub(super) fn trainer(&self) -> Result<TrainerSettings, TrainError> {
        let optimizer: Optimizer = parse_optimizer(&self.optimizer)?;
        Ok(TrainerSettings {
            optimizer,
            batch: self.batch_size as usize,
            session: SessionOptions {
                threads: self.threads as usize,
                provider: self.execution_provider.into(),
                device: self.device,
            },
            ..Default::default()
        })
    }

    pub(super) fn adaptation(&self) -> AdaptationSettings {
        let target = self.target_loss as f32;
        AdaptationSettings {
            replay: self.replay_size as usize,
            new_examples: self.new_frames as usize,
            least_gain: self.min_gain as f32,
            seed: self.seed,
            fit: FitSettings {
                steps: self.max_steps as usize,
                learning_rate: self.learning_rate,
                target_loss: (target > 0.0).then_some(target),
                ..Default::default()
            },
            ..Default::default()
        }
    }

    /// Takes a property's new value; its type was checked.
    pub(super) fn set(&mut self, value: &glib::Value, pspec: &glib::ParamSpec) {
        let text = |value: &glib::Value| value.get::<Option<String>>().ok().flatten();
        match pspec.name() {
            "model" => self.model = text(value),
            "trainable" => self.trainable = text(value).unwrap_or_default(),
            "loss" => self.loss = text(value).filter(|l| !l.trim().is_empty()),
            "optimizer" => self.optimizer = text(value).unwrap_or_default(),
            "learning-rate" => self.learning_rate = value.get().unwrap_or(self.learning_rate),
            "batch-size" => self.batch_size = value.get().unwrap_or(self.batch_size),
            "max-steps" => self.max_steps = value.get().unwrap_or(self.max_steps),
            "target-loss" => self.target_loss = value.get().unwrap_or(self.target_loss),
            "replay-size" => self.replay_size = value.get().unwrap_or(self.replay_size),
            "new-frames" => self.new_frames = value.get().unwrap_or(self.new_frames),
            "min-gain" => self.min_gain = value.get().unwrap_or(self.min_gain),
            "augment" => self.augment = value.get().unwrap_or(self.augment),
            "cpu-share" => self.cpu_share = value.get().unwrap_or(self.cpu_share),
            "threads" => self.threads = value.get().unwrap_or(self.threads),
            "execution-provider" => self.execution_provider = value.get().unwrap_or_default(),
            "device" => self.device = value.get().unwrap_or_default(),
            "checkpoint-dir" => self.checkpoint_dir = text(value),
            "seed" => self.seed = value.get().unwrap_or(self.seed),
            _ => {}
        }
    }

    /// `None` for what is no setting.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model" => self.model.to_value(),
            "trainable" => self.trainable.to_value(),
            "loss" => self.loss.to_value(),
            "optimizer" => self.optimizer.to_value(),
            "learning-rate" => self.learning_rate.to_value(),
            "batch-size" => self.batch_size.to_value(),
            "max-steps" => self.max_steps.to_value(),
            "target-loss" => self.target_loss.to_value(),
            "replay-size" => self.replay_size.to_value(),
            "new-frames" => self.new_frames.to_value(),
            "min-gain" => self.min_gain.to_value(),
            "augment" => self.augment.to_value(),
            "cpu-share" => self.cpu_share.to_value(),
            "threads" => self.threads.to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device" => self.device.to_value(),
            "checkpoint-dir" => self.checkpoint_dir.to_value(),
            "seed" => self.seed.to_value(),
            _ => return None,
        })
    }
}

pub(super) fn properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let text = |name: &'static str, nick: &'static str, blurb: &'static str| {
        glib::ParamSpecString::builder(name)
            .nick(nick)
            .blurb(blurb)
            .mutable_ready()
    };
    let count =
        |name: &'static str, nick: &'static str, blurb: &'static str, default: u32, least: u32| {
            glib::ParamSpecUInt::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(least)
                .default_value(default)
                .mutable_ready()
                .build()
        };
    let number =
        |name: &'static str, nick: &'static str, blurb: &'static str, default: f64, most: f64| {
            glib::ParamSpecDouble::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(0.0)
                .maximum(most)
                .default_value(default)
                .mutable_ready()
                .build()
        };
    let [provider, device] = ExecutionProvider::properties(
        "What ONNX Runtime trains with; all but cpu need a build of it with that provider",
    );
    vec![
        text("model", "Student", "ONNX file of the student: the very file that the edge runs").build(),
        text("trainable", "What learns", "'all'; 'after:TENSOR': what comes after a cut, what comes before runs once a frame and not once a step; or patterns of weights' names, comma separated")
            .default_value(Some(defaults.trainable.as_str()))
            .build(),
        text("loss", "Losses", "TENSOR=KIND[:PARAMETER][*FACTOR], comma separated, with KIND mse, huber, bce, bce-logits, focal, boxes, boxes-logits, cross-entropy or kl; unset: chosen by the kind of each output").build(),
        text("optimizer", "Optimizer", "'sgd[:MOMENTUM]', 'adam' or 'adamw[:DECAY]'")
            .default_value(Some(defaults.optimizer.as_str()))
            .build(),
        number("learning-rate", "Learning rate", "Learning rate of the optimizer", defaults.learning_rate, 10.0),
        count("batch-size", "Batch size", "Frames a step", defaults.batch_size, 1),
        count("max-steps", "Most steps", "Most steps of one training", defaults.max_steps, 1),
        number("target-loss", "Target", "A training ends when the loss on held-back frames is no larger (0: never)", defaults.target_loss, f64::MAX),
        count("replay-size", "Replay buffer", "Labelled frames that are kept to train on; new ones take the places of others at random", defaults.replay_size, 2),
        count("new-frames", "New frames", "A training begins after so many new labelled frames", defaults.new_frames, 2),
        number("min-gain", "Least gain", "New weights are taken only if they take away this share of what the loss on held-back frames is above the least there can be", defaults.min_gain, 1.0),
        glib::ParamSpecBoolean::builder("augment")
            .nick("Vary what is learnt from")
            .blurb("Pictures get another light each time that they are trained on, and half of them are mirrored where the mirror image of the outputs is known; not with 'trainable=after:…'")
            .default_value(defaults.augment)
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("cpu-share")
            .nick("Share of one processor")
            .blurb("Training works for this share of the time, at low priority, and rests in between")
            .minimum(0.01)
            .maximum(1.0)
            .default_value(defaults.cpu_share)
            .mutable_playing()
            .build(),
        count("threads", "Threads", "Threads, each with its share of a batch (0: one a physical core)", defaults.threads, 0),
        provider,
        device,
        text("checkpoint-dir", "Checkpoints", "Folder in which accepted weights are kept, as a state to go on from and as an ONNX file; a later run with the same student begins with them").build(),
        glib::ParamSpecUInt64::builder("seed")
            .nick("Seed")
            .blurb("Seed of what is drawn at random")
            .default_value(defaults.seed)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames, trainings, steps, accepted, recalled and rejected weights, losses, versions, time")
            .read_only()
            .build(),
    ]
}
