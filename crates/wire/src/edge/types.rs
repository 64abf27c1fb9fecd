// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What goes into an [`EdgeSession`](super::EdgeSession) and what comes out.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::close::CloseReason;
use crate::codec::{DecodeError, EncodeError};
use crate::flight::Rejection;
use crate::frame::{BodyKind, Content, ResultHeader, Status};
use crate::message::{Hello, Refuse, ServerStatus, Welcome};
use crate::objects::WireObject;
use crate::patience::Patience;
use crate::weights::WeightsEvent;

/// Where an edge session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EdgeState {
    /// Not started.
    Idle,
    /// Waits for the server's answer to `Hello`.
    HelloSent,
    /// The server wants the model, or has it and prepares it.
    Uploading,
    /// Frames may be sent.
    Ready,
    Closed,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeTiming {
    /// Longest silence of the server after `Hello`.
    pub handshake: Duration,
    /// Longest silence of the server while it is sent the model or prepares it.
    pub upload_stall: Duration,
    /// Longest time from `Hello`, or the last byte of the model, to `Welcome`, even if the server keeps
    /// saying that it is preparing.
    pub prepare: Duration,
    /// From one ping to the next.
    pub ping_interval: Duration,
    /// Longest silence of the server after `Welcome`.
    pub dead_after: Duration,
    /// Longest silence of the server about an update of the weights.
    pub weights: Duration,
}

impl Default for EdgeTiming {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            upload_stall: Duration::from_secs(15),
            prepare: Duration::from_secs(300),
            ping_interval: Duration::from_millis(500),
            dead_after: Duration::from_secs(3),
            weights: Duration::from_secs(60),
        }
    }
}

/// See [`EdgeSession::new`](super::EdgeSession::new).
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Its version is overwritten with the one this crate speaks.
    pub hello: Hello,
    /// The window is the smaller of this and `Welcome.max_in_flight`.
    pub max_in_flight: u32,
    pub timing: EdgeTiming,
}

/// What the driver has to act on.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeEvent {
    /// Frames may be sent.
    Connected(Welcome),
    /// The server wants the model: answer with `provide_model`, or `close`.
    ModelNeeded { max_bytes: u64 },
    /// So much of the model has arrived.
    UploadProgress { received: u64, total: u64 },
    /// What the server says about itself; `load()` has its numbers.
    Status(ServerStatus),
    /// A pong has come: `rtt()` and `load()` are fresh.
    Pong { rtt: Duration },
    /// The server wants a picture of every n-th frame (0: none any more). Only reported when
    /// `send_frames` allows it.
    FramesWanted { every: u32 },
    /// The result of a frame in flight.
    Result {
        number: u64,
        header: ResultHeader,
        body: ResultBody,
        /// From `open_frame` to now.
        took: Duration,
    },
    /// A frame in flight will have no result.
    Failed { number: u64, why: Failure },
    /// A frame's deadline has come: reset its stream with `stream_code::DEADLINE`.
    Expired { number: u64 },
    /// A result that belongs to no frame in flight was thrown away.
    Rejected { number: u64, why: Rejection },
    /// About an update of the weights.
    Weights(WeightsEvent),
    /// The server refuses the session; `Closed` follows.
    Refused(Refuse),
    /// Last event. Every frame in flight has had its `Failed` before.
    Closed(CloseReason),
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultBody {
    /// In pixels of the frame.
    Objects(Vec<WireObject>),
    /// The model's outputs, coded by `tensorcode`.
    Tensors(Bytes),
    /// Acknowledges a report, or a picture of a video that was decoded and no more.
    None,
}

/// Why a frame has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the server could not complete it ({status:?}): {text}")]
    Server { status: Status, text: String },
    /// As soon as it had come. `took`: from `open_frame` to now.
    #[error("the server has too much to do: it would have waited there for {queue:?}")]
    Refused { queue: Duration, took: Duration },
    #[error("the stream answered for frame {0}")]
    WrongNumber(u64),
    #[error("the result's body is {0:?}, which was not asked for")]
    WrongBody(BodyKind),
    #[error("the result's body has {there} bytes, {announced} were announced")]
    BodyLength { announced: u32, there: usize },
    #[error("the result has {len} bytes, the limit is {max}")]
    TooLarge { len: u32, max: u32 },
    #[error("the result is not readable: {0}")]
    BadBody(DecodeError),
    #[error("its stream failed: {0}")]
    Stream(String),
    #[error("the session has ended")]
    SessionEnded,
}

/// A frame that is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameOpening {
    /// Not used before in this session.
    pub number: u64,
    pub content: Content,
    pub model_version: u64,
    pub pts_ns: Option<u64>,
    /// When a result is of no more use.
    pub deadline: Instant,
    /// See [`crate::FrameHeader::placement`].
    pub placement: [f32; 6],
    pub picture_size: (u16, u16),
    pub payload_len: usize,
    /// 0: no picture for the server's own pipeline.
    pub attachment_len: usize,
    /// With less than the whole payload the server may go on; left out where it is of a version that cannot.
    pub patience: Option<Patience>,
    /// The longest that the server may take once it has all of it; beyond that it refuses the frame at once, from version 1.7 on.
    pub longest: Option<Duration>,
}

/// Why a frame cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the session is not ready ({0:?})")]
    NotReady(EdgeState),
    #[error("the server is shutting down")]
    Draining,
    #[error("{0} frames are in flight, the most allowed")]
    WindowFull(u32),
    #[error("frame {0} has been sent before")]
    NumberUsed(u64),
    #[error("the frame's deadline has passed")]
    Late,
    #[error("the frame has {len} bytes, the server takes {max}")]
    TooLarge { len: u64, max: u32 },
    #[error("candidate {index} of {count}")]
    NoSuchCandidate { index: u16, count: usize },
    #[error("the server takes no video")]
    NoVideo,
    #[error(
        "reports are for servers of version 1.4 on, and they alone have numbers with the highest bit"
    )]
    NoReport,
    #[error("pictures may not leave this edge, or the server has not asked for them")]
    PictureNotAllowed,
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
