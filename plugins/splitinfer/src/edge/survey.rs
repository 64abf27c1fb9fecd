// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the choices cost on this machine, measured on the first pictures that pass: a little now and then, so that no frame
//! has to wait long. What is not measured yet is taken for as dear, by the size of its tensors, as what is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Offload, Profile};
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Encode, Predictive, picture::encode_jpeg};
use splitinfer_vision::Picture;

use super::engine::Engine;
use super::filming::{self, Filming};
use super::job::{JPEG_QUALITY, bits};
use super::settings::Settings;
use super::split;

/// The part of the time that the survey takes at most.
const SHARE: f64 = 0.25;

/// A survey under way.
pub(super) struct Survey {
    pictures: u64,
    /// Candidates that no picture has been encoded of, those with the smallest tensors first.
    left: VecDeque<usize>,
    /// Those of which one has, standing alone: the next picture tells what is left to send once the server has the first.
    begun: VecDeque<Begun>,
    video: VideoSurvey,
    /// Frames have the time until then.
    rest_until: Option<Instant>,
}

struct Begun {
    candidate: usize,
    encoder: Predictive,
    /// The picture that it knows.
    number: u64,
    fresh_bytes: u64,
}

/// How much of the video is known.
#[derive(Clone, Copy)]
enum VideoSurvey {
    Nothing,
    /// A key picture takes so many bytes; the next picture tells about the others.
    Key(u64),
    /// Everything, or there is none.
    Done,
}

/// What the survey has found.
pub(super) enum Finding {
    /// All choices, most of them estimated.
    Profile(Profile),
    /// One choice, measured.
    Choice(Choice, Offload),
}

