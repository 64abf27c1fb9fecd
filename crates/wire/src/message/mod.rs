// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Control messages: what the two sides say on the control stream.
//!
//! On the wire a message is `length: u32`, `type: u16`, `body: length bytes`. Within a major version
//! fields are only ever appended and types only ever added, so a reader ignores bytes after the
//! fields it knows and skips types it does not know.

mod handshake;
mod hello;
mod load;
mod weights;

pub use handshake::{ByeReason, NeedModel, Refuse, RefuseCode, Upload, Welcome};
pub use hello::{Hello, SendFrames, Wants};
pub use load::{Load, Pong, ServerPhase, ServerStatus};
pub use weights::{WeightsCode, WeightsData, WeightsOffer, WeightsRefuse};

use crate::codec::{DecodeError, EncodeError, Problem, Reader, Writer};
use crate::limits::{MAX_CONTROL_BYTES, MAX_TEXT_BYTES};

/// Bytes before the body of each control message.
pub const MESSAGE_PREFIX_BYTES: usize = 6;

/// Protocol version. Peers of one major version understand each other; the session speaks the smaller
/// minor version of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
}

impl Version {
    /// What this crate speaks.
    pub const OURS: Self = Self { major: 1, minor: 7 };

    /// Whether updates of the weights can be sent.
    pub fn has_weights(self) -> bool {
        self.minor >= 1
    }

    /// Whether `Welcome` tells the port of the UDP monitor.
    pub fn has_monitor(self) -> bool {
        self.minor >= 2
    }

    /// Whether `Welcome` tells whether the server takes [`crate::Content::Video`].
    pub fn has_video(self) -> bool {
        self.minor >= 3
    }

    /// Whether the edge may tell of its frames in [`crate::Content::Report`].
    pub fn has_reports(self) -> bool {
        self.minor >= 4
    }

    /// Whether a frame may be answered from a part of its payload.
    pub fn has_patience(self) -> bool {
        self.minor >= 5
    }

    /// Whether the server keeps what tensors are predicted from of each candidate, and not only of the last one.
    pub fn keeps_each_candidate(self) -> bool {
        self.minor >= 6
    }

    /// The version both sides speak, or `None` when their major versions differ.
    pub fn common(self, other: Self) -> Option<Self> {
        (self.major == other.major).then(|| self.min(other))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A control message. `E` marks those the edge sends, `S` those the server sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// E: first message of a session.
    Hello(Box<Hello>),
    /// S: the session is open, frames may come.
    Welcome(Welcome),
    /// S: the model is unknown here; send it.
    NeedModel(NeedModel),
    /// E: a piece of the model.
    Upload(Upload),
    /// E: all of the model has been sent.
    UploadDone,
    /// S: so many bytes of the model have arrived.
    UploadAck { received: u64 },
    /// S: no session; the server closes after it.
    Refuse(Refuse),
    /// E: are you there, and how busy?
    Ping { id: u64 },
    /// S: answer to the ping of this `id`.
    Pong(Pong),
    /// S: what the server is doing, without having been asked.
    ServerStatus(ServerStatus),
    /// S: send pictures of every n-th frame along (0: no more), if `send_frames` allows it.
    RequestFrames { every: u32 },
    /// E, S: the sender ends the session.
    Bye { reason: ByeReason, text: String },
    /// E, S: here is an update of the weights.
    WeightsOffer(WeightsOffer),
    /// E, S: a piece of the update.
    WeightsData(WeightsData),
    /// E, S: so many bytes of the update are here; asks for the next.
    WeightsAck { version: u64, received: u64 },
    /// E, S: the update was taken, frames may use this version.
    WeightsReady { version: u64 },
    /// E, S: the update was not taken.
    WeightsRefuse(WeightsRefuse),
    /// E: no frame of a version below this one will come any more.
    WeightsRetire { below: u64 },
}

impl Message {
    /// The type code on the wire.
    pub fn code(&self) -> u16 {
        match self {
            Self::Hello(_) => 1,
            Self::Welcome(_) => 2,
            Self::NeedModel(_) => 3,
            Self::Upload(_) => 4,
            Self::UploadDone => 5,
            Self::UploadAck { .. } => 6,
            Self::Refuse(_) => 7,
            Self::Ping { .. } => 8,
            Self::Pong(_) => 9,
            Self::ServerStatus(_) => 10,
            Self::RequestFrames { .. } => 11,
            Self::Bye { .. } => 12,
            Self::WeightsOffer(_) => 13,
            Self::WeightsData(_) => 14,
            Self::WeightsAck { .. } => 15,
            Self::WeightsReady { .. } => 16,
            Self::WeightsRefuse(_) => 17,
            Self::WeightsRetire { .. } => 18,
        }
    }

