// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How frames get to the server: a model of one QUIC connection with what decides about latency, retransmission and a
//! congestion window (RFC 9002, Cubic as in RFC 9438). Every packet is acknowledged as it comes; there is no pacing.

mod arriving;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use splitinfer_link::{Direction, Fate, Trace, Way};

use super::events::{Event, Events};
use arriving::Arriving;
use window::Window;

/// Payload of a packet, and what it takes on the wire with QUIC's, UDP's and IPv4's headers.
const CHUNK: u64 = 1160;
const OVERHEAD: u64 = 68;
const PACKET: f64 = (CHUNK + OVERHEAD) as f64;
const ACK: u64 = 75;
/// RFC 9002, 6.1.1.
const REORDERING: u32 = 3;
/// Packets that are sent when the timer has come; Quinn sends as many.
const PROBES: usize = 2;
const FIRST_RTT: Duration = Duration::from_millis(100);
/// The server is asked not to hold back acknowledgements for longer; Quinn takes no less.
const ACK_DELAY: Duration = Duration::from_millis(1);

/// Both directions of the link.
#[derive(Clone, Debug)]
pub struct Wires {
    pub up: Direction,
    pub down: Direction,
}

impl Wires {
    pub fn new(seed: u64) -> Self {
        Self {
            up: Direction::new(Way::Up, seed),
            down: Direction::new(Way::Down, seed),
        }
    }
}

/// A part of a frame, or a ping.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    frame: u32,
    index: u16,
    bytes: u64,
}

const PING: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Flying,
    Acknowledged,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    chunk: Chunk,
    at: Duration,
    state: State,
}

#[derive(Clone, Debug)]
pub struct Connection {
    waiting: VecDeque<Chunk>,
    /// From number `first` on.
    sent: VecDeque<Sent>,
    first: u32,
    flying: f64,
    window: Window,
    rtt: Option<(Duration, Duration)>,
    probes: u32,
    /// When the last thing was sent that is to be acknowledged, and whether the timer runs.
    last_sent: Duration,
    timer: bool,
    /// Numbers of packets in the order in which they came; the edge has heard of the first so many.
    came: VecDeque<u32>,
    came_before: u32,
    arriving: Arriving,
    /// When the edge last heard anything.
    pub heard: Duration,
    /// Bytes on the wire so far.
    pub wire_bytes: u64,
}

