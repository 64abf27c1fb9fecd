// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Measures what each choice costs, with the project's own crates on this machine. Times are those of the thread on the
//! processor, so that what else runs there does not count.

use std::time::Duration;

use anyhow::{Context, Result};
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{
    AUTO, Decode, Encode, Limits, Predictive, PredictiveDecoder, Tuning, picture, relative_change,
};
use splitinfer_vision::Picture;

use super::profile::{AGES, Coded, Cut, ModelProfile, Profiles};
use super::profiling_h264;
use crate::measure::{self, Subject, median, processor_time};
use crate::model::LocalModel;

/// As the element encodes it.
pub(crate) const JPEG_QUALITY: u8 = 90;
/// As the element accepts it by default.
const OUTPUT_ERROR: f32 = 0.02;
/// Frames for which the step of a cut stays as it is, all channels having been tried, before anything is counted: right after a
/// change of what is known of them it is halved, and it grows by looks that get rarer.
const CALM: usize = 64;
/// No more altogether.
const MOST_SETTLING: usize = 2000;

/// Frames before those that count: what a stream costs right after its beginning, it does not cost later.
pub(super) const LEAD: usize = 48;

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

/// Measures H.264 alone, beside the JPEG, and puts it into the profiles that there are.
///
/// # Errors
/// When a model or video cannot be used.
pub fn measure_h264(profiles: &mut Profiles, frames: usize) -> Result<()> {
    for subject in measure::subjects() {
        let known = profiles.models.iter_mut().find(|m| m.name == subject.name);
        if let Some(profile) = known {
            let (mut model, pictures) = load(&subject, frames)?;
            profile.h264 = profiling_h264::measure(&mut model, &pictures, &profile.jpeg)
                .with_context(|| subject.name.clone())?;
        }
    }
    Ok(())
}

/// The model, and as many frames as it sees them after those of the [`LEAD`].
fn load(subject: &Subject, count: usize) -> Result<(LocalModel, Vec<Picture>)> {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    let mut model = LocalModel::load(&subject.model, &options)?;
    let (caps, buffers) = measure::frames(&subject.source, LEAD + count)?;
    let video = gst_video::VideoInfo::from_caps(&caps)?;
    let pictures = buffers
        .iter()
        .map(|b| model.picture(b, &video))
        .collect::<Result<_>>()?;
    Ok((model, pictures))
}