    /// The name docs/protocol.md uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Welcome(_) => "Welcome",
            Self::NeedModel(_) => "NeedModel",
            Self::Upload(_) => "Upload",
            Self::UploadDone => "UploadDone",
            Self::UploadAck { .. } => "UploadAck",
            Self::Refuse(_) => "Refuse",
            Self::Ping { .. } => "Ping",
            Self::Pong(_) => "Pong",
            Self::ServerStatus(_) => "ServerStatus",
            Self::RequestFrames { .. } => "RequestFrames",
            Self::Bye { .. } => "Bye",
            Self::WeightsOffer(_) => "WeightsOffer",
            Self::WeightsData(_) => "WeightsData",
            Self::WeightsAck { .. } => "WeightsAck",
            Self::WeightsReady { .. } => "WeightsReady",
            Self::WeightsRefuse(_) => "WeightsRefuse",
            Self::WeightsRetire { .. } => "WeightsRetire",
        }
    }

    /// The whole message with its prefix, ready for the stream.
    ///
    /// # Errors
    /// When a field is beyond its bound in [`crate::limits`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::new();
        w.u32(0);
        w.u16(self.code());
        self.write_body(&mut w)?;
        let len = w.len() - MESSAGE_PREFIX_BYTES;
        if len > MAX_CONTROL_BYTES {
            return Err(EncodeError::TooLong {
                what: "control message",
                len,
                max: MAX_CONTROL_BYTES,
            });
        }
        w.patch_u32(0, len as u32);
        Ok(w.into_vec())
    }

    fn write_body(&self, w: &mut Writer) -> Result<(), EncodeError> {
        match self {
            Self::Hello(m) => m.write(w)?,
            Self::Welcome(m) => m.write(w)?,
            Self::NeedModel(m) => w.u64(m.max_bytes),
            Self::Upload(m) => m.write(w)?,
            Self::UploadDone => {}
            Self::UploadAck { received } => w.u64(*received),
            Self::Refuse(m) => m.write(w)?,
            Self::Ping { id } => w.u64(*id),
            Self::Pong(m) => m.write(w)?,
            Self::ServerStatus(m) => m.write(w)?,
            Self::RequestFrames { every } => w.u32(*every),
            Self::Bye { reason, text } => {
                w.u16(reason.code());
                w.string(text, MAX_TEXT_BYTES, "Bye.text")?;
            }
            Self::WeightsOffer(m) => m.write(w),
            Self::WeightsData(m) => m.write(w)?,
            Self::WeightsAck { version, received } => {
                w.u64(*version);
                w.u64(*received);
            }
            Self::WeightsReady { version } => w.u64(*version),
            Self::WeightsRefuse(m) => m.write(w)?,
            Self::WeightsRetire { below } => w.u64(*below),
        }
        Ok(())
    }

    /// Decodes the body of a message of type `code`; `None` for a type this version does not know.
    ///
    /// # Errors
    /// Names the field and its offset in `body`. A `Hello` of another major version gives
    /// [`Problem::Version`], since only its first four bytes have a known meaning.
    pub fn decode(code: u16, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        if body.len() > MAX_CONTROL_BYTES {
            let (len, max) = (body.len() as u64, MAX_CONTROL_BYTES as u64);
            let problem = Problem::TooLong { len, max };
            return Err(Reader::error(0, "control message", problem));
        }
        let r = &mut Reader::new(body);
        Ok(Some(match code {
            1 => Self::Hello(Box::new(Hello::read(r)?)),
            2 => Self::Welcome(Welcome::read(r)?),
            3 => Self::NeedModel(NeedModel {
                max_bytes: r.u64("NeedModel.max_bytes")?,
            }),
            4 => Self::Upload(Upload::read(r)?),
            5 => Self::UploadDone,
            6 => Self::UploadAck {
                received: r.u64("UploadAck.received")?,
            },
            7 => Self::Refuse(Refuse::read(r)?),
            8 => Self::Ping {
                id: r.u64("Ping.id")?,
            },
            9 => Self::Pong(Pong::read(r)?),
            10 => Self::ServerStatus(ServerStatus::read(r)?),
            11 => Self::RequestFrames {
                every: r.u32("RequestFrames.every")?,
            },
            12 => Self::Bye {
                reason: ByeReason::from_code(r.u16("Bye.reason")?),
                text: r.string(MAX_TEXT_BYTES, "Bye.text")?.to_owned(),
            },
            13 => Self::WeightsOffer(WeightsOffer::read(r)?),
            14 => Self::WeightsData(WeightsData::read(r)?),
            15 => Self::WeightsAck {
                version: r.u64("WeightsAck.version")?,
                received: r.u64("WeightsAck.received")?,
            },
            16 => Self::WeightsReady {
                version: r.u64("WeightsReady.version")?,
            },
            17 => Self::WeightsRefuse(WeightsRefuse::read(r)?),
            18 => Self::WeightsRetire {
                below: r.u64("WeightsRetire.below")?,
            },
            _ => return Ok(None),
        }))
    }
}
