// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `Hello`: who the edge is, which model it runs and where that model may be cut.

use super::Version;
use crate::codec::{DecodeError, EncodeError, Problem, Reader, Writer};
use crate::limits::{
    MAX_CANDIDATES, MAX_CUT_TENSORS, MAX_DIMS, MAX_NAME_BYTES, MAX_SIDECAR_BYTES, MAX_TEXT_BYTES,
    MAX_TOKEN_BYTES,
};
use crate::token::Token;

/// In which form the edge wants results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Wants {
    /// Objects, decoded by the server from the sidecar's head.
    Objects = 0,
    /// The model's raw output tensors.
    Tensors = 1,
}

/// Whether pictures may leave the edge for the server's own pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SendFrames {
    Never = 0,
    /// Only after `RequestFrames`.
    OnRequest = 1,
    Always = 2,
}

/// First message of a session. The first four bytes (the version) keep their meaning in every major
/// version, so that a server can refuse a version it does not speak by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub version: Version,
    /// Program and version, for logs.
    pub agent: String,
    /// Empty when none is used.
    pub token: Token,
    /// SHA-256 of the model file as it would be uploaded.
    pub model_hash: [u8; 32],
    /// Bytes of the model file as it would be uploaded.
    pub model_size: u64,
    /// Text of the `.modelinfo` sidecar, also when the edge guessed it.
    pub sidecar: String,
    /// The model's input.
    pub input_name: String,
    /// Its shape with every axis fixed.
    pub input_shape: Vec<u32>,
    /// Names of the tensors that cross, for each candidate; frames name candidates by index.
    pub candidates: Vec<Vec<String>>,
    pub wants: Wants,
    pub send_frames: SendFrames,
    /// Largest result body the edge takes.
    pub max_result_bytes: u32,
}

impl Hello {
    /// Whether this edge tells of each of its frames in a report.
    pub fn has_reports(&self) -> bool {
        self.version.has_reports() && self.send_frames != SendFrames::Never
    }
}

impl Hello {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u16(self.version.major);
        w.u16(self.version.minor);
        w.string(&self.agent, MAX_TEXT_BYTES, "Hello.agent")?;
        w.blob(self.token.as_bytes(), MAX_TOKEN_BYTES, "Hello.token")?;
        w.raw(&self.model_hash);
        w.u64(self.model_size);
        w.string(&self.sidecar, MAX_SIDECAR_BYTES, "Hello.sidecar")?;
        w.name(&self.input_name, MAX_NAME_BYTES, "Hello.input_name")?;
        w.count(self.input_shape.len(), MAX_DIMS, "Hello.input_shape")?;
        for &dim in &self.input_shape {
            w.u32(dim);
        }
        w.count(self.candidates.len(), MAX_CANDIDATES, "Hello.candidates")?;
        for candidate in &self.candidates {
            let what = "Hello.candidates[]";
            if candidate.is_empty() {
                return Err(EncodeError::Empty { what });
            }
            w.count(candidate.len(), MAX_CUT_TENSORS, what)?;
            for name in candidate {
                w.name(name, MAX_NAME_BYTES, "Hello.candidates[][]")?;
            }
        }
        w.u8(self.wants as u8);
        w.u8(self.send_frames as u8);
        w.u32(self.max_result_bytes);
        Ok(())
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        let version = Version {
            major: r.u16("Hello.version")?,
            minor: r.u16("Hello.version")?,
        };
        if version.common(Version::OURS).is_none() {
            return Err(Reader::error(0, "Hello.version", Problem::Version(version)));
        }
        Ok(Self {
            version,
            agent: r.string(MAX_TEXT_BYTES, "Hello.agent")?.to_owned(),
            token: Token::new(r.blob(MAX_TOKEN_BYTES, "Hello.token")?),
            model_hash: r.array("Hello.model_hash")?,
            model_size: r.u64("Hello.model_size")?,
            sidecar: r.string(MAX_SIDECAR_BYTES, "Hello.sidecar")?.to_owned(),
            input_name: r.name(MAX_NAME_BYTES, "Hello.input_name")?.to_owned(),
            input_shape: read_shape(r)?,
            candidates: read_candidates(r)?,
            wants: read_wants(r)?,
            send_frames: read_send_frames(r)?,
            max_result_bytes: r.u32("Hello.max_result_bytes")?,
        })
    }
}

fn read_shape(r: &mut Reader) -> Result<Vec<u32>, DecodeError> {
    let what = "Hello.input_shape";
    let n = r.count(MAX_DIMS, 4, what)?;
    (0..n).map(|_| r.u32(what)).collect()
}

/// An empty candidate or name is refused: neither means anything, and both would let few bytes on the
/// wire become many in memory.
fn read_candidates(r: &mut Reader) -> Result<Vec<Vec<String>>, DecodeError> {
    let n = r.count(MAX_CANDIDATES, 9, "Hello.candidates")?;
    let mut candidates = Vec::with_capacity(n);
    for _ in 0..n {
        let (offset, what) = (r.offset(), "Hello.candidates[]");
        let n = r.count(MAX_CUT_TENSORS, 5, what)?;
        if n == 0 {
            return Err(Reader::error(offset, what, Problem::Empty));
        }
        let mut names = Vec::with_capacity(n);
        for _ in 0..n {
            names.push(r.name(MAX_NAME_BYTES, "Hello.candidates[][]")?.to_owned());
        }
        candidates.push(names);
    }
    Ok(candidates)
}

fn read_wants(r: &mut Reader) -> Result<Wants, DecodeError> {
    let (offset, what) = (r.offset(), "Hello.wants");
    match r.u8(what)? {
        0 => Ok(Wants::Objects),
        1 => Ok(Wants::Tensors),
        v => Err(Reader::error(offset, what, Problem::BadValue(v.into()))),
    }
}

fn read_send_frames(r: &mut Reader) -> Result<SendFrames, DecodeError> {
    let (offset, what) = (r.offset(), "Hello.send_frames");
    match r.u8(what)? {
        0 => Ok(SendFrames::Never),
        1 => Ok(SendFrames::OnRequest),
        2 => Ok(SendFrames::Always),
        v => Err(Reader::error(offset, what, Problem::BadValue(v.into()))),
    }
}
