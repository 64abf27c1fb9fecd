// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the choices cost on this machine, measured on the first pictures that pass: a little now and then, so that no frame
//! has to wait long. What is not measured yet is taken for as dear, by the size of its tensors, as what is.
//!
//! The model is run part by part on two pictures, and from the tensors of one cut to those of the next. The first picture shows what tensors
//! take that stand alone, the second what is left to send once the server has those of the first.

use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Offload, Profile};
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Encode, Predictive, picture::encode_jpeg};
use splitinfer_vision::Picture;

use super::engine::Engine;
use super::filming::{self, Filming};
use super::job::{JPEG_QUALITY, bits};
use super::load::{self, Load};
use super::settings::Settings;
use super::split;

const USUAL_INTERVAL: Duration = Duration::from_millis(40);

/// Pictures on which the model is run.
const WALKS: u64 = 2;

/// A survey under way.
pub(super) struct Survey {
    picture: Option<Offload>,
    /// What has been found of the candidates so far, in their order.
    known: Vec<Known>,
    walk: Option<Walk>,
    /// Pictures that the model has been run on.
    walked: u64,
    video: VideoSurvey,
    /// Frames have the time until then.
    rest_until: Option<Instant>,
}

/// A candidate whose tensors have been encoded.
struct Known {
    encoder: Predictive,
    fresh_bytes: u64,
}

/// A piece of the survey.
enum Step {
    Picture,
    /// There is nothing to choose among but the picture.
    Nothing,
    Video,
    /// The next one of the walk.
    Candidate,
}

/// The model on a picture, part by part.
struct Walk {
    input: Tensor,
    /// Those of the last candidate that was reached.
    tensors: Vec<Tensor>,
    next: usize,
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
    pub(super) fn new() -> Self {
        Self {
            picture: None,
            known: Vec::new(),
            walk: None,
            walked: 0,
            video: VideoSurvey::Nothing,
            rest_until: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.walked == WALKS && matches!(self.video, VideoSurvey::Done)
    }

    /// Goes on, with this picture where it needs one, unless it is the frames' turn.
    ///
    /// # Errors
    /// When inference or coding fails.
    pub(super) fn go_on(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
        filming: &mut Option<Filming>,
        load: Load,
    ) -> Result<Vec<Finding>, gst::ErrorMessage> {
        let since = Instant::now();
        if self.rest_until.is_some_and(|until| since < until) {
            return Ok(Vec::new());
        }
        let share = load.share();
        let patience = load.interval.unwrap_or(USUAL_INTERVAL).mul_f64(share);
        let mut fresh = true;
        let mut found = Vec::new();
        while let Some(step) = self.next(engine, fresh) {
            match step {
                Step::Picture => self.picture = Some(jpeg(picture, engine.profile()?.whole)?),
                Step::Nothing => {
                    self.walked = WALKS;
                    found.push(Finding::Profile(self.estimates(engine, None)?));
                }
                Step::Video => {
                    let offload = self.video(engine, picture, filming)?;
                    found.extend(offload.map(|offload| Finding::Choice(Choice::Video, offload)));
                    fresh = false;
                }
                Step::Candidate => {
                    let walk = match &mut self.walk {
                        Some(walk) => walk,
                        none => none.insert(Walk::new(engine.tensor(picture)?)),
                    };
                    let candidate = walk.next;
                    walk.step(engine)?;
                    found.push(self.look(engine, settings, candidate)?);
                    if candidate + 1 == engine.candidates().len() {
                        self.walk = None;
                        self.walked += 1;
                        // The next one is on another picture.
                        break;
                    }
                }
            }
            if since.elapsed() >= patience {
                break;
            }
        }
        self.rest_until = Some(Instant::now() + load::rest(since.elapsed(), share));
        Ok(found)
    }

    /// What there is to do: first what the plan needs to choose at all, the picture and one candidate. `fresh`: this picture has not been one of
    /// the video yet.
    fn next(&self, engine: &Engine, fresh: bool) -> Option<Step> {
        let begun = self.walked > 0 || self.walk.is_some();
        let videoed = matches!(self.video, VideoSurvey::Done);
        match self.picture {
            None => Some(Step::Picture),
            Some(_) if engine.candidates().is_empty() && self.walked < WALKS => Some(Step::Nothing),
            Some(_) if begun && fresh && !videoed => Some(Step::Video),
            Some(_) => (self.walked < WALKS).then_some(Step::Candidate),
        }
    }

    /// Encodes the tensors of the candidate that has been reached.
    fn look(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        candidate: usize,
    ) -> Result<Finding, gst::ErrorMessage> {
        let tensors = self.walk.as_ref().map_or(&[][..], |walk| &walk.tensors);
        if candidate == self.known.len() {
            self.known.push(Known {
                encoder: settings.encoder(),
                fresh_bytes: 0,
            });
        }
        let known = &mut self.known[candidate];
        let since = Instant::now();
        let bytes = known
            .encoder
            .encode(self.walked, tensors, bits(settings))
            .map_err(|e| failed(&e))?;
        let encode = since.elapsed();
        known.encoder.acknowledge(self.walked);
        let bytes = bytes.len() as u64;
        if self.walked == 0 {
            known.fresh_bytes = bytes;
        }
        let bytes = [bytes, known.fresh_bytes];
        let timed = engine.profile()?;
        let offload = offload(engine, &timed, candidate, encode, bytes);
        Ok(match (self.walked, candidate) {
            (0, 0) => Finding::Profile(self.estimates(engine, Some(&offload))?),
            _ => Finding::Choice(Choice::Candidate(candidate), offload),
        })
    }

    /// The picture and the first candidate as they were measured, the others estimated from that.
    fn estimates(
        &self,
        engine: &Engine,
        first: Option<&Offload>,
    ) -> Result<Profile, gst::ErrorMessage> {
        let timed = engine.profile()?;
        let cuts = engine.candidates();
        let estimate = |first: &Offload, i: usize| {
            let larger = cuts[i].raw_bytes as f64 / cuts[0].raw_bytes.max(1) as f64;
            let bytes = (first.bytes as f64 * larger) as u64;
            let encode = first.encode.mul_f64(larger);
            offload(engine, &timed, i, encode, [bytes, bytes])
        };
        let candidates = first.map_or_else(Vec::new, |first| {
            (0..cuts.len()).map(|i| estimate(first, i)).collect()
        });
        Ok(Profile {
            whole: timed.whole,
            picture: self.picture.clone(),
            video: None,
            candidates,
        })
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
}

impl Walk {
    fn new(input: Tensor) -> Self {
        Self {
            input,
            tensors: Vec::new(),
            next: 0,
        }
    }

    /// To the tensors of the next candidate.
    fn step(&mut self, engine: &Engine) -> Result<(), gst::ErrorMessage> {
        self.tensors = match self.next.checked_sub(1) {
            None => engine.head(0, &self.input)?,
            Some(last) => engine.onward(last, &self.tensors)?,
        };
        self.next += 1;
        Ok(())
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
