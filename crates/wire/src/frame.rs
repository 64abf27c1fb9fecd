// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The headers of a frame's own stream: what the edge sends before the payload, and what the server
//! sends before the result.
//!
//! Each header begins with its own length. A later minor version may append fields, which a reader of
//! this version skips.

use crate::codec::{DecodeError, EncodeError, Problem, Reader, Writer, truncated};
use crate::limits::{MAX_CANDIDATES, MAX_HEADER_BYTES, MAX_TEXT_BYTES};
use crate::patience::{PATIENCE_BYTES, Patience};

/// Bytes of a [`FrameHeader`] in version 1.0.
pub const FRAME_HEADER_BYTES: usize = 68;
/// Bytes of a [`ResultHeader`] in version 1.0.
pub const RESULT_HEADER_BYTES: usize = 36;
/// Bytes of [`FrameHeader::longest_us`], which version 1.7 appends.
const LONGEST_BYTES: usize = 4;
/// Bytes of [`ResultHeader::missing`], which version 1.5 appends where some are missing.
const MISSING_BYTES: usize = 4;

/// Set in the number of a report, and in no other: the frame that it tells of may be under way itself.
pub const REPORT_BIT: u64 = 1 << 63;

pub(crate) fn is_report(number: u64) -> bool {
    number & REPORT_BIT != 0
}

/// What a frame's payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// The tensors that cross the candidate cut of this index in `Hello.candidates`, coded by
    /// `tensorcode`; the server runs the tail.
    Candidate(u16),
    /// The model-sized picture as JPEG; the server runs the whole model.
    Picture,
    /// The model-sized picture as the next one of a video ([`crate::VideoHeader`], then an H.264 access unit); the server
    /// runs the whole model. Where `Welcome.video` allows it. An answer without body says that the picture was decoded too
    /// late for more.
    Video,
    /// What became of a frame, for the server's own pipeline: the edge's result as one object of JSON, and the frame's
    /// picture as attachment where it is wanted. Its number is the frame's with [`REPORT_BIT`]. The server answers with
    /// status ok and no body. From version 1.4 on.
    Report,
}

impl Content {
    const PICTURE: u16 = 0xFFFF;
    const REPORT: u16 = 0xFFFE;
    const VIDEO: u16 = 0xFFFD;

    pub fn code(self) -> u16 {
        match self {
            Self::Candidate(index) => index,
            Self::Picture => Self::PICTURE,
            Self::Video => Self::VIDEO,
            Self::Report => Self::REPORT,
        }
    }

    pub fn from_code(code: u16) -> Option<Self> {
        match code {
            Self::PICTURE => Some(Self::Picture),
            Self::VIDEO => Some(Self::Video),
            Self::REPORT => Some(Self::Report),
            index if usize::from(index) < MAX_CANDIDATES => Some(Self::Candidate(index)),
            _ => None,
        }
    }
}

/// In front of each frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameHeader {
    /// Chosen by the edge, unique in the session.
    pub number: u64,
    pub content: Content,
    /// Version of the weights with which the head ran; the tail must have the same.
    pub model_version: u64,
    /// Presentation time of the frame in the edge's stream, ns.
    pub pts_ns: Option<u64>,
    /// Time left until the edge stops waiting, µs, when the header was written.
    pub budget_us: u32,
    /// Where the picture lies in the frame: scale x and y, offset x and y, frame width and height, so
    /// that the server can give objects in pixels of the frame. All finite, scales and sizes positive.
    pub placement: [f32; 6],
    /// Width and height of the model-sized picture.
    pub picture_size: (u16, u16),
    /// Bytes of payload that follow the header.
    pub payload_len: u32,
    /// Bytes of a JPEG picture of the frame that follow the payload of a report, for the server's own pipeline; 0 unless
    /// `send_frames` and `RequestFrames` call for it.
    pub attachment_len: u32,
    /// `None`: the server waits for the whole payload as long as the budget lasts. From version 1.5 on.
    pub patience: Option<Patience>,
    /// The longest that the server may take from the last byte of the payload to the answer, µs, at least 1: where it would take
    /// longer, because others wait, it is to refuse the frame at once. `None`: it is not to. From version 1.7 on.
    pub longest_us: Option<u32>,
}

impl FrameHeader {
    /// Payload and attachment together.
    pub fn body_len(&self) -> u64 {
        u64::from(self.payload_len) + u64::from(self.attachment_len)
    }

