// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The edge's frames: opened within the window, matched with their results by number.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{EdgeEvent, EdgeSession, EdgeState, Failure, FrameOpening, OpenError, ResultBody};
use crate::flight::{Ending, Flight, Rejection};
use crate::frame::{BodyKind, Content, FrameHeader, ResultHeader, Status, is_report};
use crate::message::{Wants, Welcome};
use crate::objects;

impl EdgeSession {
    /// Frames without a result.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The most frames that may be in flight.
    pub fn window(&self) -> u32 {
        let server = self.welcome.as_ref().map_or(0, |w| w.max_in_flight);
        self.max_in_flight.min(server)
    }

    /// Changes this side's share of the window; frames in flight stay.
    pub fn set_max_in_flight(&mut self, frames: u32) {
        self.max_in_flight = frames;
    }

    /// Puts a frame in flight. The driver writes the header this returns, the payload and the
    /// attachment to a new stream.
    ///
    /// # Errors
    /// When the frame may not be sent; nothing has changed then.
    pub fn open_frame(&mut self, now: Instant, frame: &FrameOpening) -> Result<Bytes, OpenError> {
        self.check(now, frame)?;
        // A server of before would wait all the same.
        let knows = |w: &Welcome| w.version.has_patience();
        let known = self.welcome.as_ref().is_some_and(knows);
        let header = FrameHeader {
            number: frame.number,
            content: frame.content,
            model_version: frame.model_version,
            pts_ns: frame.pts_ns,
            budget_us: Self::budget_us(now, frame.deadline),
            placement: frame.placement,
            picture_size: frame.picture_size,
            // `check` has compared the sum with a u32.
            payload_len: frame.payload_len as u32,
            attachment_len: frame.attachment_len as u32,
            patience: frame.patience.filter(|_| known),
            longest_us: frame.longest.map(at_least_1_us),
        };
        let bytes = header.encode()?.into();
        let flight = Flight {
            sent_at: now,
            deadline: frame.deadline,
            content: frame.content,
        };
        self.flights.begin(frame.number, flight);
        Ok(bytes)
    }

    fn check(&self, now: Instant, frame: &FrameOpening) -> Result<(), OpenError> {
        let welcome = match (self.state, &self.welcome) {
            (EdgeState::Ready, Some(welcome)) => welcome,
            (state, _) => return Err(OpenError::NotReady(state)),
        };
        if self.draining {
            return Err(OpenError::Draining);
        }
        if self.flights.len() >= self.window() as usize {
            return Err(OpenError::WindowFull(self.window()));
        }
        if self.flights.knows(frame.number) {
            return Err(OpenError::NumberUsed(frame.number));
        }
        if frame.deadline <= now {
            return Err(OpenError::Late);
        }
        let (len, max) = (
            (frame.payload_len as u64).saturating_add(frame.attachment_len as u64),
            welcome.max_frame_bytes,
        );
        if len > u64::from(max) {
            return Err(OpenError::TooLarge { len, max });
        }
        if let Content::Candidate(index) = frame.content {
            let count = self.hello.candidates.len();
            if usize::from(index) >= count {
                return Err(OpenError::NoSuchCandidate { index, count });
            }
        }
        if frame.content == Content::Video && !welcome.video {
            return Err(OpenError::NoVideo);
        }
        let report = frame.content == Content::Report;
        if report != is_report(frame.number) || (report && !welcome.version.has_reports()) {
            return Err(OpenError::NoReport);
        }
        if frame.attachment_len > 0 && self.pictures_every == 0 {
            return Err(OpenError::PictureNotAllowed);
        }
        Ok(())
    }

    /// Gives a frame up; the driver resets its stream with `stream_code::CANCELLED`. False when it is
    /// not in flight.
    pub fn cancel_frame(&mut self, number: u64) -> bool {
        self.flights.end(number, Ending::Cancelled).is_some()
    }

