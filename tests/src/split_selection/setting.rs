// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a frame costs in a setting: the profile of a model, on an edge and a server of other speeds than the machine on
//! which it was measured.

use std::sync::Arc;
use std::time::Duration;

use splitinfer_link::Trace;
use splitinfer_plan::{Choice, Offload, Profile};

use super::profile::{AGES, Coded, ModelProfile};

/// Times of single frames scatter by this share (standard deviation, log-normal).
const SCATTER: f64 = 0.05;

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Setting {
    pub model: Arc<ModelProfile>,
    pub trace: Arc<Trace>,
    /// How many times slower the edge is than the machine that was measured, and how many times faster the server.
    pub edge_slower: f64,
    pub server_faster: f64,
    pub interval: Duration,
    pub budget: Duration,
    pub frames: u32,
    pub seed: u64,
}

/// The coding of one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Code {
    pub bytes: u64,
    pub encode: Duration,
    /// On the server, at its full speed.
    pub decode: Duration,
}

#[derive(Clone, Copy)]
enum Part {
    Edge,
    Rest,
    Server,
}

impl Setting {
    pub fn choices(&self) -> Vec<Choice> {
        let cuts = (0..self.model.cuts.len()).map(Choice::Candidate);
        let video = self.model.h264.iter().map(|_| Choice::Video);
        let whole = [Choice::Here, Choice::Picture].into_iter();
        whole.chain(video).chain(cuts).collect()
    }

    /// Inference here before the data leave.
    pub fn head(&self, choice: Choice, frame: u32, at: Duration) -> Duration {
        let us = match choice {
            Choice::Here => self.model.whole_us,
            Choice::Picture | Choice::Video => 0.0,
            Choice::Candidate(i) => self.model.cuts[i].head_us,
        };
        self.here(us, frame, at, Part::Edge)
    }

    /// Inference here of what the server was to do.
    pub fn rest(&self, choice: Choice, frame: u32, at: Duration) -> Duration {
        self.here(self.rest_us(choice), frame, at, Part::Rest)
    }

    /// Decoding and inference on the server.
    pub fn there(&self, choice: Choice, decode: Duration, frame: u32, at: Duration) -> Duration {
        let us = self.rest_us(choice) / self.server_faster + decode.as_secs_f64() * 1e6;
        let speed = self.trace.at(at).server;
        micros(us / speed * self.scatter(frame, Part::Server))
    }

    /// Decoding alone on the server.
    pub fn decoding(&self, decode: Duration, at: Duration) -> Duration {
        decode.div_f64(self.trace.at(at).server)
    }

    fn here(&self, us: f64, frame: u32, at: Duration, part: Part) -> Duration {
        let speed = self.trace.at(at).edge;
        micros(us * self.edge_slower / speed * self.scatter(frame, part))
    }

    fn rest_us(&self, choice: Choice) -> f64 {
        match choice {
            Choice::Here => 0.0,
            Choice::Picture | Choice::Video => self.model.whole_us,
            Choice::Candidate(i) => self.model.cuts[i].tail_us,
        }
    }

    /// `reference`: the frame from which this one is predicted; `None`: the frame stands alone.
    pub fn code(&self, choice: Choice, frame: u32, reference: Option<u32>, at: Duration) -> Code {
        let model = &self.model;
        let coded = match (choice, &model.h264) {
            (Choice::Picture, _) => Some((&model.jpeg, None)),
            (Choice::Video, Some(h264)) => Some((&h264.alone, Some(&h264.predicted))),
            (Choice::Candidate(i), _) => {
                Some((&model.cuts[i].alone, Some(&model.cuts[i].predicted)))
            }
            (Choice::Here, _) | (Choice::Video, None) => None,
        };
        let Some((fresh, by_age)) = coded else {
            return Code::default();
        };
        let (coded, bytes) = match (by_age, reference) {
            (Some(by_age), Some(r)) => predicted(by_age, frame, r),
            _ => alone(fresh, frame),
        };
        let speed = self.trace.at(at).edge;
        Code {
            bytes: bytes as u64,
            encode: micros(coded.encode_us * self.edge_slower / speed),
            decode: micros(coded.decode_us / self.server_faster),
        }
    }

    /// What the element measures of itself before the first frame, at the speed of the beginning.
    pub fn profile(&self) -> Profile {
        let slower = self.edge_slower / self.trace.at(Duration::ZERO).edge;
        let offload = |name: &str, head: f64, coded: &Coded, fresh: &Coded, tail: f64| Offload {
            name: name.to_owned(),
            head: micros(head * slower),
            encode: micros(coded.encode_us * slower),
            bytes: u64::from(coded.bytes[0]),
            fresh_bytes: u64::from(fresh.bytes[0]),
            // As the element takes it: both directions touch every value once.
            decode: micros(coded.encode_us * slower),
            tail: micros(tail * slower),
        };
        let model = &self.model;
        let picture = |usual, fresh| offload("server", 0.0, usual, fresh, model.whole_us);
        let video = model.h264.as_ref();
        Profile {
            whole: micros(model.whole_us * slower),
            picture: Some(picture(&model.jpeg, &model.jpeg)),
            video: video.map(|h| picture(&h.predicted[0], &h.alone)),
            candidates: model
                .cuts
                .iter()
                .map(|c| offload(&c.name, c.head_us, &c.predicted[0], &c.alone, c.tail_us))
                .collect(),
        }
    }

    pub fn captured(&self, frame: u32) -> Duration {
        self.interval * frame
    }

    fn scatter(&self, frame: u32, part: Part) -> f64 {
        let unit = |salt: u64| {
            let mixed = mix(self.seed ^ (u64::from(frame) << 8) ^ ((part as u64) << 4) ^ salt);
            (mixed >> 11) as f64 / (1u64 << 53) as f64
        };
        let normal = (-2.0 * (1.0 - unit(1)).ln()).sqrt() * (std::f64::consts::TAU * unit(2)).cos();
        (SCATTER * normal).exp()
    }
}

fn alone(coded: &Coded, frame: u32) -> (&Coded, f64) {
    let bytes = coded.bytes[frame as usize % coded.bytes.len()];
    (coded, f64::from(bytes))
}

/// Between the ages that were measured, in proportion.
fn predicted(by_age: &[Coded], frame: u32, reference: u32) -> (&Coded, f64) {
    let age = (frame.saturating_sub(reference) as usize).clamp(1, AGES[AGES.len() - 1]);
    let upper = AGES.iter().position(|a| *a >= age).unwrap_or(0);
    let bytes = |i: usize| {
        let bytes = &by_age[i].bytes;
        f64::from(bytes[frame as usize % bytes.len()])
    };
    if AGES[upper] == age {
        return (&by_age[upper], bytes(upper));
    }
    let (low, high) = (AGES[upper - 1] as f64, AGES[upper] as f64);
    let share = (age as f64 - low) / (high - low);
    (
        &by_age[upper],
        bytes(upper - 1) * (1.0 - share) + bytes(upper) * share,
    )
}

/// SplitMix64, to draw the same numbers for the same frame whoever asks.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn micros(us: f64) -> Duration {
    Duration::from_nanos((us * 1e3) as u64)
}
