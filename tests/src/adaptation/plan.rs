// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is measured: tasks, scenarios, ways to decide what the teacher sees, and the pipeline of each.

use std::path::Path;

use anyhow::{Result, bail};
use splitinfer_evaluate::{Ignore, Rules};

use super::policy::{Policy, Watched};

/// Frames a second of the scenes, as in the gate's measurement.
pub const RATE: u32 = 15;
/// Scenes that no model was trained on.
const SEED: u64 = 900_000;

/// What the models look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Traffic,
    Walker,
}

impl Task {
    pub const ALL: [Self; 2] = [Self::Traffic, Self::Walker];

    pub fn name(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Walker => "walker",
        }
    }

    /// How the error and the score are called.
    pub fn columns(self) -> [&'static str; 2] {
        match self {
            Self::Traffic => ["box MAE px", "AP50 any kind"],
            Self::Walker => ["joint error px", "PCK@.1"],
        }
    }

    /// Score from which an answer counts, as in the models' sidecars; what is ignored as in docs/measurements/models.md.
    pub fn rules(self) -> (Rules, Ignore) {
        let ignore = Ignore {
            min_size: 0.0,
            min_visible: 0.3,
            largest: false,
        };
        match self {
            Self::Traffic => (
                Rules {
                    score: 0.3,
                    ..Rules::default()
                },
                Ignore {
                    min_size: 12.0,
                    ..ignore
                },
            ),
            Self::Walker => (
                Rules::default(),
                Ignore {
                    largest: true,
                    ..ignore
                },
            ),
        }
    }
}

pub const SCENARIOS: [&str; 3] = ["repetitive", "semi-repetitive", "dynamic"];

/// Who decides which frames the teacher sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Nobody: the student as it came.
    None,
    /// The teacher runs in the student's place.
    Teacher,
    /// It sees every frame.
    Always,
    /// `svdgate` as it is by default.
    Combined,
    /// `svdgate metric=relative-error`.
    Published,
    /// One frame in so many that it is as often as with [`Combined`](Self::Combined).
    Periodic,
    /// As many as with [`Combined`](Self::Combined), at random.
    Random,
    /// Frames on which the student is less sure than usual.
    Confidence,
    /// Frames on which the student is less right than usual, by the scene's truth.
    Accuracy,
}

impl Method {
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Teacher,
        Self::Always,
        Self::Combined,
        Self::Published,
        Self::Periodic,
        Self::Random,
        Self::Confidence,
        Self::Accuracy,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Teacher => "teacher",
            Self::Always => "always",
            Self::Combined => "combined",
            Self::Published => "published",
            Self::Periodic => "periodic",
            Self::Random => "random",
            Self::Confidence => "confidence",
            Self::Accuracy => "accuracy",
        }
    }

    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::None => "no training",
            Self::Teacher => "teacher itself",
            Self::Always => "always",
            Self::Combined => "ours: combined gate",
            Self::Published => "published gate",
            Self::Periodic => "periodic, our budget",
            Self::Random => "random, our budget",
            Self::Confidence => "by confidence",
            Self::Accuracy => "by true accuracy",
        }
    }

    /// Whether `svdgate` decides.
    pub fn is_gated(self) -> bool {
        matches!(self, Self::Combined | Self::Published)
    }

    /// What decides, where it is not `svdgate`. `budget`: share of the frames, for those that have one.
    pub fn policy(self, case: &Case, budget: f64) -> Policy {
        match self {
            Self::Periodic => Policy::every((1.0 / budget.clamp(1e-6, 1.0)).ceil() as u64),
            Self::Random => Policy::random(budget, case.seed),
            Self::Confidence => Policy::worse(Watched::Confidence, case.task),
            Self::Accuracy => Policy::worse(Watched::Accuracy, case.task),
            _ => Policy::All,
        }
    }
}

