// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An edge session and a server session on a made-up network with a made-up clock.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use splitinfer_wire::{
    Answer, AnswerBody, Content, EdgeConfig, EdgeEvent, EdgeSession, EdgeTiming, FrameHeader,
    FrameOpening, Hello, REPORT_BIT, Reply, ResultHeader, SendFrames, ServerConfig, ServerEvent,
    ServerSession, ServerTiming, Token, Version, Wants, WireObject,
};

pub const MS: fn(u64) -> Duration = Duration::from_millis;

pub struct Pair {
    pub now: Instant,
    pub edge: EdgeSession,
    pub server: ServerSession,
    pub edge_events: Vec<EdgeEvent>,
    pub server_events: Vec<ServerEvent>,
    /// One-way delay of the network.
    pub delay: Duration,
    /// Bytes arrive in pieces of this size.
    pub piece: usize,
    /// Nothing written while this holds ever arrives.
    pub down: bool,
    to_server: VecDeque<(Instant, Bytes)>,
    to_edge: VecDeque<(Instant, Bytes)>,
}

pub fn model() -> Bytes {
    (0..3_000_000u32)
        .map(|i| (i % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

pub fn hello(model: &[u8]) -> Hello {
    Hello {
        version: Version::OURS,
        agent: "test-edge 1".into(),
        token: Token::from("open sesame"),
        model_hash: Sha256::digest(model).into(),
        model_size: model.len() as u64,
        sidecar: "[modelinfo]\nversion=1.0\n".into(),
        input_name: "images".into(),
        input_shape: vec![1, 3, 416, 416],
        candidates: vec![vec!["c1".into()], vec!["p3".into(), "p4".into()]],
        wants: Wants::Objects,
        send_frames: SendFrames::OnRequest,
        max_result_bytes: 10_000,
    }
}

pub fn edge_config(model: &[u8]) -> EdgeConfig {
    EdgeConfig {
        hello: hello(model),
        max_in_flight: 8,
        timing: EdgeTiming::default(),
    }
}

pub fn server_config() -> ServerConfig {
    ServerConfig {
        name: "test-server 1".into(),
        token: Some(Token::from("open sesame")),
        max_frame_bytes: 100_000,
        max_in_flight: 4,
        max_model_bytes: 10_000_000,
        monitor_port: 5051,
        video: true,
        timing: ServerTiming::default(),
    }
}

impl Pair {
    pub fn new(edge: EdgeConfig, server: ServerConfig) -> Self {
        let now = Instant::now();
        let mut edge = EdgeSession::new(edge).unwrap();
        edge.start(now);
        Self {
            now,
            edge,
            server: ServerSession::new(now, server).unwrap(),
            edge_events: Vec::new(),
            server_events: Vec::new(),
            delay: MS(10),
            piece: usize::MAX,
            down: false,
            to_server: VecDeque::new(),
            to_edge: VecDeque::new(),
        }
    }

    /// A pair whose session is open; the events on the way there are thrown away.
    pub fn ready() -> Self {
        Self::ready_with(edge_config(&model()), server_config())
    }

    pub fn ready_with(edge: EdgeConfig, server: ServerConfig) -> Self {
        let mut pair = Self::new(edge, server);
        pair.run(MS(50));
        assert!(matches!(pair.server_events[..], [ServerEvent::Hello(_)]));
        pair.server.accept(pair.now, 77);
        pair.run(MS(50));
        assert!(matches!(pair.edge_events[0], EdgeEvent::Connected(_)));
        pair.edge_events.clear();
        pair.server_events.clear();
        pair
    }

    /// Lets `time` pass: bytes arrive and timers fire at the instant they are due.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let arrivals = [self.to_server.front(), self.to_edge.front()];
            let timers = [self.edge.poll_timeout(), self.server.poll_timeout()];
            let arrivals = arrivals.into_iter().flatten().map(|(at, _)| *at);
            let next = arrivals.chain(timers.into_iter().flatten()).min();
            match next {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            self.deliver();
            let (edge, server) = (self.edge.poll_timeout(), self.server.poll_timeout());
            if edge.is_some_and(|at| at <= self.now) {
                self.edge.handle_timeout(self.now);
                assert!(self.edge.poll_timeout().is_none_or(|at| at > self.now));
            }
            if server.is_some_and(|at| at <= self.now) {
                self.server.handle_timeout(self.now);
                assert!(self.server.poll_timeout().is_none_or(|at| at > self.now));
            }
        }
        self.now = end;
    }

    fn exchange(&mut self) {
        let at = self.now + self.delay;
        while let Some(bytes) = self.edge.poll_transmit() {
            if !self.down {
                self.to_server.push_back((at, bytes));
            }
        }
        while let Some(bytes) = self.server.poll_transmit() {
            if !self.down {
                self.to_edge.push_back((at, bytes));
            }
        }
        self.edge_events
            .extend(std::iter::from_fn(|| self.edge.poll_event()));
        self.server_events
            .extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    fn deliver(&mut self) {
        let due = |queue: &mut VecDeque<(Instant, Bytes)>, now: Instant| {
            let arrived = queue.front().is_some_and(|(at, _)| *at <= now);
            if arrived { queue.pop_front() } else { None }
        };
        while let Some((_, bytes)) = due(&mut self.to_server, self.now) {
            for piece in bytes.chunks(self.piece) {
                self.server.handle_control(self.now, piece);
            }
        }
        while let Some((_, bytes)) = due(&mut self.to_edge, self.now) {
            for piece in bytes.chunks(self.piece) {
                self.edge.handle_control(self.now, piece);
            }
        }
    }

    /// What the edge's driver was told since this was last called.
    pub fn take_edge_events(&mut self) -> Vec<EdgeEvent> {
        self.edge_events
            .extend(std::iter::from_fn(|| self.edge.poll_event()));
        let events = std::mem::take(&mut self.edge_events).into_iter();
        // Pings come and go in every test.
        events
            .filter(|event| !matches!(event, EdgeEvent::Pong { .. }))
            .collect()
    }

    pub fn take_server_events(&mut self) -> Vec<ServerEvent> {
        self.server_events
            .extend(std::iter::from_fn(|| self.server.poll_event()));
        std::mem::take(&mut self.server_events)
    }

    pub fn opening(&self, number: u64, budget: Duration) -> FrameOpening {
        FrameOpening {
            number,
            content: Content::Candidate(1),
            model_version: 3,
            pts_ns: Some((number & !REPORT_BIT) * 33_333_333),
            deadline: self.now + budget,
            placement: [0.5, 0.5, 0.0, 40.0, 640.0, 360.0],
            picture_size: (416, 416),
            payload_len: 1000,
            attachment_len: 0,
            patience: None,
            longest: None,
        }
    }

    /// Opens a frame on the edge and gives its header to the server at once.
    pub fn send_frame(&mut self, number: u64, budget: Duration) {
        let opening = self.opening(number, budget);
        let bytes = self.edge.open_frame(self.now, &opening).unwrap();
        let (header, len) = FrameHeader::decode(&bytes).unwrap().unwrap();
        assert_eq!(len, bytes.len());
        self.server.admit_frame(self.now, &header).unwrap();
    }

    /// The server's answer to a frame: one object whose class is the frame's number.
    pub fn answer(&mut self, number: u64) -> Option<Reply> {
        let objects = [object(number as u32)];
        let answer = Answer {
            model_version: 3,
            queue: MS(1),
            decode: MS(2),
            compute: MS(3),
            body: AnswerBody::Objects(&objects),
            missing: 0,
        };
        self.server.finish_frame(self.now, number, answer)
    }

    /// Gives a reply to the edge, as if it came on the stream of frame `stream`.
    pub fn receive(&mut self, stream: u64, reply: &Reply) {
        let (header, _) = ResultHeader::decode(&reply.header).unwrap().unwrap();
        self.edge
            .handle_result(self.now, stream, header, reply.body.clone());
    }
}

pub fn object(class: u32) -> WireObject {
    WireObject {
        class,
        label: "car".into(),
        score: 0.5,
        box_: [1.0, 2.0, 3.0, 4.0],
        track: None,
        keypoints: Vec::new(),
        quality: None,
    }
}
