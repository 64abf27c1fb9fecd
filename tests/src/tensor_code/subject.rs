// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is measured with: models, and consecutive frames of videos that suit them, with what the whole model says of
//! each frame and what is really there.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use splitinfer_evaluate::Actual;
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{AUTO, Encode, Predictive, Sensitivity, relative_change};
use splitinfer_vision::{Object, Picture};

use super::accuracy::Metric;
use super::{Tensors, knee, truth};
use crate::measure;
use crate::model::LocalModel;

/// Frames on which it is tried how much the channels matter.
const TRIED: usize = 3;
/// Of these frames: with which the element begins.
const FIRST_STEP: f32 = 0.0625;

/// Raw outputs of a model, by name.
pub type Outputs = Vec<(String, Tensor)>;

/// A model, a video, and which of its frames.
pub struct Clip {
    pub name: String,
    model: PathBuf,
    source: String,
    /// Number of the first frame, from 1.
    first: usize,
    /// A file of boxes, where the source does not bring its truth along.
    boxes: Option<PathBuf>,
}

/// The shipped students on their scenes, and real models on real videos where those are at hand.
pub fn clips() -> Vec<Clip> {
    let boxes = || crate::data::find("truth/car-detection.machine_boxes.txt");
    let mut clips = Vec::new();
    for subject in measure::subjects() {
        let (source, windows) = match subject.name.as_str() {
            // Only without a conversion does the truth come through as it is.
            "walker-student" | "traffic-student" => {
                let source = subject.source.replace("x-raw,", "x-raw,format=I420,");
                (source, vec![(1, None)])
            }
            "movenet_lightning_f32_192" => (subject.source, vec![(130, None)]),
            _ => (subject.source, vec![(180, boxes()), (1, boxes())]),
        };
        let several = windows.len() > 1;
        for (first, boxes) in windows {
            let from = if several {
                format!(", from frame {first}")
            } else {
                String::new()
            };
            clips.push(Clip {
                name: format!("{}{from}", subject.name),
                model: subject.model.clone(),
                source: source.clone(),
                first,
                boxes,
            });
        }
    }
    clips
}

/// One frame, prepared.
pub struct Frame {
    pub picture: Picture,
    pub input: Tensor,
    /// Of the whole model on the untouched frame.
    pub outputs: Outputs,
    pub objects: Vec<Object>,
    pub truth: Option<Vec<Actual>>,
}

/// A clip, prepared.
pub struct Subject {
    pub name: String,
    pub model: LocalModel,
    pub frames: Vec<Frame>,
    /// Number of the first frame, from 1.
    pub first: usize,
    pub size: [u32; 2],
    pub legs: Vec<[usize; 3]>,
    /// All channels of a cut have the same step.
    pub even: bool,
}

impl Subject {
    /// # Errors
    /// When the model or the video cannot be used.
    pub fn load(clip: &Clip, count: usize) -> Result<Self> {
        let options = SessionOptions {
            threads: 1,
            ..SessionOptions::default()
        };
        let mut model = LocalModel::load(&clip.model, &options)?;
        let skip = clip.first - 1;
        let (caps, buffers) = measure::frames(&clip.source, skip + count)?;
        let video = gst_video::VideoInfo::from_caps(&caps)?;
        let boxes = clip.boxes.as_deref().map(truth::load).transpose()?;
        let mut frames = Vec::with_capacity(count);
        for (i, buffer) in buffers.iter().enumerate().skip(skip) {
            let (picture, place) = model.placed_picture(buffer, &video)?;
            let input = model.tensor(&picture)?;
            let outputs = model.split.whole(&input)?;
            let truth = match &boxes {
                Some(boxes) => boxes
                    .on(i as u64)
                    .map(|on_frame| truth::on_picture(on_frame, &place)),
                None => truth::of_scene(buffer, &place)?,
            };
            frames.push(Frame {
                objects: model.read(&outputs)?,
                picture,
                input,
                outputs,
                truth,
            });
        }
        ensure!(frames.len() > 1, "{} has too few frames", clip.name);
        Ok(Self {
            name: clip.name.clone(),
            legs: knee::legs(&model.info),
            model,
            frames,
            first: clip.first,
            size: [video.width(), video.height()],
            even: false,
        })
    }

    /// What crosses at a cut, frame by frame.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn crossing(&self, cut: usize) -> Result<Vec<Tensors>> {
        let frames = self.frames.iter();
        frames
            .map(|f| self.model.split.head(cut, &f.input).context("the head"))
            .collect()
    }

    /// How the steps of a cut's channels should differ, as told by trials on its first frames: each tensor on each of them, then each
    /// channel. The element finds it out in the same way while it runs.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn coarser(&self, cut: usize, frames: &[Tensors]) -> Result<Vec<Vec<i8>>> {
        if self.even {
            return Ok(Vec::new());
        }
        let tail = |tensors: &Tensors| -> Result<Vec<Tensor>> {
            let outputs = self.model.split.tail(cut, tensors)?;
            Ok(outputs.into_iter().map(|(_, tensor)| tensor).collect())
        };
        let mut encoder = Predictive::default();
        encoder.set_step(FIRST_STEP);
        let mut tried = Vec::new();
        for (number, frame) in (0..).zip(frames.iter().take(TRIED)) {
            encoder.encode(number, frame, AUTO)?;
            let decoded = encoder.decoded(number).context("exact tensors")?;
            tried.push((frame, tail(frame)?, decoded));
        }
        let mut sensitivity = Sensitivity::new(frames.first().context("no frame")?);
        while !sensitivity.is_complete() {
            for (frame, outputs, decoded) in &tried {
                for part in sensitivity.next(usize::MAX) {
                    let disturbed = part.disturb(frame, decoded).context("other tensors")?;
                    let change = relative_change(outputs, &tail(&disturbed.tensors)?);
                    sensitivity.learn(disturbed.response(change.context("other outputs")?));
                }
            }
        }
        Ok(sensitivity.coarser().to_vec())
    }

    pub fn metric(&self) -> Metric {
        Metric::of(&self.model.info)
    }

    pub fn pictures(&self) -> Vec<Picture> {
        self.frames.iter().map(|f| f.picture.clone()).collect()
    }

    pub fn objects(&self) -> usize {
        self.frames.iter().map(|f| f.objects.len()).sum()
    }
}