    /// The stream of this frame was reset by the server or broke.
    pub fn stream_failed(&mut self, number: u64, why: impl Into<String>) {
        self.fail(number, Failure::Stream(why.into()));
    }

    /// Whether a result with this header may have its body read from the stream of frame `stream`.
    /// When not, the frame has failed: the driver stops the stream.
    pub fn accept_result_header(
        &mut self,
        now: Instant,
        stream: u64,
        header: &ResultHeader,
    ) -> bool {
        self.heard_on_stream(now);
        self.expire_frames(now);
        if let Some(why) = self.flights.rejection(stream) {
            self.reject(stream, why);
            return false;
        }
        let (len, max) = (header.body_len, self.hello.max_result_bytes);
        let why = if header.number != stream {
            Failure::WrongNumber(header.number)
        } else if len > max {
            Failure::TooLarge { len, max }
        } else {
            return true;
        };
        self.fail(stream, why);
        false
    }

    /// Takes the result that came on the stream of frame `stream`. Gives rise to exactly one of the
    /// events `Result`, `Failed` and `Rejected` (besides `Expired`, if that was due).
    pub fn handle_result(&mut self, now: Instant, stream: u64, header: ResultHeader, body: Bytes) {
        if !self.accept_result_header(now, stream, &header) {
            return;
        }
        match self.read_body(now, stream, &header, body) {
            Ok(body) => {
                if let Some(flight) = self.flights.end(stream, Ending::Answered) {
                    self.events.push_back(EdgeEvent::Result {
                        number: stream,
                        header,
                        body,
                        took: now.saturating_duration_since(flight.sent_at),
                    });
                }
            }
            Err(why) => self.fail(stream, why),
        }
    }

    fn read_body(
        &self,
        now: Instant,
        number: u64,
        header: &ResultHeader,
        body: Bytes,
    ) -> Result<ResultBody, Failure> {
        let (announced, there) = (header.body_len, body.len());
        if announced as usize != there {
            return Err(Failure::BodyLength { announced, there });
        }
        let status = header.status;
        if status == Status::Overloaded && header.queue_us > 0 {
            let queue = Duration::from_micros(header.queue_us.into());
            let sent = self.flights.sent_at(number).unwrap_or(now);
            let took = now.saturating_duration_since(sent);
            return Err(Failure::Refused { queue, took });
        }
        if status != Status::Ok {
            let text = match header.body {
                BodyKind::Text => String::from_utf8_lossy(&body).into_owned(),
                _ => String::new(),
            };
            return Err(Failure::Server { status, text });
        }
        let content = self.flights.content(number);
        let report = content == Some(Content::Report);
        match (header.body, self.hello.wants) {
            (BodyKind::None, _) if report || content == Some(Content::Video) => {
                Ok(ResultBody::None)
            }
            (BodyKind::Objects, Wants::Objects) if !report => objects::decode(&body)
                .map(ResultBody::Objects)
                .map_err(Failure::BadBody),
            (BodyKind::Tensors, Wants::Tensors) if !report => Ok(ResultBody::Tensors(body)),
            (kind, _) => Err(Failure::WrongBody(kind)),
        }
    }

    pub(super) fn expire_frames(&mut self, now: Instant) {
        for number in self.flights.expire(now) {
            self.events.push_back(EdgeEvent::Expired { number });
        }
    }

    /// Ends a frame that is in flight; a frame that is not has had its last event.
    fn fail(&mut self, number: u64, why: Failure) {
        if self.flights.end(number, Ending::Cancelled).is_some() {
            self.events.push_back(EdgeEvent::Failed { number, why });
        }
    }

    fn reject(&mut self, number: u64, why: Rejection) {
        if self.state != EdgeState::Closed {
            self.events.push_back(EdgeEvent::Rejected { number, why });
        }
    }

    fn heard_on_stream(&mut self, now: Instant) {
        if self.heard.is_some() {
            self.heard = Some(now);
        }
    }
}

fn at_least_1_us(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1)
}
