// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What each choice costs with the models at hand, as the project's own crates measure it on this machine.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{
    AUTO, Decode, Encode, Limits, Predictive, PredictiveDecoder, StepControl, picture,
};
use splitinfer_vision::Picture;

use crate::measure::{self, Subject, median};
use crate::model::LocalModel;

/// As the element encodes it.
const JPEG_QUALITY: u8 = 90;
/// As the element accepts it by default.
const OUTPUT_ERROR: f32 = 0.01;
/// How many frames old the tensors are from which those of a frame are predicted.
pub const AGES: [usize; 4] = [1, 2, 4, 8];
/// Frames on which the step of a cut settles, before anything is counted.
const SETTLING: usize = 24;

/// All that the simulation knows of models and of the machine on which they were measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profiles {
    pub machine: String,
    pub models: Vec<ModelProfile>,
}

/// Times in microseconds on one thread of the machine; sizes in bytes, one for each frame of the video.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelProfile {
    pub name: String,
    pub video: String,
    pub whole_us: f64,
    pub jpeg: Coded,
    pub cuts: Vec<Cut>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Coded {
    pub encode_us: f64,
    pub decode_us: f64,
    pub bytes: Vec<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cut {
    pub name: String,
    /// Of the model's multiplications, those in the head.
    pub head_share: f64,
    pub head_us: f64,
    pub tail_us: f64,
    /// The step on which the code settles, as a share of the tensors' root mean square.
    pub step: f32,
    /// Frames that stand alone.
    pub alone: Coded,
    /// Frames predicted from one that is [`AGES`] frames old.
    pub predicted: Vec<Coded>,
}

/// Measures every model at hand on `frames` frames of its video.
///
/// # Errors
/// When a model or video cannot be used.
pub fn measure_all(frames: usize) -> Result<Profiles> {
    let models = measure::subjects()
        .iter()
        .map(|s| measure_one(s, frames).with_context(|| s.name.clone()))
        .collect::<Result<_>>()?;
    Ok(Profiles {
        machine: measure::machine(),
        models,
    })
}

/// # Errors
/// When the file is missing or damaged.
pub fn load(file: &Path) -> Result<Profiles> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// # Errors
/// When the file cannot be written.
pub fn save(profiles: &Profiles, file: &Path) -> Result<()> {
    let text = serde_json::to_string(profiles)?;
    // A line a cut keeps differences readable.
    let text = text.replace("{\"name\"", "\n{\"name\"");
    std::fs::write(file, text + "\n").with_context(|| file.display().to_string())
}

fn measure_one(subject: &Subject, count: usize) -> Result<ModelProfile> {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    let mut model = LocalModel::load(&subject.model, &options)?;
    let (caps, buffers) = measure::frames(&subject.source, count)?;
    let video = gst_video::VideoInfo::from_caps(&caps)?;
    let pictures = buffers
        .iter()
        .map(|b| model.picture(b, &video))
        .collect::<Result<Vec<_>>>()?;
    let inputs = pictures
        .iter()
        .map(|p| model.tensor(p))
        .collect::<Result<Vec<_>>>()?;
    let times = model.split.profile(30)?;
    let candidates = model.split.candidates().to_vec();
    let bar = measure::progress(candidates.len());
    bar.set_message(subject.name.clone());
    let mut cuts = Vec::new();
    for (i, cut) in candidates.iter().enumerate() {
        let tensors = inputs
            .iter()
            .map(|input| Ok(model.split.head(i, input)?))
            .collect::<Result<Vec<_>>>()?;
        let step = settle(&model, i, &tensors)?;
        cuts.push(Cut {
            name: measure::short(&cut.name),
            head_share: cut.head_macs as f64 / (cut.head_macs + cut.tail_macs).max(1) as f64,
            head_us: micros(times.head[i]),
            tail_us: micros(times.tail[i]),
            step,
            alone: coded(&tensors, step, None)?,
            predicted: AGES
                .iter()
                .map(|age| coded(&tensors, step, Some(*age)))
                .collect::<Result<_>>()?,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(ModelProfile {
        name: subject.name.clone(),
        video: format!(
            "{} frames of {}",
            pictures.len(),
            if subject.source.starts_with("scenesrc") { "scenesrc" } else { "a real video" }
        ),
        whole_us: micros(times.whole),
        jpeg: jpeg(&pictures)?,
        cuts,
    })
}

/// The step at which the element would code, after it has looked at some frames.
fn settle(model: &LocalModel, cut: usize, frames: &[Vec<Tensor>]) -> Result<f32> {
    let mut control = StepControl::default();
    let mut encoder = Predictive::default();
    for (n, tensors) in frames.iter().cycle().take(SETTLING).enumerate() {
        let step = control.step();
        encoder.set_step(step);
        encoder.encode(n as u64, tensors, AUTO)?;
        let Some(decoded) = encoder.decoded(n as u64) else {
            break;
        };
        let exact = model.split.tail(cut, tensors)?;
        if let Some(error) = relative_error(&exact, &model.split.tail(cut, &decoded)?) {
            control.measured(step, error, OUTPUT_ERROR);
        }
        encoder.acknowledge(n as u64);
    }
    Ok(control.step())
}

/// Every frame in this step, alone or predicted from the one that many frames before.
fn coded(frames: &[Vec<Tensor>], step: f32, age: Option<usize>) -> Result<Coded> {
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    encoder.set_step(step);
    let (mut encode, mut decode, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    // The first ones have nothing to be predicted from.
    let first = age.unwrap_or(0);
    for (n, tensors) in frames.iter().enumerate() {
        let begun = Instant::now();
        let code = encoder.encode(n as u64, tensors, AUTO)?;
        let encoded = begun.elapsed();
        let begun = Instant::now();
        decoder.decode(&code, &Limits::default())?;
        let decoded = begun.elapsed();
        if n >= first {
            encode.push(micros(encoded));
            decode.push(micros(decoded));
            bytes.push(u32::try_from(code.len())?);
        }
        match age {
            Some(age) if n + 1 >= age => encoder.acknowledge((n + 1 - age) as u64),
            Some(_) => {}
            None => encoder.reset(),
        }
    }
    Ok(Coded {
        encode_us: median(&encode),
        decode_us: median(&decode),
        bytes,
    })
}

fn jpeg(pictures: &[Picture]) -> Result<Coded> {
    let (mut encode, mut decode, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for p in pictures {
        let begun = Instant::now();
        let code = picture::encode_jpeg(&p.rgb, p.width, p.height, JPEG_QUALITY)?;
        encode.push(micros(begun.elapsed()));
        let begun = Instant::now();
        picture::decode_jpeg(&code, &Limits::default())?;
        decode.push(micros(begun.elapsed()));
        bytes.push(u32::try_from(code.len())?);
    }
    Ok(Coded {
        encode_us: median(&encode),
        decode_us: median(&decode),
        bytes,
    })
}

/// Change of the outputs relative to their size (Euclidean norms), as the element checks it.
fn relative_error(exact: &[(String, Tensor)], decoded: &[(String, Tensor)]) -> Option<f32> {
    let (mut difference, mut size) = (0f64, 0f64);
    for ((_, a), (_, b)) in exact.iter().zip(decoded) {
        for (a, b) in a.to_f32_vec().into_iter().zip(b.to_f32_vec()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(a).powi(2);
        }
    }
    let error = (difference / size).sqrt() as f32;
    error.is_finite().then_some(error)
}

fn micros(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}