    /// # Errors
    /// When `placement` holds what [`FrameHeader::decode`] would refuse, or the candidate index is
    /// beyond the limit.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if let Content::Candidate(index) = self.content
            && Content::from_code(index) != Some(self.content)
        {
            return Err(EncodeError::TooLarge {
                what: "FrameHeader.content",
                value: index.into(),
                max: MAX_CANDIDATES as u64 - 1,
            });
        }
        let appended = match (self.patience, self.longest_us) {
            (_, Some(_)) => PATIENCE_BYTES + LONGEST_BYTES,
            (Some(_), None) => PATIENCE_BYTES,
            (None, None) => 0,
        };
        let mut w = Writer::new();
        w.u16((FRAME_HEADER_BYTES + appended) as u16);
        w.u16(self.content.code());
        w.u64(self.number);
        w.u64(self.model_version);
        w.u64(self.pts_ns.unwrap_or(u64::MAX));
        w.u32(self.budget_us);
        for (i, &v) in self.placement.iter().enumerate() {
            let what = "FrameHeader.placement";
            if is_extent(i) && v <= 0.0 {
                return Err(EncodeError::BadFloat { what });
            }
            w.finite_f32(v, what)?;
        }
        w.u16(self.picture_size.0);
        w.u16(self.picture_size.1);
        w.u32(self.payload_len);
        w.u32(self.attachment_len);
        match (&self.patience, self.longest_us) {
            (Some(patience), _) => patience.write(&mut w),
            (None, Some(_)) => Patience::write_none(&mut w),
            (None, None) => {}
        }
        if let Some(longest) = self.longest_us {
            w.u32(longest);
        }
        Ok(w.into_vec())
    }

    /// Decodes the header at the start of `bytes` and tells its length; `None` when more bytes are
    /// needed.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let what = "FrameHeader.length";
        let Some(mut r) = header(bytes, FRAME_HEADER_BYTES, what)? else {
            return Ok(None);
        };
        let len = r.remaining() + r.offset();
        let offset = r.offset();
        let code = r.u16("FrameHeader.content")?;
        let content = Content::from_code(code).ok_or_else(|| {
            let problem = Problem::BadValue(code.into());
            Reader::error(offset, "FrameHeader.content", problem)
        })?;
        let this = Self {
            content,
            number: r.u64("FrameHeader.number")?,
            model_version: r.u64("FrameHeader.model_version")?,
            pts_ns: Some(r.u64("FrameHeader.pts_ns")?).filter(|&pts| pts != u64::MAX),
            budget_us: r.u32("FrameHeader.budget_us")?,
            placement: read_placement(&mut r)?,
            picture_size: (
                r.u16("FrameHeader.picture_size")?,
                r.u16("FrameHeader.picture_size")?,
            ),
            payload_len: r.u32("FrameHeader.payload_len")?,
            attachment_len: r.u32("FrameHeader.attachment_len")?,
            patience: Patience::read(&mut r)?,
            longest_us: match r.remaining() < LONGEST_BYTES {
                true => None,
                false => Some(r.u32("FrameHeader.longest")?).filter(|&us| us > 0),
            },
        };
        Ok(Some((this, len)))
    }
}

/// Scales and sizes, as opposed to offsets, among the six numbers of a placement.
fn is_extent(index: usize) -> bool {
    !(2..4).contains(&index)
}

fn read_placement(r: &mut Reader) -> Result<[f32; 6], DecodeError> {
    let mut placement = [0.0; 6];
    for (i, v) in placement.iter_mut().enumerate() {
        let (offset, what) = (r.offset(), "FrameHeader.placement");
        *v = r.finite_f32(what)?;
        if is_extent(i) && *v <= 0.0 {
            return Err(Reader::error(offset, what, Problem::BadFloat));
        }
    }
    Ok(placement)
}

/// A reader over the header at the start of `bytes`, past its length field; `None` when it is not all
/// there yet.
fn header<'a>(
    bytes: &'a [u8],
    least: usize,
    what: &'static str,
) -> Result<Option<Reader<'a>>, DecodeError> {
    let Some(prefix) = bytes.first_chunk::<2>() else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes(*prefix));
    if len < least {
        let problem = Problem::Short {
            needed: least,
            left: len,
        };
        return Err(Reader::error(0, what, problem));
    }
    if len > MAX_HEADER_BYTES {
        let (len, max) = (len as u64, MAX_HEADER_BYTES as u64);
        return Err(Reader::error(0, what, Problem::TooLong { len, max }));
    }
    let Some(bytes) = bytes.get(..len) else {
        return Ok(None);
    };
    let mut r = Reader::new(bytes);
    r.u16(what)?;
    Ok(Some(r))
}

