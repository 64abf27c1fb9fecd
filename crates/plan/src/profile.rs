// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is known of this machine, of the way to the server, and of the server.

use std::time::Duration;

use crate::Choice;

/// What one way of giving work to the server costs, as measured on this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offload {
    /// For explanations: the names of the tensors that cross, or `server`.
    pub name: String,
    /// Inference here before the data leave; zero for the picture, however it is coded.
    pub head: Duration,
    /// From the head's output (or the prepared picture) to bytes.
    pub encode: Duration,
    /// Bytes a frame on the network.
    pub bytes: u64,
    /// Bytes of a frame that stands alone: of cuts the first ones after a switch, of a video one after the server has lost
    /// an earlier one.
    pub fresh_bytes: u64,
    /// From bytes back to tensors, were it done here.
    pub decode: Duration,
    /// The rest of the inference, were it done here.
    pub tail: Duration,
}

/// What inference costs on this machine, before any frame has passed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The whole model here.
    pub whole: Duration,
    /// The picture to the server; `None` where that is not possible.
    pub picture: Option<Offload>,
    /// Likewise as video.
    pub video: Option<Offload>,
    /// In the order of [`Choice::Candidate`](crate::Choice::Candidate).
    pub candidates: Vec<Offload>,
}

/// The way to a server that is connected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    /// Round trip of a small packet.
    pub rtt: Duration,
    /// From here to the server, bytes a second; `None` until measured.
    pub bandwidth: Option<f64>,
    /// Until the link is done with what was sent before.
    pub backlog: Duration,
    pub server: Server,
}

/// The server at the other end.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// How many times faster than this machine; stands in where a time has not been measured.
    pub speed: f64,
    /// How long a frame waits before the server begins with it.
    pub queue: Duration,
    /// Decoding and inference from the picture, measured there.
    pub picture: Option<Duration>,
    /// Likewise from the video.
    pub video: Option<Duration>,
    /// Decoding and tail for each candidate, measured there; may be shorter than the table of candidates.
    pub tails: Vec<Option<Duration>>,
}

impl Default for Server {
    /// As fast as this machine, idle, nothing measured.
    fn default() -> Self {
        Self {
            speed: 1.0,
            queue: Duration::ZERO,
            picture: None,
            video: None,
            tails: Vec::new(),
        }
    }
}

impl Profile {
    /// What giving the work of this choice to the server costs; `None` for [`Choice::Here`] and for what there is not.
    pub fn offload(&self, choice: Choice) -> Option<&Offload> {
        match choice {
            Choice::Here => None,
            Choice::Picture => self.picture.as_ref(),
            Choice::Video => self.video.as_ref(),
            Choice::Candidate(i) => self.candidates.get(i),
        }
    }

    pub fn offload_mut(&mut self, choice: Choice) -> Option<&mut Offload> {
        match choice {
            Choice::Here => None,
            Choice::Picture => self.picture.as_mut(),
            Choice::Video => self.video.as_mut(),
            Choice::Candidate(i) => self.candidates.get_mut(i),
        }
    }

    /// All that can be given to the server.
    pub fn offloads(&self) -> impl Iterator<Item = (Choice, &Offload)> {
        let picture = self.picture.iter().map(|o| (Choice::Picture, o));
        let video = self.video.iter().map(|o| (Choice::Video, o));
        let candidates = self.candidates.iter().enumerate();
        let candidates = candidates.map(|(i, o)| (Choice::Candidate(i), o));
        picture.chain(video).chain(candidates)
    }

    pub fn offloads_mut(&mut self) -> impl Iterator<Item = (Choice, &mut Offload)> {
        let picture = self.picture.iter_mut().map(|o| (Choice::Picture, o));
        let video = self.video.iter_mut().map(|o| (Choice::Video, o));
        let candidates = self.candidates.iter_mut().enumerate();
        let candidates = candidates.map(|(i, o)| (Choice::Candidate(i), o));
        picture.chain(video).chain(candidates)
    }

    /// What is left to do here when the server does not answer a frame of this choice.
    pub fn rest(&self, choice: Choice) -> Duration {
        match choice {
            Choice::Candidate(i) => self.candidates.get(i).map_or(self.whole, |c| c.tail),
            Choice::Here | Choice::Picture | Choice::Video => self.whole,
        }
    }
}

impl Server {
    /// Decoding and inference for a frame of this choice, if it was measured there.
    pub fn measured(&self, choice: Choice) -> Option<Duration> {
        match choice {
            Choice::Here => None,
            Choice::Picture => self.picture,
            Choice::Video => self.video,
            Choice::Candidate(i) => self.tails.get(i).copied().flatten(),
        }
    }

    /// Time there for what would take `here` on this machine, unless it was measured.
    pub(crate) fn time(&self, here: Duration, measured: Option<Duration>) -> Duration {
        let speed = if self.speed > 0.0 { self.speed } else { 1.0 };
        let scaled = || Duration::try_from_secs_f64(here.as_secs_f64() / speed);
        measured.unwrap_or_else(|| scaled().unwrap_or(Duration::MAX))
    }
}
