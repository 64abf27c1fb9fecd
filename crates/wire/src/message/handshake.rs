// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server's answers to `Hello`, the upload of a model, and the end of a session.

use bytes::Bytes;

use super::Version;
use crate::codec::{DecodeError, EncodeError, Problem, Reader, Writer};
use crate::limits::{MAX_TEXT_BYTES, MAX_UPLOAD_CHUNK_BYTES};

/// The session is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version the session speaks: [`Version::common`] of both sides.
    pub version: Version,
    /// Program and version of the server, for logs.
    pub server: String,
    /// Chosen by the server, for the logs of both sides.
    pub session_id: u64,
    /// Largest payload plus attached picture of one frame.
    pub max_frame_bytes: u32,
    /// Largest number of frames without a result.
    pub max_in_flight: u32,
    /// UDP port of the server's monitor; 0: none. Only sent where [`Version::has_monitor`].
    pub monitor_port: u16,
    /// The server takes [`crate::Content::Video`]. Only sent where [`Version::has_video`].
    pub video: bool,
}

impl Welcome {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u16(self.version.major);
        w.u16(self.version.minor);
        w.string(&self.server, MAX_TEXT_BYTES, "Welcome.server")?;
        w.u64(self.session_id);
        w.u32(self.max_frame_bytes);
        w.u32(self.max_in_flight);
        if self.version.has_monitor() {
            w.u16(self.monitor_port);
        }
        if self.version.has_video() {
            w.u8(self.video.into());
        }
        Ok(())
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        let version = Version {
            major: r.u16("Welcome.version")?,
            minor: r.u16("Welcome.version")?,
        };
        Ok(Self {
            version,
            server: r.string(MAX_TEXT_BYTES, "Welcome.server")?.to_owned(),
            session_id: r.u64("Welcome.session_id")?,
            max_frame_bytes: r.u32("Welcome.max_frame_bytes")?,
            max_in_flight: r.u32("Welcome.max_in_flight")?,
            monitor_port: match version.has_monitor() {
                true => r.u16("Welcome.monitor_port")?,
                false => 0,
            },
            video: version.has_video() && read_flag(r, "Welcome.video")?,
        })
    }
}

fn read_flag(r: &mut Reader, what: &'static str) -> Result<bool, DecodeError> {
    let offset = r.offset();
    match r.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        v => Err(Reader::error(offset, what, Problem::BadValue(v.into()))),
    }
}

/// The server does not have the model and takes it from the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedModel {
    pub max_bytes: u64,
}

/// A piece of the model; pieces come in order and without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub offset: u64,
    pub chunk: Bytes,
}

impl Upload {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u64(self.offset);
        w.blob(&self.chunk, MAX_UPLOAD_CHUNK_BYTES, "Upload.chunk")
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        let offset = r.u64("Upload.offset")?;
        let chunk = r.blob(MAX_UPLOAD_CHUNK_BYTES, "Upload.chunk")?;
        Ok(Self {
            offset,
            chunk: Bytes::copy_from_slice(chunk),
        })
    }
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefuseCode {
    /// The major versions differ.
    Version,
    /// Token missing or wrong.
    Auth,
    /// Unknown model, and the server takes no uploads.
    ModelUnknown,
    /// The model is larger than the server takes.
    ModelTooLarge,
    /// The uploaded bytes have another hash, or are no model the server can run.
    ModelInvalid,
    /// The server serves as many clients as it may.
    Busy,
    /// The edge's candidates are no cuts of the server's model.
    CandidatesMismatch,
    Internal,
    /// The peer did not keep to the protocol.
    Protocol,
    /// A code of a later minor version.
    Other(u16),
}

impl RefuseCode {
    pub fn code(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::Auth => 2,
            Self::ModelUnknown => 3,
            Self::ModelTooLarge => 4,
            Self::ModelInvalid => 5,
            Self::Busy => 6,
            Self::CandidatesMismatch => 7,
            Self::Internal => 8,
            Self::Protocol => 9,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::Auth,
            3 => Self::ModelUnknown,
            4 => Self::ModelTooLarge,
            5 => Self::ModelInvalid,
            6 => Self::Busy,
            7 => Self::CandidatesMismatch,
            8 => Self::Internal,
            9 => Self::Protocol,
            code => Self::Other(code),
        }
    }

    /// Whether the same `Hello` may succeed later, without anyone changing settings.
    pub fn may_pass_later(self) -> bool {
        matches!(self, Self::Busy | Self::Internal)
    }
}

/// No session; the server closes the connection after it. This layout keeps its meaning in every major
/// version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuse {
    pub code: RefuseCode,
    /// For humans.
    pub text: String,
}

impl Refuse {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u16(self.code.code());
        w.string(&self.text, MAX_TEXT_BYTES, "Refuse.text")
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            code: RefuseCode::from_code(r.u16("Refuse.code")?),
            text: r.string(MAX_TEXT_BYTES, "Refuse.text")?.to_owned(),
        })
    }
}

/// Why a side ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByeReason {
    /// The stream of frames has ended.
    Done,
    /// The program is shutting down.
    Shutdown,
    /// The peer did not keep to the protocol.
    Protocol,
    /// The peer has been silent for too long.
    Timeout,
    /// A code of a later minor version.
    Other(u16),
}

impl ByeReason {
    pub fn code(self) -> u16 {
        match self {
            Self::Done => 0,
            Self::Shutdown => 1,
            Self::Protocol => 2,
            Self::Timeout => 3,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Shutdown,
            2 => Self::Protocol,
            3 => Self::Timeout,
            code => Self::Other(code),
        }
    }
}
