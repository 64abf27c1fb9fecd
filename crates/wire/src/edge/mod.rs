// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The edge's side of a session.

mod frames;
mod types;
mod weights;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use types::{
    EdgeConfig, EdgeEvent, EdgeState, EdgeTiming, Failure, FrameOpening, OpenError, ResultBody,
};

use crate::close::CloseReason;
use crate::codec::{EncodeError, truncated};
use crate::flight::Flights;
use crate::framing::MessageReader;
use crate::limits::MAX_TEXT_BYTES;
use crate::message::{
    ByeReason, Hello, Load, Message, Pong, Refuse, SendFrames, ServerPhase, Version, Welcome,
};
use crate::outbox::Outbox;
use crate::rtt::RttEstimator;
use crate::upload;
use crate::weights::Weights;

/// Pings that are remembered while their pongs are out.
const MAX_PINGS: usize = 32;

/// State machine of the edge's side; see the crate's documentation for how to drive it.
///
/// ```text
/// Idle --start--> HelloSent --Welcome--> Ready --close, Bye, silence--> Closed
///                     |                    ^
///                     +--NeedModel--> Uploading --Welcome--+   (Refuse in any of them: Closed)
/// ```
#[derive(Debug)]
pub struct EdgeSession {
    hello: Hello,
    hello_bytes: Bytes,
    timing: EdgeTiming,
    max_in_flight: u32,
    state: EdgeState,
    reader: MessageReader,
    outbox: Outbox,
    events: VecDeque<EdgeEvent>,
    upload: Option<upload::Sender>,
    welcome: Option<Welcome>,
    load: Option<Load>,
    draining: bool,
    pictures_every: u32,
    flights: Flights,
    weights: Weights,
    rtt: Option<RttEstimator>,
    pings: VecDeque<(u64, Instant)>,
    next_ping_id: u64,
    next_ping: Option<Instant>,
    /// When anything last came from the server; set by `start`.
    heard: Option<Instant>,
    /// When the wait for `Welcome` has lasted long enough.
    prepare_until: Option<Instant>,
}

impl EdgeSession {
    /// # Errors
    /// When `hello` holds something beyond its bound in [`crate::limits`].
    pub fn new(config: EdgeConfig) -> Result<Self, EncodeError> {
        let mut hello = config.hello;
        hello.version = Version::OURS;
        let message = Message::Hello(Box::new(hello.clone()));
        Ok(Self {
            pictures_every: u32::from(hello.send_frames == SendFrames::Always),
            hello_bytes: message.encode()?.into(),
            hello,
            timing: config.timing,
            max_in_flight: config.max_in_flight,
            state: EdgeState::Idle,
            reader: MessageReader::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            upload: None,
            welcome: None,
            load: None,
            draining: false,
            flights: Flights::default(),
            weights: Weights::default(),
            rtt: None,
            pings: VecDeque::new(),
            next_ping_id: 1,
            next_ping: None,
            heard: None,
            prepare_until: None,
        })
    }

    /// The connection is there and the control stream open: says `Hello`. Later calls do nothing.
    pub fn start(&mut self, now: Instant) {
        if self.state == EdgeState::Idle {
            self.state = EdgeState::HelloSent;
            self.heard = Some(now);
            self.prepare_until = Some(now + self.timing.prepare);
        }
    }

    pub fn state(&self) -> EdgeState {
        self.state
    }

    /// What the server said when it opened the session.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// The server's load as last reported.
    pub fn load(&self) -> Option<&Load> {
        self.load.as_ref()
    }

    /// Round trips of pings, the server's control thread included; `None` before the first pong.
    pub fn rtt(&self) -> Option<&RttEstimator> {
        self.rtt.as_ref()
    }

    /// The server finishes what it has and takes no more.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Of every n-th frame the server's pipeline gets a picture; 0: of none.
    pub fn pictures_every(&self) -> u32 {
        self.pictures_every
    }

