// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The connection as the element keeps it: alive while it can be, and made anew.

use std::sync::Arc;
use std::time::Duration;

use splitinfer_link::Trace;

use super::super::encoder::Encoder;
use super::super::events::Event;
use super::super::stream::Stream;
use super::edge::Progress;
use super::{FIRST_BACKOFF, LOOK, Seen, World};

const IDLE: Duration = Duration::from_millis(2500);
const KEEP_ALIVE: Duration = Duration::from_millis(800);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

impl World {
    pub(super) fn open(&mut self, trace: &Trace) {
        self.connected = true;
        self.connection.shaken(trace, self.now);
        self.backoff = FIRST_BACKOFF;
        self.connection.heard = self.now;
        self.seen.push(Seen::Connected);
    }

    pub(super) fn pump(&mut self) {
        let trace = Arc::clone(&self.setting.trace);
        self.connection
            .pump(self.now, &trace, &mut self.wires, &mut self.events);
    }

    pub(super) fn look_after(&mut self) {
        let now = self.now;
        self.events.add(now + LOOK, Event::KeepAlive);
        if !self.connected {
            return;
        }
        if now - self.connection.heard > IDLE {
            self.connected = false;
            self.seen.push(Seen::Disconnected);
            self.connection.reopen(now);
            self.encoder = Encoder::default();
            self.stream = Stream::default();
            self.jobs.clear();
            self.queue.clear();
            for flowing in &mut self.flow {
                if let Progress::Waiting { until } = &mut flowing.progress {
                    *until = now;
                }
            }
            self.turn();
            self.events.add(now + self.backoff, Event::Dial);
        } else if now - self.last_sent >= KEEP_ALIVE {
            self.last_sent = now;
            self.connection.ping();
            self.pump();
        }
    }

    pub(super) fn dial(&mut self, trace: &Trace) {
        let (now, here) = (self.now, trace.at(self.now));
        if here.up.cut || here.down.cut || here.up.rate == 0 {
            self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
            self.events.add(now + self.backoff, Event::Dial);
            return;
        }
        // Two round trips with full packets: handshake, and the greeting of the session.
        let packets = Duration::from_secs_f64(4.0 * 1228.0 * 8.0 / here.up.rate as f64);
        let trips = (here.up.delay + here.down.delay) * 2;
        self.events.add(now + trips + packets, Event::Connected);
    }
}
