// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server's side of a session with one edge.

mod frames;
mod types;
mod weights;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

pub use types::{
    Admitted, Answer, AnswerBody, Reply, ServerConfig, ServerEvent, ServerState, ServerTiming,
};

use crate::close::CloseReason;
use crate::codec::{DecodeError, EncodeError, Problem, truncated};
use crate::framing::MessageReader;
use crate::limits::{MAX_CANDIDATES, MAX_TEXT_BYTES, MAX_TOKEN_BYTES};
use crate::message::{
    ByeReason, Hello, Load, Message, NeedModel, Pong, Refuse, RefuseCode, SendFrames, ServerPhase,
    ServerStatus, Upload, Version, Welcome,
};
use crate::outbox::Outbox;
use crate::upload;
use crate::weights::Weights;

/// State machine of the server's side; see the crate's documentation for how to drive it.
///
/// ```text
/// AwaitHello --Hello--> Deciding --accept--> Ready --close, Bye, silence--> Closed
///                        |    ^
///             need_model |    | UploadDone       (refuse in any of them: Closed)
///                        v    |
///                      Uploading
/// ```
#[derive(Debug)]
pub struct ServerSession {
    config: ServerConfig,
    state: ServerState,
    reader: MessageReader,
    outbox: Outbox,
    events: VecDeque<ServerEvent>,
    hello: Option<Box<Hello>>,
    version: Version,
    upload: Option<upload::Receiver>,
    weights: Weights,
    load: Load,
    /// Deadlines of the frames that are read or worked on.
    frames: HashMap<u64, Instant>,
    heard: Instant,
    next_status: Instant,
}

impl ServerSession {
    /// A client has connected.
    ///
    /// # Errors
    /// When the server's name or token is longer than the protocol allows, or the token is empty, which
    /// every client without one would match.
    pub fn new(now: Instant, config: ServerConfig) -> Result<Self, EncodeError> {
        check_text(config.name.len(), MAX_TEXT_BYTES, "ServerConfig.name")?;
        if let Some(token) = &config.token {
            let what = "ServerConfig.token";
            if token.is_empty() {
                return Err(EncodeError::Empty { what });
            }
            check_text(token.as_bytes().len(), MAX_TOKEN_BYTES, what)?;
        }
        Ok(Self {
            config,
            state: ServerState::AwaitHello,
            reader: MessageReader::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            hello: None,
            version: Version::OURS,
            upload: None,
            weights: Weights::default(),
            load: Load::default(),
            frames: HashMap::new(),
            heard: now,
            next_status: now,
        })
    }

    pub fn state(&self) -> ServerState {
        self.state
    }