fn measure_one(subject: &Subject, count: usize) -> Result<ModelProfile> {
    let (mut model, pictures) = load(subject, count)?;
    let inputs = pictures
        .iter()
        .map(|p| model.tensor(p))
        .collect::<Result<Vec<_>>>()?;
    let (whole, parts) = times(&model, &inputs[LEAD..])?;
    let candidates = model.split.candidates().to_vec();
    let bar = measure::progress(candidates.len());
    bar.set_message(subject.name.clone());
    let mut cuts = Vec::new();
    for (i, cut) in candidates.iter().enumerate() {
        let tensors = inputs
            .iter()
            .map(|input| Ok(model.split.head(i, input)?))
            .collect::<Result<Vec<_>>>()?;
        let tuning = settle(&model, i, &tensors)?;
        cuts.push(Cut {
            name: measure::short(&cut.name),
            head_share: cut.head_macs as f64 / (cut.head_macs + cut.tail_macs).max(1) as f64,
            head_us: parts[i].0,
            tail_us: parts[i].1,
            step: tuning.step(),
            alone: coded(&tensors, &tuning, None)?,
            predicted: AGES
                .iter()
                .map(|age| coded(&tensors, &tuning, Some(*age)))
                .collect::<Result<_>>()?,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let jpeg = jpeg(&pictures[LEAD..])?;
    Ok(ModelProfile {
        name: subject.name.clone(),
        video: format!(
            "{} frames of {}",
            pictures.len() - LEAD,
            if subject.source.starts_with("scenesrc") {
                "scenesrc"
            } else {
                "a real video"
            }
        ),
        whole_us: whole,
        h264: profiling_h264::measure(&mut model, &pictures, &jpeg)?,
        jpeg,
        cuts,
    })
}

/// Of the whole model, and of head and tail of each candidate; medians over the inputs.
fn times(model: &LocalModel, inputs: &[Tensor]) -> Result<(f64, Vec<(f64, f64)>)> {
    model.split.prepare()?;
    let count = model.split.candidates().len();
    let mut whole = Vec::new();
    let mut parts = vec![(Vec::new(), Vec::new()); count];
    for input in inputs {
        let begun = processor_time();
        model.split.whole(input)?;
        whole.push(micros(processor_time() - begun));
        for (i, (heads, tails)) in parts.iter_mut().enumerate() {
            let begun = processor_time();
            let tensors = model.split.head(i, input)?;
            heads.push(micros(processor_time() - begun));
            let begun = processor_time();
            model.split.tail(i, &tensors)?;
            tails.push(micros(processor_time() - begun));
        }
    }
    let medians = parts.iter().map(|(h, t)| (median(h), median(t)));
    Ok((median(&whole), medians.collect()))
}

/// How the element would code, after it has looked at some frames.
pub(crate) fn settle(model: &LocalModel, cut: usize, frames: &[Vec<Tensor>]) -> Result<Tuning> {
    let mut tuning = Tuning::default();
    let mut encoder = Predictive::default();
    let tail = |tensors: &[Tensor]| {
        let outputs = model.split.tail(cut, tensors).ok()?;
        Some(outputs.into_iter().map(|(_, tensor)| tensor).collect())
    };
    let mut calm = 0;
    for (n, tensors) in frames.iter().cycle().take(MOST_SETTLING).enumerate() {
        if calm >= CALM {
            break;
        }
        let step = tuning.step();
        tuning.apply(&mut encoder);
        encoder.encode(n as u64, tensors, AUTO)?;
        let Some(decoded) = encoder.decoded(n as u64) else {
            break;
        };
        if let Some(look) = tuning.look(tensors)
            && let Some(found) = look.examine(tensors, &decoded, tail)
        {
            tuning.learn(&found, OUTPUT_ERROR);
        }
        encoder.acknowledge(n as u64);
        calm = match tuning.is_complete() && tuning.step() == step {
            true => calm + 1,
            false => 0,
        };
    }
    Ok(tuning)
}

/// Every frame after the [`LEAD`] coded so, alone or predicted from the one that many frames before.
fn coded(frames: &[Vec<Tensor>], tuning: &Tuning, age: Option<usize>) -> Result<Coded> {
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    // Only this thread's time is counted.
    encoder.set_parallel(false);
    decoder.set_parallel(false);
    tuning.apply(&mut encoder);
    let (mut encode, mut decode, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for (n, tensors) in frames.iter().enumerate() {
        let begun = processor_time();
        let code = encoder.encode(n as u64, tensors, AUTO)?;
        let encoded = processor_time() - begun;
        let begun = processor_time();
        decoder.decode(&code, &Limits::default())?;
        let decoded = processor_time() - begun;
        if n >= LEAD {
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
        let begun = processor_time();
        let code = picture::encode_jpeg(&p.rgb, p.width, p.height, JPEG_QUALITY)?;
        encode.push(micros(processor_time() - begun));
        let begun = processor_time();
        picture::decode_jpeg(&code, &Limits::default())?;
        decode.push(micros(processor_time() - begun));
        bytes.push(u32::try_from(code.len())?);
    }
    Ok(Coded {
        encode_us: median(&encode),
        decode_us: median(&decode),
        bytes,
    })
}

/// Change of the outputs, as the element checks it.
pub(super) fn change(exact: &[(String, Tensor)], now: &[(String, Tensor)]) -> Option<f32> {
    let [exact, now] = [exact, now].map(|outputs| {
        let tensors = outputs.iter().map(|(_, tensor)| tensor.clone());
        tensors.collect::<Vec<_>>()
    });
    relative_change(&exact, &now)
}

pub(super) fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}