impl Connection {
    /// Just opened.
    pub fn new(now: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            first: 0,
            flying: 0.0,
            window: Window::default(),
            rtt: None,
            probes: 0,
            last_sent: now,
            timer: false,
            came: VecDeque::new(),
            came_before: 0,
            arriving: Arriving::default(),
            heard: now,
            wire_bytes: 0,
        }
    }

    /// Another one after this one; packets under way of this one are no longer known.
    pub fn reopen(&mut self, now: Duration) {
        *self = Self {
            first: self.first + self.sent.len() as u32,
            came_before: self.came_before + self.came.len() as u32,
            wire_bytes: self.wire_bytes,
            ..Self::new(now)
        };
    }

    /// The handshake is done: its round trip is known.
    pub fn shaken(&mut self, trace: &Trace, now: Duration) {
        let here = trace.at(now);
        let packets = 2.0 * PACKET * 8.0 / here.up.rate.max(1) as f64;
        self.measure_rtt(here.up.delay + here.down.delay + Duration::from_secs_f64(packets));
    }

    /// Smoothed round trip of packets, own queues included, as QUIC knows it.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.map(|(smoothed, _)| smoothed)
    }

    pub fn patience(&self) -> Duration {
        let (smoothed, variation) = self.rtt.unwrap_or((FIRST_RTT, FIRST_RTT / 2));
        smoothed + (variation * 4).max(Duration::from_millis(1)) + ACK_DELAY
    }

    pub fn send_frame(&mut self, frame: u32, bytes: u64) {
        let chunks = bytes.div_ceil(CHUNK).clamp(1, Arriving::MOST);
        self.arriving.expect(frame, chunks);
        self.waiting.extend((0..chunks).map(|i| Chunk {
            frame,
            index: i as u16,
            bytes: CHUNK.min(bytes - i * CHUNK),
        }));
    }

    pub fn ping(&mut self) {
        self.waiting.push_front(Chunk {
            frame: PING,
            index: 0,
            bytes: 1,
        });
    }

    /// Of this frame something is still to come to the server.
    pub fn lacks(&self, frame: u32) -> bool {
        self.arriving.knows(frame)
    }

    /// The answer is not wanted any more.
    pub fn cancel(&mut self, frame: u32) {
        self.waiting.retain(|c| c.frame != frame);
        self.arriving.forget(frame);
    }

    /// Sends what the window allows.
    pub fn pump(&mut self, now: Duration, trace: &Trace, wires: &mut Wires, events: &mut Events) {
        while let Some(chunk) = self.waiting.front() {
            if self.flying + chunk.bytes as f64 > self.window.size {
                break;
            }
            let chunk = *chunk;
            self.waiting.pop_front();
            self.put(chunk, now, trace, wires, events);
        }
        self.window.limited = !self.waiting.is_empty();
    }

    fn put(
        &mut self,
        chunk: Chunk,
        now: Duration,
        trace: &Trace,
        wires: &mut Wires,
        events: &mut Events,
    ) {
        let number = self.first + self.sent.len() as u32;
        let bytes = chunk.bytes + OVERHEAD;
        self.wire_bytes += bytes;
        if let Fate::Arrives(at) = wires.up.send(trace, now, bytes) {
            events.add(at, Event::AtServer(number));
        }
        self.flying += bytes as f64;
        self.last_sent = now;
        self.sent.push_back(Sent {
            chunk,
            at: now,
            state: State::Flying,
        });
        if !self.timer {
            self.timer = true;
            events.add(now + self.patience(), Event::Probe);
        }
    }

    /// A packet is at the server, which acknowledges it. The frame that is complete with it, if one is.
    pub fn at_server(
        &mut self,
        number: u32,
        now: Duration,
        trace: &Trace,
        wires: &mut Wires,
        events: &mut Events,
    ) -> Option<u32> {
        // Of a connection that is no more, or known to the edge for long.
        let place = number.checked_sub(self.first)? as usize;
        let chunk = self.sent.get(place)?.chunk;
        self.came.push_back(number);
        let heard = self.came_before + self.came.len() as u32;
        if let Fate::Arrives(at) = wires.down.send(trace, now, ACK) {
            events.add(at, Event::Acknowledged(heard));
        }
        self.arriving.came(chunk.frame, chunk.index)
    }

    /// The edge hears of the first `heard` packets that came.
    pub fn acknowledged(&mut self, heard: u32, now: Duration) {
        self.heard = now;
        let mut largest = None;
        let mut acknowledged = 0.0;
        while self.came_before < heard {
            let Some(number) = self.came.pop_front() else {
                break;
            };
            self.came_before += 1;
            let Some(place) = number.checked_sub(self.first) else {
                continue;
            };
            let Some(sent) = self.sent.get_mut(place as usize) else {
                continue;
            };
            if sent.state == State::Flying {
                let bytes = (sent.chunk.bytes + OVERHEAD) as f64;
                self.flying -= bytes;
                acknowledged += bytes;
            }
            sent.state = State::Acknowledged;
            largest = largest.max(Some((number, sent.at)));
        }
        let Some((number, sent_at)) = largest else {
            return;
        };
        self.measure_rtt(now - sent_at);
        if self.probes >= 3 {
            self.window.collapse();
        }
        self.probes = 0;
        let rtt = self.rtt().unwrap_or(FIRST_RTT);
        self.window.grow(acknowledged, rtt, now);
        self.detect_losses(number, now);
        while self.sent.front().is_some_and(|s| s.state != State::Flying) {
            self.sent.pop_front();
            self.first += 1;
        }
    }

    fn measure_rtt(&mut self, sample: Duration) {
        self.rtt = Some(match self.rtt {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => (
                (smoothed * 7 + sample) / 8,
                (variation * 3 + smoothed.abs_diff(sample)) / 4,
            ),
        });
    }

    fn detect_losses(&mut self, largest: u32, now: Duration) {
        let late = self.rtt().unwrap_or(FIRST_RTT) * 9 / 8;
        let mut newest = None;
        let mut bytes = 0;
        for i in 0..(largest.saturating_sub(self.first) as usize).min(self.sent.len()) {
            let number = self.first + i as u32;
            let sent = &mut self.sent[i];
            let old = number + REORDERING <= largest || now - sent.at > late;
            if sent.state == State::Flying && old {
                sent.state = State::Lost;
                newest = newest.max(Some(sent.at));
                let chunk = sent.chunk;
                self.flying -= (chunk.bytes + OVERHEAD) as f64;
                bytes += chunk.bytes + OVERHEAD;
                self.again(chunk);
            }
        }
        if let Some(sent_at) = newest {
            self.window.lost(bytes, sent_at, now);
        }
    }

    /// To be sent again, before all else, if it is still wanted.
    fn again(&mut self, chunk: Chunk) {
        if self.arriving.lacks(chunk.frame, chunk.index) {
            self.waiting.push_front(chunk);
        }
    }

    /// The timer has come; what is oldest is sent again.
    pub fn probe(&mut self, now: Duration, trace: &Trace, wires: &mut Wires, events: &mut Events) {
        self.timer = false;
        let flying = self.sent.iter().filter(|s| s.state == State::Flying);
        let oldest: Vec<Chunk> = flying.take(PROBES).map(|s| s.chunk).collect();
        if oldest.is_empty() {
            return;
        }
        let due = self.last_sent + self.patience() * (1 << self.probes.min(6));
        if now < due {
            self.timer = true;
            events.add(due, Event::Probe);
            return;
        }
        self.probes += 1;
        self.timer = true;
        for i in 0..PROBES {
            self.put(oldest[i % oldest.len()], now, trace, wires, events);
        }
        let wait = self.patience() * (1 << self.probes.min(6));
        events.add(now + wait, Event::Probe);
    }
}