    /// What the client said about itself; `None` before its token has been checked.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_deref()
    }

    /// Takes bytes of the control stream.
    pub fn handle_control(&mut self, now: Instant, bytes: &[u8]) {
        if self.state == ServerState::Closed {
            return;
        }
        if self.state != ServerState::AwaitHello {
            // Before Hello the clock runs from the connection, so that dripping bytes gain no time.
            self.heard = now;
        }
        self.reader.push(bytes);
        while self.state != ServerState::Closed {
            match self.reader.next_message() {
                Ok(Some(message)) => self.handle_message(now, message),
                Ok(None) => break,
                Err(error) => self.undecodable(&error),
            }
            if self.outbox.overflows() {
                self.protocol_error("the edge does not read its answers".into());
            }
        }
    }

    fn undecodable(&mut self, error: &DecodeError) {
        if let Problem::Version(theirs) = error.problem {
            let text = format!(
                "this server speaks protocol version {}, the edge {theirs}; update the older one",
                Version::OURS
            );
            self.end_refused(RefuseCode::Version, &text);
        } else {
            self.protocol_error(error.to_string());
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        use ServerState::{AwaitHello, Ready, Uploading};
        match (self.state, message) {
            (AwaitHello, Message::Hello(hello)) => self.greeted(now, hello),
            (Uploading, Message::Upload(upload)) => self.uploaded(&upload),
            (Uploading, Message::UploadDone) => self.upload_done(now),
            (AwaitHello, message) => {
                self.protocol_error(format!("{} before Hello", message.name()));
            }
            (_, Message::Ping { id }) => {
                let load = self.load.clone();
                self.send(&Message::Pong(Pong { id, load }));
            }
            (
                Ready,
                message @ (Message::WeightsOffer(_)
                | Message::WeightsData(_)
                | Message::WeightsAck { .. }
                | Message::WeightsReady { .. }
                | Message::WeightsRefuse(_)),
            ) => self.about_weights(now, message),
            (Ready, Message::WeightsRetire { below }) => {
                self.events.push_back(ServerEvent::WeightsRetired { below });
            }
            (_, Message::Bye { reason, text }) => self.end(CloseReason::Peer { reason, text }),
            (state, message) => {
                self.protocol_error(format!("{} in state {state:?}", message.name()));
            }
        }
    }

    fn greeted(&mut self, now: Instant, hello: Box<Hello>) {
        if let Some(token) = &self.config.token
            && *token != hello.token
        {
            let text = "the authentication token is missing or wrong; set auth-token on the edge to \
                        that of the server";
            return self.end_refused(RefuseCode::Auth, text);
        }
        // Within one major version, `Hello::read` has seen to that.
        self.version = Version::OURS.min(hello.version);
        self.heard = now;
        self.deciding(now);
        self.hello = Some(hello.clone());
        self.events.push_back(ServerEvent::Hello(hello));
    }

    fn deciding(&mut self, now: Instant) {
        self.state = ServerState::Deciding;
        self.next_status = now + self.config.timing.status_interval;
    }

    fn uploaded(&mut self, upload: &Upload) {
        let Some(receiver) = &mut self.upload else {
            return;
        };
        match receiver.push(upload) {
            Ok(()) => {
                let received = receiver.received();
                self.send(&Message::UploadAck { received });
            }
            Err(text) => self.end_refused(RefuseCode::Protocol, &text),
        }
    }

    fn upload_done(&mut self, now: Instant) {
        let Some(receiver) = self.upload.take() else {
            return;
        };
        match receiver.finish() {
            Ok(model) => {
                self.deciding(now);
                self.events.push_back(ServerEvent::ModelUploaded(model));
            }
            Err(text) => self.end_refused(RefuseCode::ModelInvalid, &text),
        }
    }

    /// Opens the session. Does nothing unless a decision is due.
    pub fn accept(&mut self, now: Instant, session_id: u64) {
        if self.state != ServerState::Deciding {
            return;
        }
        self.state = ServerState::Ready;
        self.heard = now;
        self.send(&Message::Welcome(Welcome {
            version: self.version,
            server: self.config.name.clone(),
            session_id,
            max_frame_bytes: self.config.max_frame_bytes,
            max_in_flight: self.config.max_in_flight,
            monitor_port: match self.version.has_monitor() {
                true => self.config.monitor_port,
                false => 0,
            },
            video: self.version.has_video() && self.config.video,
        }));
    }

    /// Asks for the model, or refuses it when it is larger than `max_model_bytes`. Does nothing unless
    /// a decision about `Hello` is due.
    pub fn need_model(&mut self, now: Instant) {
        let (ServerState::Deciding, Some(hello)) = (self.state, &self.hello) else {
            return;
        };
        let (size, max_bytes) = (hello.model_size, self.config.max_model_bytes);
        if size > max_bytes {
            let text = format!("the model has {size} bytes, this server takes {max_bytes}");
            return self.end_refused(RefuseCode::ModelTooLarge, &text);
        }
        self.upload = Some(upload::Receiver::new(size, hello.model_hash));
        self.state = ServerState::Uploading;
        self.heard = now;
        self.send(&Message::NeedModel(NeedModel { max_bytes }));
    }

    /// Turns the client away; `text` tells a human what to do. Does nothing once the session is open.
    pub fn refuse(&mut self, code: RefuseCode, text: &str) {
        if !matches!(self.state, ServerState::Ready | ServerState::Closed) {
            self.end_refused(code, text);
        }
    }

    /// What the next pongs tell. More tail times than candidates can exist are cut off.
    pub fn set_load(&mut self, mut load: Load) {
        load.tail_us.truncate(MAX_CANDIDATES);
        self.load = load;
    }

    /// Asks for a picture of every n-th frame (0: no more). False when the session is not open or the
    /// edge sends none on request.
    pub fn request_frames(&mut self, every: u32) -> bool {
        let on_request = self.send_frames() == SendFrames::OnRequest;
        let possible = self.state == ServerState::Ready && on_request;
        if possible {
            self.send(&Message::RequestFrames { every });
        }
        possible
    }

    /// Whether the edge tells of each of its frames in a report: then these, and not the answers to its frames, are what
    /// became of them.
    pub fn has_reports(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.has_reports())
    }

    fn send_frames(&self) -> SendFrames {
        let hello = self.hello.as_ref();
        hello.map_or(SendFrames::Never, |hello| hello.send_frames)
    }

    /// Tells the edge to send no more frames, because the server is about to end.
    pub fn drain(&mut self, text: &str) {
        if self.state == ServerState::Ready {
            self.send_status(ServerPhase::Draining, text);
        }
    }

    fn send_status(&mut self, phase: ServerPhase, text: &str) {
        let text = truncated(text, MAX_TEXT_BYTES).to_owned();
        let load = self.load.clone();
        self.send(&Message::ServerStatus(ServerStatus { phase, text, load }));
    }

    /// The next bytes for the control stream.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = match self.state {
            ServerState::Closed => return None,
            ServerState::Deciding => self.next_status,
            _ => self.heard + self.silence_limit(),
        };
        let ready = self.state == ServerState::Ready;
        let weights = self.weights.next_time().filter(|_| ready);
        let frames = self.frames.values().copied();
        frames.chain([first]).chain(weights).min()
    }

    fn silence_limit(&self) -> std::time::Duration {
        let timing = &self.config.timing;
        match self.state {
            ServerState::AwaitHello => timing.hello,
            ServerState::Uploading => timing.upload_stall,
            _ => timing.dead_after,
        }
    }

    /// Does what is due at `now`: signs of life, expired frames, a dead or too slow client.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire_frames(now);
        self.send_weights(now);
        match self.state {
            ServerState::Closed => {}
            ServerState::Deciding => {
                if self.next_status <= now {
                    self.next_status = now + self.config.timing.status_interval;
                    self.send_status(ServerPhase::Preparing, "");
                }
            }
            state => {
                if self.heard + self.silence_limit() <= now {
                    self.timed_out(match state {
                        ServerState::AwaitHello => "no Hello from the client",
                        ServerState::Uploading => "the upload of the model stalled",
                        _ => "nothing heard from the edge",
                    });
                }
            }
        }
    }

    /// Ends the session from this side with `Bye`.
    pub fn close(&mut self, reason: ByeReason, text: &str) {
        if self.state == ServerState::Closed {
            return;
        }
        self.say_bye(reason, text);
        let text = text.to_owned();
        self.end(CloseReason::Local { reason, text });
    }

    /// The connection or the control stream is gone.
    pub fn connection_lost(&mut self, reason: impl Into<String>) {
        self.end(CloseReason::Lost(reason.into()));
    }

    fn protocol_error(&mut self, text: String) {
        if self.state == ServerState::Ready {
            self.say_bye(ByeReason::Protocol, &text);
        } else {
            self.say_refuse(RefuseCode::Protocol, &text);
        }
        self.end(CloseReason::Protocol(text));
    }

    fn timed_out(&mut self, what: &'static str) {
        self.say_bye(ByeReason::Timeout, what);
        self.end(CloseReason::TimedOut(what));
    }

    fn end_refused(&mut self, code: RefuseCode, text: &str) {
        let refuse = self.say_refuse(code, text);
        self.end(CloseReason::Refused(refuse));
    }

    fn say_refuse(&mut self, code: RefuseCode, text: &str) -> Refuse {
        self.outbox.clear();
        let text = truncated(text, MAX_TEXT_BYTES).to_owned();
        let refuse = Refuse { code, text };
        self.send(&Message::Refuse(refuse.clone()));
        refuse
    }

    /// A client that has not shown who it is hears nothing but a refusal.
    fn say_bye(&mut self, reason: ByeReason, text: &str) {
        self.outbox.clear();
        if self.hello.is_some() {
            let text = truncated(text, MAX_TEXT_BYTES).to_owned();
            self.send(&Message::Bye { reason, text });
        }
    }

    /// Only for messages that are within their bounds by construction.
    fn send(&mut self, message: &Message) {
        let sent = self.outbox.push(message);
        debug_assert!(sent.is_ok(), "{message:?}: {sent:?}");
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == ServerState::Closed {
            return;
        }
        self.state = ServerState::Closed;
        self.upload = None;
        self.weights = Weights::default();
        self.frames.clear();
        self.events.push_back(ServerEvent::Closed(reason));
    }
}

fn check_text(len: usize, max: usize, what: &'static str) -> Result<(), EncodeError> {
    if len > max {
        return Err(EncodeError::TooLong { what, len, max });
    }
    Ok(())
}
