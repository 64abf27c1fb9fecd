// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What goes into a [`ServerSession`](super::ServerSession) and what comes out.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::close::CloseReason;
use crate::frame::Status;
use crate::message::Hello;
use crate::objects::WireObject;
use crate::token::Token;
use crate::weights::WeightsEvent;

/// Where a server session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// Waits for `Hello`.
    AwaitHello,
    /// The driver has to answer `ServerEvent::Hello` or `ServerEvent::ModelUploaded`.
    Deciding,
    /// The edge sends the model.
    Uploading,
    /// Frames may come.
    Ready,
    Closed,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTiming {
    /// From the connection to a whole `Hello`.
    pub hello: Duration,
    /// Longest pause between two pieces of the model.
    pub upload_stall: Duration,
    /// From one `ServerStatus` to the next while the driver decides.
    pub status_interval: Duration,
    /// Longest silence of the edge after `Welcome`.
    pub dead_after: Duration,
    /// Longest silence of the edge about an update of the weights.
    pub weights: Duration,
}

impl Default for ServerTiming {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(5),
            upload_stall: Duration::from_secs(15),
            status_interval: Duration::from_secs(1),
            dead_after: Duration::from_secs(10),
            weights: Duration::from_secs(60),
        }
    }
}

/// See [`ServerSession::new`](super::ServerSession::new).
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Program and version, told to admitted clients.
    pub name: String,
    /// The token clients must show; `None` when clients are told apart otherwise (loopback, client
    /// certificates).
    pub token: Option<Token>,
    /// Largest payload plus attached picture of one frame.
    pub max_frame_bytes: u32,
    /// Largest number of frames of this client at once.
    pub max_in_flight: u32,
    /// Largest model taken from a client.
    pub max_model_bytes: u64,
    /// UDP port of the monitor, told to clients that know it; 0: none.
    pub monitor_port: u16,
    /// Whether [`crate::Content::Video`] is taken.
    pub video: bool,
    pub timing: ServerTiming,
}

/// What the driver has to act on.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent {
    /// A client that may use the server (its token has been checked) wants a session: answer with
    /// `accept`, `need_model` or `refuse`.
    Hello(Box<Hello>),
    /// The model has arrived with the size and hash of `Hello`: answer with `accept` or `refuse`.
    ModelUploaded(Bytes),
    /// A frame's budget is used up: drop the work and reset its stream with `stream_code::DEADLINE`.
    FrameExpired { number: u64 },
    /// About an update of the weights.
    Weights(WeightsEvent),
    /// No frame of a version below this one will come any more.
    WeightsRetired { below: u64 },
    /// Last event. Frames in flight are of no more use.
    Closed(CloseReason),
}

/// A frame that may be read and worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// When its budget is used up.
    pub deadline: Instant,
    /// Until when its whole payload is waited for, and how many bytes of it are enough then; `None`: as long as the budget
    /// lasts.
    pub enough: Option<(Instant, u64)>,
}

/// What to send back for a frame, and how long it took.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    pub model_version: u64,
    pub queue: Duration,
    pub decode: Duration,
    pub compute: Duration,
    pub body: AnswerBody<'a>,
    /// Bytes of the payload that it does without.
    pub missing: u32,
}

/// See [`Answer`].
#[derive(Clone, Debug)]
pub enum AnswerBody<'a> {
    /// To a report, or to a picture of a video that was only decoded.
    None,
    /// In pixels of the frame.
    Objects(&'a [WireObject]),
    /// The model's outputs, coded by `tensorcode`.
    Tensors(Bytes),
    /// No result; the text is for humans.
    Failure(Status, &'a str),
}

/// Bytes for a frame's stream, header first; the stream is finished after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub header: Bytes,
    pub body: Bytes,
}
