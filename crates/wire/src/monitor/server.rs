// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server's side: answers whom it knows, with no more bytes than it got.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::MAX_DATAGRAM_BYTES;
use super::keys::{MonitorId, MonitorKeys, Side};
use super::packet::{Arrival, MAX_ARRIVALS, Probe, Reply, header, seal};
use super::window::Window;
use crate::message::Load;

/// Datagrams of one session: so many a second, and so many at once. An edge sends a tenth of this.
const MOST_A_SECOND: f64 = 1000.0;
const MOST_AT_ONCE: f64 = 200.0;

/// The monitored sessions of a server. What is kept of each has a fixed size. `T` is whatever the driver needs to know
/// the session's load.
#[derive(Debug)]
pub struct ServerMonitor<T> {
    start: Instant,
    sessions: HashMap<MonitorId, Session<T>>,
}

#[derive(Debug)]
struct Session<T> {
    tag: T,
    keys: MonitorKeys,
    window: Window,
    received: u32,
    /// Of the next reply; `None` when the numbers are used up.
    next_number: Option<u32>,
    arrivals: VecDeque<(u32, Instant)>,
    allowance: f64,
    last: Instant,
}

impl<T> ServerMonitor<T> {
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            sessions: HashMap::new(),
        }
    }

    /// Watches for a session's probes. False, and nothing is done, should another session have the same identity.
    pub fn add(&mut self, now: Instant, keys: MonitorKeys, tag: T) -> bool {
        if self.sessions.contains_key(&keys.id()) {
            return false;
        }
        let session = Session {
            tag,
            window: Window::default(),
            received: 0,
            next_number: Some(0),
            arrivals: VecDeque::with_capacity(MAX_ARRIVALS + 1),
            allowance: MOST_AT_ONCE,
            last: now,
            keys,
        };
        self.sessions.insert(session.keys.id(), session);
        true
    }

    /// The session has ended.
    pub fn remove(&mut self, id: &MonitorId) -> Option<T> {
        self.sessions.remove(id).map(|session| session.tag)
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A datagram that came at `arrived`. What is returned goes to where it came from; nothing is returned for what no
    /// known session has sealed, or has come before.
    pub fn handle(
        &mut self,
        now: Instant,
        arrived: Instant,
        datagram: &[u8],
        load: impl FnOnce(&T) -> Load,
    ) -> Option<Vec<u8>> {
        let (id, number) = header(Side::Edge, datagram)?;
        let start = self.start;
        let session = self.sessions.get_mut(&id)?;
        if !session.window.may_take(number) || !session.allows(now) {
            return None;
        }
        let body = session.keys.open(Side::Edge, number, datagram)?;
        let probe = Probe::decode(&body).ok()?;
        session.window.take(number);
        session.received = session.received.wrapping_add(1);
        let reply = probe.answer.then(|| Reply {
            answered: number,
            arrived_us: micros(start, arrived),
            replied_us: micros(start, now),
            received: session.received,
            arrivals: session.arrivals_before(number, arrived),
            ..Reply::default()
        });
        session.arrivals.push_front((number, arrived));
        session.arrivals.truncate(MAX_ARRIVALS);
        let reply = reply?;
        let room = datagram.len().min(MAX_DATAGRAM_BYTES);
        let reply = reply.fitting(room, &load(&session.tag), probe.tails_from)?;
        let own = session.next_number?;
        session.next_number = own.checked_add(1);
        seal(&session.keys, Side::Server, own, reply.encode())
    }
}

impl<T> Session<T> {
    /// One session's flood is not even decrypted.
    fn allows(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.allowance = (self.allowance + passed * MOST_A_SECOND).min(MOST_AT_ONCE);
        let allowed = self.allowance >= 1.0;
        if allowed {
            self.allowance -= 1.0;
        }
        allowed
    }

    fn arrivals_before(&self, number: u32, arrived: Instant) -> Vec<Arrival> {
        let entry = |&(earlier, at): &(u32, Instant)| {
            let back = u8::try_from(number.checked_sub(earlier)?).ok()?;
            let before = signed_micros(at, arrived);
            Some(Arrival {
                back,
                before_us: i32::try_from(before).ok()?,
            })
        };
        self.arrivals.iter().filter_map(entry).collect()
    }
}

/// Of a clock that began at `start`, modulo 2³².
pub(super) fn micros(start: Instant, at: Instant) -> u32 {
    at.saturating_duration_since(start).as_micros() as u32
}

fn signed_micros(from: Instant, to: Instant) -> i64 {
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    match to.checked_duration_since(from) {
        Some(time) => micros(time),
        None => -micros(from.saturating_duration_since(to)),
    }
}