impl Survey {
    pub(super) fn new(engine: &Engine) -> Self {
        let cuts = engine.candidates();
        let mut left: Vec<usize> = (0..cuts.len()).collect();
        left.sort_by_key(|i| cuts[*i].raw_bytes);
        Self {
            pictures: 0,
            left: left.into(),
            begun: VecDeque::new(),
            video: VideoSurvey::Nothing,
            rest_until: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        let candidates = self.left.is_empty() && self.begun.is_empty();
        self.pictures > 0 && candidates && matches!(self.video, VideoSurvey::Done)
    }

    /// Goes on with this picture for about `patience`, unless it is the frames' turn.
    ///
    /// # Errors
    /// When inference or coding fails.
    pub(super) fn go_on(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
        filming: &mut Option<Filming>,
        patience: Duration,
    ) -> Result<Vec<Finding>, gst::ErrorMessage> {
        let since = Instant::now();
        if self.rest_until.is_some_and(|until| since < until) {
            return Ok(Vec::new());
        }
        let number = self.pictures;
        self.pictures += 1;
        let input = engine.tensor(picture)?;
        let mut found = Vec::new();
        if number == 0 {
            let first = self.first(engine, settings, picture, &input)?;
            found.push(Finding::Profile(first));
        }
        if let Some(offload) = self.video(engine, picture, filming)? {
            found.push(Finding::Choice(Choice::Video, offload));
        }
        while since.elapsed() < patience {
            let known = self.ready(number);
            if let Some(begun) = known {
                let candidate = begun.candidate;
                let offload = predicted(engine, settings, &input, begun, number)?;
                found.push(Finding::Choice(Choice::Candidate(candidate), offload));
            } else if let Some(candidate) = self.left.pop_front() {
                let (begun, _) = alone(engine, settings, candidate, &input, number)?;
                self.begun.push_back(begun);
            } else {
                break;
            }
        }
        self.rest_until = Some(Instant::now() + since.elapsed().mul_f64(1.0 / SHARE - 1.0));
        Ok(found)
    }

    /// A key picture first, and then one that is predicted from it.
    fn video(
        &mut self,
        engine: &Engine,
        picture: &Picture,
        filming: &mut Option<Filming>,
    ) -> Result<Option<Offload>, gst::ErrorMessage> {
        let since = Instant::now();
        let known = std::mem::replace(&mut self.video, VideoSurvey::Done);
        let key = match known {
            VideoSurvey::Nothing => true,
            VideoSurvey::Key(_) => false,
            VideoSurvey::Done => return Ok(None),
        };
        let Some(bytes) = filming::attempt(filming, |f| f.rehearse(picture, key)) else {
            return Ok(None);
        };
        let bytes = bytes as u64;
        match known {
            VideoSurvey::Nothing => self.video = VideoSurvey::Key(bytes),
            VideoSurvey::Key(fresh_bytes) => {
                let encode = since.elapsed();
                return Ok(Some(Offload {
                    name: "server-video".into(),
                    head: Duration::ZERO,
                    encode,
                    bytes,
                    fresh_bytes,
                    decode: encode,
                    tail: engine.profile()?.whole,
                }));
            }
            VideoSurvey::Done => {}
        }
        Ok(None)
    }

    /// A candidate that knows an earlier picture.
    fn ready(&mut self, number: u64) -> Option<Begun> {
        let ready = self.begun.front().is_some_and(|b| b.number < number);
        ready.then(|| self.begun.pop_front())?
    }

    /// The picture itself and the smallest tensors are measured, the others estimated from these.
    fn first(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
        input: &Tensor,
    ) -> Result<Profile, gst::ErrorMessage> {
        let timed = engine.profile()?;
        let picture = Some(jpeg(picture, timed.whole)?);
        let mut candidates = Vec::new();
        if let Some(smallest) = self.left.pop_front() {
            let (begun, encode) = alone(engine, settings, smallest, input, 0)?;
            let cuts = engine.candidates();
            let bytes = begun.fresh_bytes as f64;
            candidates.extend((0..cuts.len()).map(|i| {
                let larger = cuts[i].raw_bytes as f64 / cuts[smallest].raw_bytes.max(1) as f64;
                let bytes = (bytes * larger) as u64;
                offload(engine, &timed, i, encode.mul_f64(larger), [bytes, bytes])
            }));
            self.begun.push_back(begun);
        }
        Ok(Profile {
            whole: timed.whole,
            picture,
            video: None,
            candidates,
        })
    }
}

/// The picture to the server, which has the `whole` model to run.
fn jpeg(picture: &Picture, whole: Duration) -> Result<Offload, gst::ErrorMessage> {
    let once = || {
        let begun = Instant::now();
        let bytes = encode_jpeg(&picture.rgb, picture.width, picture.height, JPEG_QUALITY);
        bytes.map(|bytes| (bytes, begun.elapsed()))
    };
    // The first time memory is cold.
    let (_, cold) = once().map_err(|e| failed(&e))?;
    let (bytes, warm) = once().map_err(|e| failed(&e))?;
    let encode = cold.min(warm);
    Ok(Offload {
        name: "server".into(),
        head: Duration::ZERO,
        encode,
        bytes: bytes.len() as u64,
        fresh_bytes: bytes.len() as u64,
        decode: encode,
        tail: whole,
    })
}

/// Encodes the tensors of a candidate for the first time; how long that took.
fn alone(
    engine: &Engine,
    settings: &Settings,
    candidate: usize,
    input: &Tensor,
    number: u64,
) -> Result<(Begun, Duration), gst::ErrorMessage> {
    let mut encoder = settings.encoder();
    let tensors = engine.head(candidate, input)?;
    let since = Instant::now();
    let bytes = encoder
        .encode(number, &tensors, bits(settings))
        .map_err(|e| failed(&e))?;
    let took = since.elapsed();
    encoder.acknowledge(number);
    let begun = Begun {
        candidate,
        encoder,
        number,
        fresh_bytes: bytes.len() as u64,
    };
    Ok((begun, took))
}

fn predicted(
    engine: &Engine,
    settings: &Settings,
    input: &Tensor,
    mut begun: Begun,
    number: u64,
) -> Result<Offload, gst::ErrorMessage> {
    let tensors = engine.head(begun.candidate, input)?;
    let since = Instant::now();
    let bytes = begun
        .encoder
        .encode(number, &tensors, bits(settings))
        .map_err(|e| failed(&e))?;
    let encode = since.elapsed();
    let bytes = [bytes.len() as u64, begun.fresh_bytes];
    let timed = engine.profile()?;
    Ok(offload(engine, &timed, begun.candidate, encode, bytes))
}

/// `bytes`: of a frame that is predicted, and of one that stands alone.
fn offload(
    engine: &Engine,
    timed: &splitinfer_runtime::Profile,
    candidate: usize,
    encode: Duration,
    bytes: [u64; 2],
) -> Offload {
    let time = |of: &[Duration]| of.get(candidate).copied().unwrap_or_default();
    Offload {
        name: split::name(Choice::Candidate(candidate), engine.candidates()).to_owned(),
        head: time(&timed.head),
        encode,
        bytes: bytes[0],
        fresh_bytes: bytes[1],
        // Both directions touch every value once.
        decode: encode,
        tail: time(&timed.tail),
    }
}

fn failed(error: &dyn std::fmt::Display) -> gst::ErrorMessage {
    gst::error_msg!(gst::StreamError::Encode, ("{error}"))
}
