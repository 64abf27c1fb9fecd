// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Measures a [`Profile`], in a process of its own that has the edge's part of a processor first and then the server's.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{AUTO, Decode, Encode, Limits, Predictive, PredictiveDecoder, picture};
use splitinfer_video::{VideoDecoder, VideoEncoder};
use splitinfer_vision::Picture;

use super::camera::Camera;
use super::profile::{Coding, Cut, Part, Profile, Times};
use crate::measure::{median, ms};
use crate::model::LocalModel;
use crate::quota::Quota;
use crate::split_selection::profiling::{JPEG_QUALITY, settle};

/// The argument with which a measurement is started again to do this.
pub const PROFILE: &str = "--profile";
/// Frames on which the steps of the code settle, and those that are measured on each machine after the first, for which
/// memory is cold and nothing known.
const SETTLING: usize = 8;
const MEASURED: usize = 12;

/// What such a process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub model: PathBuf,
    pub film: PathBuf,
    pub rate: u32,
    /// Where to write one's own number so as to be on the edge, and on the server.
    pub machines: [PathBuf; 2],
}

/// Has a process measure it; `shares`: the parts of a processor that edge and server have.
///
/// # Errors
/// When the process cannot be started or fails.
pub fn measure(model: PathBuf, film: PathBuf, rate: u32, shares: [f64; 2]) -> Result<Profile> {
    let quotas = [Quota::new(shares[0])?, Quota::new(shares[1])?];
    let job = Job {
        model,
        film,
        rate,
        machines: [quotas[0].members(), quotas[1].members()],
    };
    let process = Command::new(std::env::current_exe()?)
        .args([PROFILE, &serde_json::to_string(&job)?])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(process.status.success(), "the profile was not measured");
    Ok(serde_json::from_slice(&process.stdout)?)
}

/// Does the job, and writes the profile to standard output.
///
/// # Errors
/// When model, film or codes fail, or a machine cannot be entered.
pub fn work(job: &Job) -> Result<()> {
    crate::init();
    let mut bench = Bench::new(job)?;
    let [edge, server] = &job.machines;
    let (edge_times, bytes) = bench.on(edge)?;
    let (server_times, _) = bench.on(server)?;
    let candidates = bench.model.split.candidates();
    let cuts = candidates.iter().zip(&bytes.cuts).map(|(cut, bytes)| Cut {
        name: cut.name.clone(),
        head_share: cut.head_macs as f64 / (cut.head_macs + cut.tail_macs).max(1) as f64,
        bytes: middle(bytes),
    });
    let profile = Profile {
        edge: edge_times,
        server: server_times,
        picture_bytes: middle(&bytes.picture),
        video_bytes: (!bytes.video.is_empty()).then(|| middle(&bytes.video)),
        cuts: cuts.collect(),
    };
    println!("{}", serde_json::to_string(&profile)?);
    Ok(())
}

struct Bench {
    model: LocalModel,
    pictures: Vec<Picture>,
    /// Of the code, for each cut.
    steps: Vec<f32>,
}

/// One number for each frame that was measured.
#[derive(Default)]
struct Bytes {
    picture: Vec<f64>,
    video: Vec<f64>,
    cuts: Vec<Vec<f64>>,
}

impl Bench {
    /// Everything is loaded, and the code as fine as it has to be, before a machine is entered.
    fn new(job: &Job) -> Result<Self> {
        // As the elements have it by default.
        let mut model = LocalModel::load(&job.model, &SessionOptions::default())?;
        let camera = Camera::open(&job.film, job.rate)?;
        let video = gst_video::VideoInfo::from_caps(&camera.caps())?;
        // From the middle of the film on: at the beginning many show nothing yet.
        let middle = camera.count() / 2;
        let pictures = (0..=MEASURED.max(SETTLING)).map_while(|n| camera.shot(middle + n));
        let pictures = pictures
            .map(|shot| model.picture(&shot, &video))
            .collect::<Result<Vec<_>>>()?;
        let first = pictures.iter().take(SETTLING);
        let inputs = first.map(|p| model.tensor(p)).collect::<Result<Vec<_>>>()?;
        model.split.prepare()?;
        let mut steps = Vec::new();
        for cut in 0..model.split.candidates().len() {
            let tensors = inputs.iter().map(|i| Ok(model.split.head(cut, i)?));
            steps.push(settle(&model, cut, &tensors.collect::<Result<Vec<_>>>()?)?.step());
        }
        Ok(Self {
            model,
            pictures,
            steps,
        })
    }

