// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The project's own UDP monitor over the simulated link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use splitinfer_link::Fate;
use splitinfer_wire::monitor::{
    EXPORTED_BYTES, EdgeMonitor, MonitorConfig, MonitorKeys, Report, ServerMonitor,
};

use super::events::Event;
use super::world::World;

/// UDP over IPv4.
const OVERHEAD: u64 = 28;

pub struct Monitor {
    start: Instant,
    edge: EdgeMonitor,
    server: ServerMonitor<()>,
    /// Datagrams under way, by number.
    up: VecDeque<(u32, Vec<u8>)>,
    down: VecDeque<(u32, Vec<u8>)>,
    numbers: u32,
    timer: Option<Instant>,
    /// Of the server's time, for its utilisation.
    looked: (Duration, Duration),
    utilisation: f64,
}

impl Monitor {
    pub fn new(start: Instant) -> Self {
        let keys = || MonitorKeys::new(&std::array::from_fn::<u8, EXPORTED_BYTES, _>(|i| i as u8));
        let mut server = ServerMonitor::new(start);
        server.add(start, keys(), ());
        Self {
            start,
            edge: EdgeMonitor::new(start, keys(), MonitorConfig::default()),
            server,
            up: VecDeque::new(),
            down: VecDeque::new(),
            numbers: 0,
            timer: None,
            looked: (Duration::ZERO, Duration::ZERO),
            utilisation: 0.0,
        }
    }

    pub fn report(&self) -> Report {
        self.edge.report()
    }

    /// One of the monitor's events has come.
    pub fn step(&mut self, world: &mut World, event: Event) {
        let now = self.start + world.now;
        match event {
            Event::Monitor => {
                self.timer = None;
                self.edge.handle_timeout(now);
            }
            Event::ProbeAtServer(number) => self.serve(world, number),
            Event::ReplyAtEdge(number) => {
                if let Some(datagram) = take(&mut self.down, number) {
                    self.edge.handle_datagram(now, &datagram);
                }
            }
            _ => {}
        }
        self.transmit(world);
        let due = self.edge.poll_timeout();
        if let Some(due) = due
            && self.timer.is_none_or(|t| due < t)
        {
            self.timer = Some(due);
            world.events.add(
                due.saturating_duration_since(self.start).max(world.now),
                Event::Monitor,
            );
        }
    }

    fn serve(&mut self, world: &mut World, number: u32) {
        let now = self.start + world.now;
        let Some(probe) = take(&mut self.up, number) else {
            return;
        };
        let (queue, busy) = world.server_load();
        let (at, before) = self.looked;
        let passed = world.now - at;
        if passed > Duration::from_millis(100) {
            self.utilisation = (busy - before).as_secs_f64() / passed.as_secs_f64();
            self.looked = (world.now, busy);
        }
        let permille = (self.utilisation * 1000.0).min(1000.0) as u16;
        let load = world.server_times().load(queue, permille);
        let reply = self.server.handle(now, now, &probe, |()| load.clone());
        let Some(reply) = reply else {
            return;
        };
        let trace = Arc::clone(&world.setting.trace);
        let bytes = reply.len() as u64 + OVERHEAD;
        if let Fate::Arrives(at) = world.wires.down.send(&trace, world.now, bytes) {
            self.numbers += 1;
            self.down.push_back((self.numbers, reply));
            world.events.add(at, Event::ReplyAtEdge(self.numbers));
        }
    }

    fn transmit(&mut self, world: &mut World) {
        let now = self.start + world.now;
        let trace = Arc::clone(&world.setting.trace);
        while let Some(datagram) = self.edge.poll_transmit(now) {
            let bytes = datagram.len() as u64 + OVERHEAD;
            if let Fate::Arrives(at) = world.wires.up.send(&trace, world.now, bytes) {
                self.numbers += 1;
                self.up.push_back((self.numbers, datagram));
                world.events.add(at, Event::ProbeAtServer(self.numbers));
            }
        }
    }
}

fn take(under_way: &mut VecDeque<(u32, Vec<u8>)>, number: u32) -> Option<Vec<u8>> {
    let at = under_way.iter().position(|(n, _)| *n == number)?;
    under_way.remove(at).map(|(_, datagram)| datagram)
}
