// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The simulated edge, link and server: what becomes of every frame, whoever chooses.
//!
//! The edge is the element: a streaming thread that runs heads and codes one frame after another, and the source pad's
//! task that lets frames leave in order and completes here what the server has not answered in time. The camera does not
//! wait: of the frames that come while the streaming thread is busy the newest is kept.

mod edge;
mod frames;
mod server;
mod session;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use frames::{Left, Order, Seen};

use super::encoder::Encoder;
use super::events::{Event, Events};
use super::load::Times;
use super::monitor::Monitor;
use super::setting::Setting;
use super::stream::Stream;
use super::transport::{Connection, Wires};
use edge::{Flowing, Working};
use server::Job;

/// As the element has them by default.
pub const MAX_IN_FLIGHT: usize = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// How often the connection is looked after.
const LOOK: Duration = Duration::from_millis(200);
pub struct World {
    pub setting: Arc<Setting>,
    pub now: Duration,
    pub events: Events,
    pub wires: Wires,
    pub connection: Connection,
    pub connected: bool,
    backoff: Duration,
    last_sent: Duration,
    camera: Option<u32>,
    so_far: u32,
    streaming: Option<Working>,
    flow: VecDeque<Flowing>,
    encoder: Encoder,
    stream: Stream,
    jobs: Vec<Job>,
    queue: VecDeque<u32>,
    serving: Option<u32>,
    busy: Duration,
    times: Times,
    pub seen: Vec<Seen>,
    pub left: Vec<Left>,
    pub monitor: Option<Monitor>,
}

impl World {
    /// Connected, at the beginning of the trace.
    pub fn new(setting: Arc<Setting>) -> Self {
        let mut events = Events::default();
        events.add(Duration::ZERO, Event::Captured(0));
        events.add(LOOK, Event::KeepAlive);
        let mut connection = Connection::new(Duration::ZERO);
        connection.shaken(&setting.trace, Duration::ZERO);
        Self {
            now: Duration::ZERO,
            events,
            wires: Wires::new(setting.seed),
            connection,
            connected: true,
            backoff: FIRST_BACKOFF,
            last_sent: Duration::ZERO,
            camera: None,
            so_far: 0,
            streaming: None,
            flow: VecDeque::new(),
            encoder: Encoder::default(),
            stream: Stream::default(),
            jobs: Vec::new(),
            queue: VecDeque::new(),
            serving: None,
            busy: Duration::ZERO,
            times: Times::new(&setting),
            seen: vec![Seen::Connected],
            left: Vec::new(),
            monitor: None,
            setting,
        }
    }

    /// A copy without a monitor, in which nothing was seen yet.
    pub fn fork(&self) -> Self {
        Self {
            setting: Arc::clone(&self.setting),
            now: self.now,
            events: self.events.clone(),
            wires: self.wires.clone(),
            connection: self.connection.clone(),
            connected: self.connected,
            backoff: self.backoff,
            last_sent: self.last_sent,
            camera: self.camera,
            so_far: self.so_far,
            streaming: self.streaming,
            flow: self.flow.clone(),
            encoder: self.encoder.clone(),
            stream: self.stream.clone(),
            jobs: self.jobs.clone(),
            queue: self.queue.clone(),
            serving: self.serving,
            busy: self.busy,
            times: self.times.clone(),
            seen: Vec::new(),
            left: Vec::new(),
            monitor: None,
        }
    }

    /// Goes on until a frame waits for a decision; `None`: all frames have left.
    pub fn advance(&mut self) -> Option<u32> {
        self.advance_until(u32::MAX)
    }

    /// The same, but ends also when frame `last` or a later one has left.
    pub fn advance_until(&mut self, last: u32) -> Option<u32> {
        loop {
            if self.left.last().is_some_and(|l| l.frame >= last) {
                return None;
            }
            if self.streaming.is_none()
                && self.flow.len() < MAX_IN_FLIGHT
                && let Some(frame) = self.camera.take()
            {
                return Some(frame);
            }
            if self.so_far == self.setting.frames
                && self.camera.is_none()
                && self.streaming.is_none()
                && self.flow.is_empty()
            {
                return None;
            }
            self.step();
        }
    }

    /// The monitor begins.
    pub fn watch(&mut self, mut monitor: Monitor) {
        monitor.step(self, Event::Monitor);
        self.monitor = Some(monitor);
    }

    pub fn deadline(&self, frame: u32) -> Duration {
        self.setting.captured(frame) + self.setting.budget
    }

    fn step(&mut self) {
        let Some((at, event)) = self.events.pop() else {
            unreachable!("the connection is looked after for ever")
        };
        self.now = at;
        let trace = Arc::clone(&self.setting.trace);
        match event {
            Event::Captured(frame) => self.captured(frame),
            Event::Begun => self.begun(),
            Event::AtServer(number) => self.packet_came(number, &trace),
            Event::Outlived(frame) => self.outlived(frame),
            Event::Acknowledged(heard) => {
                self.connection.acknowledged(heard, at);
                self.pump();
            }
            Event::Probe => {
                self.connection
                    .probe(at, &trace, &mut self.wires, &mut self.events);
            }
            Event::Served => self.served(),
            Event::Reply(frame) => self.reply(frame, &trace),
            Event::Answered(frame) => self.answered(frame),
            Event::GiveUp => self.turn(),
            Event::Completed(frame) => self.completed(frame),
            Event::KeepAlive => self.look_after(),
            Event::Dial => self.dial(&trace),
            Event::Connected => self.open(&trace),
            Event::Monitor | Event::ProbeAtServer(_) | Event::ReplyAtEdge(_) => {
                if let Some(mut monitor) = self.monitor.take() {
                    monitor.step(self, event);
                    self.monitor = Some(monitor);
                }
            }
        }
    }
}