/// What became of a frame on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Ok,
    /// The budget was used up before the compute began or ended.
    Dropped,
    /// The server has more work than it can do, or the window was overrun.
    Overloaded,
    /// The payload could not be decoded or does not fit the model.
    BadInput,
    /// The server's weights have another version than the head that made the tensors.
    WrongModel,
    Internal,
    /// The payload is predicted from a frame that the server does not have (any more): send one that is not.
    NoReference,
    /// Of the payload came too little, or not what is needed most, in the time that the edge gave it. From version 1.5 on.
    Incomplete,
    /// A code of a later minor version; a failure.
    Other(u8),
}

impl Status {
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Dropped => 1,
            Self::Overloaded => 2,
            Self::BadInput => 3,
            Self::WrongModel => 4,
            Self::Internal => 5,
            Self::NoReference => 6,
            Self::Incomplete => 7,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Dropped,
            2 => Self::Overloaded,
            3 => Self::BadInput,
            4 => Self::WrongModel,
            5 => Self::Internal,
            6 => Self::NoReference,
            7 => Self::Incomplete,
            code => Self::Other(code),
        }
    }
}

/// What a result's body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BodyKind {
    /// Nothing (answer to a report, or to a picture of a video that was only decoded).
    None = 0,
    /// [`crate::objects`], in pixels of the frame.
    Objects = 1,
    /// The model's outputs, coded by `tensorcode`.
    Tensors = 2,
    /// UTF-8 text for humans, with every status but ok.
    Text = 3,
}

/// In front of each result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultHeader {
    /// That of the frame.
    pub number: u64,
    pub status: Status,
    pub body: BodyKind,
    /// Version of the weights with which the tail ran.
    pub model_version: u64,
    /// From the last byte of the payload until work on it began.
    pub queue_us: u32,
    /// Payload to tensors.
    pub decode_us: u32,
    /// Tail of the model and reading of its outputs.
    pub compute_us: u32,
    /// Bytes of body that follow the header.
    pub body_len: u32,
    /// Bytes of the frame's payload that the server did without; 0: it had them all. From version 1.5 on.
    pub missing: u32,
}

impl ResultHeader {
    /// The answer to a frame that failed: header and body.
    pub fn failure(number: u64, status: Status, text: &str) -> (Self, Vec<u8>) {
        let text = truncated(text, MAX_TEXT_BYTES);
        let header = Self {
            number,
            status,
            body: BodyKind::Text,
            model_version: 0,
            queue_us: 0,
            decode_us: 0,
            compute_us: 0,
            body_len: text.len() as u32,
            missing: 0,
        };
        (header, text.into())
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let appended = if self.missing > 0 { MISSING_BYTES } else { 0 };
        w.u16((RESULT_HEADER_BYTES + appended) as u16);
        w.u8(self.status.code());
        w.u8(self.body as u8);
        w.u64(self.number);
        w.u64(self.model_version);
        w.u32(self.queue_us);
        w.u32(self.decode_us);
        w.u32(self.compute_us);
        w.u32(self.body_len);
        if self.missing > 0 {
            w.u32(self.missing);
        }
        w.into_vec()
    }

    /// Decodes the header at the start of `bytes` and tells its length; `None` when more bytes are
    /// needed.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let what = "ResultHeader.length";
        let Some(mut r) = header(bytes, RESULT_HEADER_BYTES, what)? else {
            return Ok(None);
        };
        let len = r.remaining() + r.offset();
        let this = Self {
            status: Status::from_code(r.u8("ResultHeader.status")?),
            body: read_body_kind(&mut r)?,
            number: r.u64("ResultHeader.number")?,
            model_version: r.u64("ResultHeader.model_version")?,
            queue_us: r.u32("ResultHeader.queue_us")?,
            decode_us: r.u32("ResultHeader.decode_us")?,
            compute_us: r.u32("ResultHeader.compute_us")?,
            body_len: r.u32("ResultHeader.body_len")?,
            missing: match r.remaining() {
                MISSING_BYTES.. => r.u32("ResultHeader.missing")?,
                _ => 0,
            },
        };
        Ok(Some((this, len)))
    }
}

fn read_body_kind(r: &mut Reader) -> Result<BodyKind, DecodeError> {
    let (offset, what) = (r.offset(), "ResultHeader.body");
    Ok(match r.u8(what)? {
        0 => BodyKind::None,
        1 => BodyKind::Objects,
        2 => BodyKind::Tensors,
        3 => BodyKind::Text,
        v => return Err(Reader::error(offset, what, Problem::BadValue(v.into()))),
    })
}