/// Names of methods, tasks or scenarios, comma separated.
///
/// # Errors
/// When one is not known; the message lists those that are.
pub fn chosen<T: Copy>(text: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<Vec<T>> {
    let one = |word: &str| match all.iter().find(|t| name(**t) == word) {
        Some(found) => Ok(*found),
        None => bail!(
            "'{word}' is none of {}",
            all.iter().map(|t| name(*t)).collect::<Vec<_>>().join(", ")
        ),
    };
    text.split(',').map(|w| one(w.trim())).collect()
}

/// A scene whose domain changes once.
#[derive(Clone, Debug)]
pub struct Case {
    pub task: Task,
    pub scenario: &'static str,
    /// From 0.
    pub seed: u64,
    pub frames: u64,
    /// Domain before and after.
    pub domains: [String; 2],
}

impl Case {
    /// The first frame of the other domain.
    pub fn drift(&self) -> u64 {
        self.frames / 3
    }

    /// Model of a role, `student` or `teacher`.
    pub fn model(&self, role: &str) -> std::path::PathBuf {
        crate::repository().join(format!("models/{}-{role}.onnx", self.task.name()))
    }

    /// `scenesrc ! caps ! splitinfer-edge`, and what comes behind it.
    fn inference(&self, domain: &str, model: &Path, frames: u64, rate: &str) -> String {
        format!(
            "scenesrc name=source scene={} scenario={} seed={} domain=\"{domain}\" num-buffers={frames} \
             ! video/x-raw,width=640,height=360,framerate={rate} \
             ! splitinfer-edge name=edge model=\"{}\"",
            self.task.name(),
            self.scenario,
            SEED + self.seed,
            model.display()
        )
    }

    /// The whole pipeline of a method. `folder`: where accepted weights go.
    pub fn launch(&self, method: Method, folder: &Path, tuning: &Tuning) -> String {
        let [before, after] = &self.domains;
        let drift = self.drift() as f64 / f64::from(RATE);
        let domain = format!("{before}; {drift:.3} {after}");
        self.launch_on(&domain, method, folder, tuning)
    }

    /// The same with another schedule of domains.
    pub fn launch_on(
        &self,
        domain: &str,
        method: Method,
        folder: &Path,
        tuning: &Tuning,
    ) -> String {
        let role = if method == Method::Teacher {
            "teacher"
        } else {
            "student"
        };
        let rate = format!("{RATE}/1");
        let edge = self.inference(domain, &self.model(role), self.frames, &rate);
        let sink = "appsink name=out sync=false max-buffers=8";
        let learn = format!(
            "queue name=branch max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
             ! teacherlabel name=teacher model=\"{}\" {} \
             ! finetune name=finetune model=\"{}\" cpu-share=1 seed={} checkpoint-dir=\"{}\" {}",
            self.model("teacher").display(),
            tuning.teacher,
            self.model("student").display(),
            self.seed,
            folder.display(),
            tuning.finetune
        );
        let metric = match method {
            // What the published gate decides by, alone.
            Method::Published => "metric=relative-error canary-rate=0 cooldown=100",
            _ => "",
        };
        match method {
            Method::Teacher => format!("{edge} ! {sink}"),
            Method::None => format!("{edge} mirror-check=5 ! svdgate name=gate ! {sink}"),
            Method::Combined | Method::Published => format!(
                "{edge} mirror-check=5 ! svdgate name=gate seed={} {metric} {} ! {sink} gate.adapt ! {learn}",
                self.seed + 1,
                tuning.gate
            ),
            _ => {
                format!("{edge} mirror-check=5 ! tee name=all ! {sink} all. ! {learn}")
            }
        }
    }

    /// `svdgate` and a teacher, and nobody who trains; `fault` is where something can be put into the results.
    pub fn watch(&self, gate: &str) -> String {
        let rate = format!("{RATE}/1");
        let edge = self.inference(&self.domains[0], &self.model("student"), self.frames, &rate);
        format!(
            "{edge} mirror-check=5 ! identity name=fault ! svdgate name=gate {gate} \
             ! appsink name=out sync=false max-buffers=8 \
             gate.adapt ! queue name=branch max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
             ! teacherlabel name=teacher model=\"{}\" ! fakesink async=false",
            self.model("teacher").display()
        )
    }

    /// A camera's pace, so many frames a second; the branch gets what a probe lets through.
    pub fn live(&self, rate: u32) -> String {
        let rate = format!("{rate}/1");
        let edge = self.inference(&self.domains[0], &self.model("student"), self.frames, &rate);
        let edge = edge.replacen("scenesrc ", "scenesrc is-live=true ", 1);
        format!(
            "{edge} ! tee name=all ! queue ! appsink name=out sync=false \
             all. ! queue name=branch max-size-buffers=0 max-size-bytes=0 max-size-time=0 \
             ! teacherlabel name=teacher model=\"{}\" ! finetune name=finetune model=\"{}\" async=false",
            self.model("teacher").display(),
            self.model("student").display()
        )
    }

    /// A look at a model on the domain before the change, few frames far apart: what was forgotten.
    pub fn look_back(&self, model: &Path) -> String {
        let edge = self.inference(&self.domains[0], model, LOOK_BACK, "3/1");
        format!("{edge} ! appsink name=out sync=false max-buffers=8")
    }
}

/// Frames of a look back, a third of a second apart.
pub const LOOK_BACK: u64 = 60;

/// Properties other than the defaults, as a pipeline's text has them.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    pub gate: String,
    pub teacher: String,
    pub finetune: String,
}
