// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server's frames: admitted within the client's bounds, answered once.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Admitted, Answer, AnswerBody, Reply, ServerEvent, ServerSession, ServerState};
use crate::frame::{BodyKind, Content, FrameHeader, ResultHeader, Status, is_report};
use crate::message::{SendFrames, Wants};
use crate::objects;

impl ServerSession {
    /// Frames that are read or worked on.
    pub fn in_flight(&self) -> usize {
        self.frames.len()
    }

    /// Decides on the header of a new stream, before its body is read.
    ///
    /// # Errors
    /// The answer to write instead, after which the driver stops reading the stream. Before the session
    /// is open there is no answer (`None`): reset the stream with `stream_code::REFUSED`.
    pub fn admit_frame(
        &mut self,
        now: Instant,
        header: &FrameHeader,
    ) -> Result<Admitted, Option<Reply>> {
        if self.state != ServerState::Ready {
            return Err(None);
        }
        self.heard = now;
        self.expire_frames(now);
        if let Err((status, text)) = self.check(header) {
            let (header, body) = ResultHeader::failure(header.number, status, &text);
            return Err(Some(Reply {
                header: header.encode().into(),
                body: body.into(),
            }));
        }
        let deadline = now + Duration::from_micros(header.budget_us.into());
        self.frames.insert(header.number, deadline);
        // Only coded tensors can do with less.
        let tensors = matches!(header.content, Content::Candidate(_));
        let patience = header
            .patience
            .filter(|_| tensors && header.attachment_len == 0 && self.version.has_patience());
        let enough = patience.map(|patience| {
            let until = now + Duration::from_micros(patience.wait_us.into());
            (until, patience.least_bytes(header.payload_len))
        });
        Ok(Admitted { deadline, enough })
    }

    fn check(&self, header: &FrameHeader) -> Result<(), (Status, String)> {
        let (len, max) = (header.body_len(), self.config.max_frame_bytes);
        if len > u64::from(max) {
            let text = format!("the frame has {len} bytes, this server takes {max}");
            return Err((Status::BadInput, text));
        }
        let count = self.hello.as_ref().map_or(0, |h| h.candidates.len());
        if let Content::Candidate(index) = header.content
            && usize::from(index) >= count
        {
            let text = format!("candidate {index} of {count}");
            return Err((Status::BadInput, text));
        }
        if header.content == Content::Video && !self.config.video {
            let text = "this server takes no video".to_owned();
            return Err((Status::BadInput, text));
        }
        let report = header.content == Content::Report;
        if report != is_report(header.number) {
            let text = "reports, and they alone, have numbers with the highest bit".to_owned();
            return Err((Status::BadInput, text));
        }
        if report && !self.has_reports() {
            let text = "a report of a frame, which Hello ruled out".to_owned();
            return Err((Status::BadInput, text));
        }
        if header.attachment_len > 0 && self.send_frames() == SendFrames::Never {
            let text = "a picture is attached, which Hello ruled out".to_owned();
            return Err((Status::BadInput, text));
        }
        if self.frames.contains_key(&header.number) {
            let text = format!("frame {} is in flight already", header.number);
            return Err((Status::BadInput, text));
        }
        if header.budget_us == 0 {
            return Err((Status::Dropped, "no budget left".to_owned()));
        }
        let max = self.config.max_in_flight;
        if self.frames.len() >= max as usize {
            let text = format!("{max} frames are in flight, the most allowed");
            return Err((Status::Overloaded, text));
        }
        Ok(())
    }

    /// Makes the reply to an admitted frame. `None` when the frame has expired, was abandoned or is
    /// unknown: reset its stream then.
    ///
    /// An answer that the edge would not take (wrong kind, too large, not encodable) becomes the status
    /// `Internal` with a text that says so.
    pub fn finish_frame(&mut self, now: Instant, number: u64, answer: Answer) -> Option<Reply> {
        self.expire_frames(now);
        self.frames.remove(&number)?;
        let (status, kind, body) = match self.encode_body(answer.body) {
            Ok((kind, body)) => (Status::Ok, kind, body),
            Err((status, text)) => {
                let (_, text) = ResultHeader::failure(number, status, &text);
                (status, BodyKind::Text, text.into())
            }
        };
        let header = ResultHeader {
            number,
            status,
            body: kind,
            model_version: answer.model_version,
            queue_us: micros(answer.queue),
            decode_us: micros(answer.decode),
            compute_us: micros(answer.compute),
            body_len: body.len() as u32,
            missing: match self.version.has_patience() {
                true => answer.missing,
                false => 0,
            },
        };
        Some(Reply {
            header: header.encode().into(),
            body,
        })
    }

    fn encode_body(&self, body: AnswerBody) -> Result<(BodyKind, Bytes), (Status, String)> {
        let internal = |text: String| (Status::Internal, text);
        let wants = self.hello.as_ref().map(|hello| hello.wants);
        let (kind, bytes) = match body {
            AnswerBody::None => (BodyKind::None, Bytes::new()),
            AnswerBody::Objects(objects) if wants == Some(Wants::Objects) => {
                let bytes = objects::encode(objects).map_err(|e| internal(e.to_string()))?;
                (BodyKind::Objects, bytes.into())
            }
            AnswerBody::Tensors(bytes) if wants == Some(Wants::Tensors) => {
                (BodyKind::Tensors, bytes)
            }
            AnswerBody::Objects(_) | AnswerBody::Tensors(_) => {
                let text = "the server made a kind of result the edge did not ask for";
                return Err(internal(text.into()));
            }
            AnswerBody::Failure(status, text) => return Err((status, text.to_owned())),
        };
        let max = self
            .hello
            .as_ref()
            .map_or(0, |hello| hello.max_result_bytes);
        if bytes.len() as u64 > u64::from(max) {
            let text = format!("the result has {} bytes, the edge takes {max}", bytes.len());
            return Err(internal(text));
        }
        Ok((kind, bytes))
    }

    /// The edge has reset the frame's stream, or it broke. False when it was not in flight.
    pub fn abandon_frame(&mut self, number: u64) -> bool {
        self.frames.remove(&number).is_some()
    }

    pub(super) fn expire_frames(&mut self, now: Instant) {
        let due = self.frames.iter().filter(|&(_, &deadline)| deadline <= now);
        let mut numbers: Vec<u64> = due.map(|(&number, _)| number).collect();
        numbers.sort_unstable();
        for number in numbers {
            self.frames.remove(&number);
            self.events.push_back(ServerEvent::FrameExpired { number });
        }
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