    /// Takes bytes of the control stream.
    pub fn handle_control(&mut self, now: Instant, bytes: &[u8]) {
        if matches!(self.state, EdgeState::Idle | EdgeState::Closed) {
            return;
        }
        self.heard = Some(now);
        self.reader.push(bytes);
        while self.state != EdgeState::Closed {
            match self.reader.next_message() {
                Ok(Some(message)) => self.handle_message(now, message),
                Ok(None) => return,
                Err(error) => self.protocol_error(error.to_string()),
            }
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        use EdgeState::{HelloSent, Ready, Uploading};
        match (self.state, message) {
            (HelloSent | Uploading, Message::Welcome(welcome)) => self.welcomed(now, welcome),
            (HelloSent, Message::NeedModel(need)) => {
                self.state = Uploading;
                let max_bytes = need.max_bytes;
                self.events.push_back(EdgeEvent::ModelNeeded { max_bytes });
            }
            (Uploading, Message::UploadAck { received }) => self.acknowledged(now, received),
            (HelloSent | Uploading, Message::Refuse(refuse)) => self.refused(refuse),
            (Ready, Message::Pong(pong)) => self.pong(now, pong),
            (_, Message::ServerStatus(status)) => {
                self.load = Some(status.load.clone());
                self.draining = status.phase == ServerPhase::Draining;
                self.events.push_back(EdgeEvent::Status(status));
            }
            (Ready, Message::RequestFrames { every }) => {
                if self.hello.send_frames == SendFrames::OnRequest {
                    self.pictures_every = every;
                    self.events.push_back(EdgeEvent::FramesWanted { every });
                }
            }
            (
                Ready,
                message @ (Message::WeightsOffer(_)
                | Message::WeightsData(_)
                | Message::WeightsAck { .. }
                | Message::WeightsReady { .. }
                | Message::WeightsRefuse(_)),
            ) => self.about_weights(now, message),
            (_, Message::Bye { reason, text }) => self.end(CloseReason::Peer { reason, text }),
            (state, message) => {
                self.protocol_error(format!("{} in state {state:?}", message.name()));
            }
        }
    }

    fn welcomed(&mut self, now: Instant, welcome: Welcome) {
        match Version::OURS.common(welcome.version) {
            Some(version) if version == welcome.version => {}
            _ => {
                let text = format!(
                    "Welcome for version {}, Hello offered {}",
                    welcome.version,
                    Version::OURS
                );
                return self.protocol_error(text);
            }
        }
        self.state = EdgeState::Ready;
        self.upload = None;
        self.prepare_until = None;
        self.next_ping = Some(now);
        self.welcome = Some(welcome.clone());
        self.events.push_back(EdgeEvent::Connected(welcome));
        self.ping_when_due(now);
    }

    fn acknowledged(&mut self, now: Instant, received: u64) {
        let Some(upload) = &mut self.upload else {
            return self.protocol_error("UploadAck before any Upload".into());
        };
        if !upload.acknowledge(received) {
            return self.protocol_error(format!("UploadAck of {received} bytes, never sent"));
        }
        let total = upload.total();
        self.prepare_until = Some(now + self.timing.prepare);
        let progress = EdgeEvent::UploadProgress { received, total };
        self.events.push_back(progress);
    }

    fn refused(&mut self, refuse: Refuse) {
        self.events.push_back(EdgeEvent::Refused(refuse.clone()));
        self.end(CloseReason::Refused(refuse));
    }

    fn pong(&mut self, now: Instant, pong: Pong) {
        self.load = Some(pong.load);
        let Some(at) = self.pings.iter().position(|&(id, _)| id == pong.id) else {
            return;
        };
        let (_, sent_at) = self.pings[at];
        // Pongs come in the order of their pings, so those before will not be answered any more.
        self.pings.drain(..=at);
        let rtt = now.saturating_duration_since(sent_at);
        match &mut self.rtt {
            Some(estimator) => estimator.update(rtt),
            None => self.rtt = Some(RttEstimator::new(rtt)),
        }
        self.events.push_back(EdgeEvent::Pong { rtt });
    }

    /// Answers `ModelNeeded` with the bytes whose hash and size `Hello` told. Does nothing in any
    /// other situation.
    pub fn provide_model(&mut self, now: Instant, model: Bytes) {
        if self.state != EdgeState::Uploading || self.upload.is_some() {
            return;
        }
        if model.len() as u64 != self.hello.model_size {
            let text = format!(
                "the model has {} bytes, Hello announced {}",
                model.len(),
                self.hello.model_size
            );
            return self.close(ByeReason::Shutdown, &text);
        }
        self.upload = Some(upload::Sender::new(model));
        // The driver may have needed long to read the file; the server's silence begins now.
        self.heard = Some(now);
        self.prepare_until = Some(now + self.timing.prepare);
    }

    /// The next bytes for the control stream. Pieces of the model come one at a time: ask again once
    /// they are written.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.state != EdgeState::Idle && !self.hello_bytes.is_empty() {
            return Some(std::mem::take(&mut self.hello_bytes));
        }
        if let Some(bytes) = self.outbox.pop() {
            return Some(bytes);
        }
        let message = self.upload.as_mut()?.next_message()?;
        // A chunk is far below the bound of a message, so this cannot fail.
        message.encode().ok().map(Bytes::from)
    }

    pub fn poll_event(&mut self) -> Option<EdgeEvent> {
        self.events.pop_front()
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (second, third) = match self.state {
            EdgeState::Idle | EdgeState::Closed => return None,
            EdgeState::HelloSent | EdgeState::Uploading => (self.prepare_until, None),
            EdgeState::Ready => (self.next_ping, self.weights.next_time()),
        };
        let first = self.silence_ends();
        [first, second, third, self.flights.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the server's silence has lasted too long. While the driver fetches the model the server
    /// has nothing to say.
    fn silence_ends(&self) -> Option<Instant> {
        let limit = match self.state {
            EdgeState::Ready => self.timing.dead_after,
            EdgeState::Uploading if self.upload.is_none() => return None,
            EdgeState::Uploading => self.timing.upload_stall,
            _ => self.timing.handshake,
        };
        Some(self.heard? + limit)
    }

    /// Does what is due at `now`: pings, expired frames, a dead or too slow server.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.expire_frames(now);
        match self.state {
            EdgeState::Idle | EdgeState::Closed => {}
            EdgeState::HelloSent | EdgeState::Uploading => {
                if due(self.silence_ends()) {
                    self.timed_out("no answer from the server during the handshake");
                } else if due(self.prepare_until) {
                    self.timed_out("the server did not finish preparing the model");
                }
            }
            EdgeState::Ready => {
                if due(self.silence_ends()) {
                    self.timed_out("nothing heard from the server");
                } else {
                    self.ping_when_due(now);
                    self.send_weights(now);
                }
            }
        }
    }

    fn ping_when_due(&mut self, now: Instant) {
        if self.next_ping.is_none_or(|at| at > now) {
            return;
        }
        let id = self.next_ping_id;
        self.next_ping_id += 1;
        if self.pings.len() == MAX_PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((id, now));
        self.next_ping = Some(now + self.timing.ping_interval);
        self.send(&Message::Ping { id });
    }

    /// Ends the session from this side with `Bye`.
    pub fn close(&mut self, reason: ByeReason, text: &str) {
        if self.state == EdgeState::Closed {
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
        self.say_bye(ByeReason::Protocol, &text);
        self.end(CloseReason::Protocol(text));
    }

    fn timed_out(&mut self, what: &'static str) {
        self.say_bye(ByeReason::Timeout, what);
        self.end(CloseReason::TimedOut(what));
    }

    fn say_bye(&mut self, reason: ByeReason, text: &str) {
        if self.state == EdgeState::Idle {
            return;
        }
        self.outbox.clear();
        let text = truncated(text, MAX_TEXT_BYTES).to_owned();
        self.send(&Message::Bye { reason, text });
    }

    /// Only for messages that are within their bounds by construction.
    fn send(&mut self, message: &Message) {
        let sent = self.outbox.push(message);
        debug_assert!(sent.is_ok(), "{message:?}: {sent:?}");
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state == EdgeState::Closed {
            return;
        }
        self.state = EdgeState::Closed;
        self.upload = None;
        self.weights = Weights::default();
        self.pings.clear();
        for number in self.flights.cancel_all() {
            let why = Failure::SessionEnded;
            self.events.push_back(EdgeEvent::Failed { number, why });
        }
        self.events.push_back(EdgeEvent::Closed(reason));
    }

    fn budget_us(now: Instant, deadline: Instant) -> u32 {
        let left: Duration = deadline.saturating_duration_since(now);
        u32::try_from(left.as_micros()).unwrap_or(u32::MAX)
    }
}