    /// On the machine in whose list of processes one writes oneself.
    fn on(&mut self, members: &PathBuf) -> Result<(Times, Bytes)> {
        std::fs::write(members, std::process::id().to_string())
            .with_context(|| members.display().to_string())?;
        let pictures = self.pictures.clone();
        let inputs = pictures
            .iter()
            .map(|p| self.model.tensor(p))
            .collect::<Result<Vec<_>>>()?;
        let mut bytes = Bytes::default();
        let whole = timed(&inputs, |input| {
            Ok(self.model.split.whole(input).map(drop)?)
        })?;
        let (picture, sizes) = as_jpeg(&pictures)?;
        bytes.picture = sizes;
        let (video, sizes) = as_video(&pictures)?;
        bytes.video = sizes;
        let mut cuts = Vec::new();
        for cut in 0..self.steps.len() {
            let (part, sizes) = self.cut(cut, &inputs)?;
            cuts.push(part);
            bytes.cuts.push(sizes);
        }
        let times = Times {
            whole,
            picture,
            video,
            cuts,
        };
        Ok((times, bytes))
    }

    /// Each frame is predicted from the one before.
    fn cut(&self, cut: usize, inputs: &[Tensor]) -> Result<(Part, Vec<f64>)> {
        let split = &self.model.split;
        let mut encoder = Predictive::default();
        let mut decoder = PredictiveDecoder::default();
        encoder.set_step(self.steps[cut]);
        let mut clock = Clock::default();
        let mut sizes = Vec::new();
        for (n, input) in inputs.iter().enumerate() {
            let tensors = clock.time(0, || Ok(split.head(cut, input)?))?;
            let code = clock.time(1, || Ok(encoder.encode(n as u64, &tensors, AUTO)?))?;
            let decoded = clock.time(2, || Ok(decoder.decode(&code, &Limits::default())?))?;
            clock.time(3, || Ok(split.tail(cut, &decoded)?))?;
            encoder.acknowledge(n as u64);
            sizes.push(code.len() as f64);
        }
        let [head, encode, decode, tail] = clock.medians();
        let coding = Coding { encode, decode };
        Ok((Part { head, tail, coding }, warm(&sizes).to_vec()))
    }
}

/// Times of the pieces of work on each frame, ms.
#[derive(Default)]
struct Clock([Vec<f64>; 4]);

impl Clock {
    fn time<T>(&mut self, piece: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let done = work();
        self.0[piece].push(ms(begun.elapsed()));
        done
    }

    fn medians(&self) -> [f64; 4] {
        self.0.each_ref().map(|times| median(warm(times)))
    }
}

/// Without the first frame.
fn warm(values: &[f64]) -> &[f64] {
    values.get(1..).unwrap_or_default()
}

fn middle(bytes: &[f64]) -> u64 {
    median(bytes) as u64
}

/// Median, ms.
fn timed(inputs: &[Tensor], mut work: impl FnMut(&Tensor) -> Result<()>) -> Result<f64> {
    let mut clock = Clock::default();
    for input in inputs {
        clock.time(0, || work(input))?;
    }
    Ok(clock.medians()[0])
}

fn as_jpeg(pictures: &[Picture]) -> Result<(Coding, Vec<f64>)> {
    let mut clock = Clock::default();
    let mut sizes = Vec::new();
    for p in pictures {
        let encode = || {
            Ok(picture::encode_jpeg(
                &p.rgb,
                p.width,
                p.height,
                JPEG_QUALITY,
            )?)
        };
        let code = clock.time(0, encode)?;
        clock.time(1, || Ok(picture::decode_jpeg(&code, &Limits::default())?))?;
        sizes.push(code.len() as f64);
    }
    let [encode, decode, ..] = clock.medians();
    Ok((Coding { encode, decode }, warm(&sizes).to_vec()))
}

/// No sizes without the codec.
fn as_video(pictures: &[Picture]) -> Result<(Coding, Vec<f64>)> {
    let first = pictures.first().context("the film is empty")?;
    let codec = VideoEncoder::new(None, first.width, first.height)
        .and_then(|e| Ok((e, VideoDecoder::new(first.width, first.height)?)));
    let (mut encoder, mut decoder) = match codec {
        Ok(codec) => codec,
        Err(missing) => {
            eprintln!("skipped: H.264, {missing}");
            return Ok((Coding::default(), Vec::new()));
        }
    };
    let mut clock = Clock::default();
    let mut sizes = Vec::new();
    for (n, picture) in pictures.iter().enumerate() {
        let code = clock.time(0, || Ok(encoder.encode(picture, n == 0)?))?;
        clock.time(1, || Ok(decoder.decode(&code.bytes)?))?;
        sizes.push(code.bytes.len() as f64);
    }
    let [encode, decode, ..] = clock.medians();
    Ok((Coding { encode, decode }, warm(&sizes).to_vec()))
}
