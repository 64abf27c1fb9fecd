// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the caller's threads and the network thread of a client share: the window, and the figures.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use quinn::Connection;
use splitinfer_wire::monitor::Report;
use splitinfer_wire::{Load, Welcome};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::{FrameRequest, LinkStats, WeightsOrder};

/// What the network thread is asked to do. The channel needs no bound of its own: the window bounds the frames in it,
/// each of them is cancelled at most once, and of weights there is one version at a time.
pub enum Command {
    Send { frame: FrameRequest, at: Instant },
    Cancel(u64),
    Weights(WeightsOrder),
}

pub struct Shared {
    commands: UnboundedSender<Command>,
    closing: watch::Sender<bool>,
    most_in_flight: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    /// Frames taken and not yet ended, and whether each is being cancelled.
    in_flight: HashMap<u64, bool>,
    sessions: u64,
    load: Load,
    /// What the monitor of this session knows.
    monitor: Option<Report>,
    /// Of the connections before the present one.
    past: Traffic,
}

struct Session {
    connection: Connection,
    window: usize,
    max_frame_bytes: usize,
}

#[derive(Clone, Copy, Default)]
struct Traffic {
    sent_bytes: u64,
    received_bytes: u64,
    sent_packets: u64,
    lost_packets: u64,
}

impl Traffic {
    fn of(connection: &Connection) -> Self {
        let stats = connection.stats();
        Self {
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
            sent_packets: self.sent_packets + other.sent_packets,
            lost_packets: self.lost_packets + other.lost_packets,
        }
    }
}

/// The network thread's ends of the two channels.
pub struct Inlet {
    pub commands: UnboundedReceiver<Command>,
    pub closing: watch::Receiver<bool>,
}

impl Shared {
    pub fn new(most_in_flight: usize) -> (Self, Inlet) {
        let (commands, commands_out) = unbounded_channel();
        let (closing, closing_out) = watch::channel(false);
        let shared = Self {
            commands,
            closing,
            most_in_flight,
            state: Mutex::default(),
        };
        let inlet = Inlet {
            commands: commands_out,
            closing: closing_out,
        };
        (shared, inlet)
    }

    // The caller's side.

    pub fn send(&self, frame: FrameRequest) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some(session) = &state.session else {
            return false;
        };
        if state.in_flight.len() >= session.window
            || frame.payload.len() + frame.attachment.len() > session.max_frame_bytes
            || state.in_flight.contains_key(&frame.number)
        {
            return false;
        }
        let number = frame.number;
        let at = Instant::now();
        // Under the lock, so that the session cannot end between the check and the command.
        let sent = self.commands.send(Command::Send { frame, at }).is_ok();
        if sent {
            state.in_flight.insert(number, false);
        }
        sent
    }

    pub fn cancel(&self, number: u64) {
        let mut state = self.state.lock().unwrap();
        if let Some(cancelled) = state.in_flight.get_mut(&number)
            && !std::mem::replace(cancelled, true)
        {
            let _ = self.commands.send(Command::Cancel(number));
        }
    }

    pub fn order_weights(&self, order: WeightsOrder) -> bool {
        let state = self.state.lock().unwrap();
        // Under the lock, as for frames.
        state.session.is_some() && self.commands.send(Command::Weights(order)).is_ok()
    }

    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    pub fn stats(&self) -> LinkStats {
        let state = self.state.lock().unwrap();
        let connection = state.session.as_ref().map(|s| &s.connection);
        let path = connection.map(|c| c.stats().path);
        let traffic = connection.map_or(state.past, |c| state.past.plus(Traffic::of(c)));
        LinkStats {
            connected: connection.is_some(),
            peer: connection.map(Connection::remote_address),
            reconnects: state.sessions.saturating_sub(1),
            rtt: path.map(|p| p.rtt).filter(|rtt| *rtt > Duration::ZERO),
            sent_packets: traffic.sent_packets,
            lost_packets: traffic.lost_packets,
            cwnd: path.map_or(0, |p| p.cwnd),
            sent_bytes: traffic.sent_bytes,
            received_bytes: traffic.received_bytes,
            in_flight: state.in_flight.len(),
            load: state.load.clone(),
            monitor: state.monitor.clone(),
        }
    }

    // The network thread's side.

    pub fn session_began(&self, connection: &Connection, welcome: &Welcome) {
        let mut state = self.state.lock().unwrap();
        state.sessions += 1;
        state.session = Some(Session {
            connection: connection.clone(),
            window: self.most_in_flight.min(welcome.max_in_flight as usize),
            max_frame_bytes: welcome.max_frame_bytes as usize,
        });
    }

    /// The server wants no more frames; those under way go on.
    pub fn draining(&self) {
        if let Some(session) = &mut self.state.lock().unwrap().session {
            session.window = 0;
        }
    }

    /// No frame is taken from here on; those taken before are in the channel or with the link.
    pub fn session_ended(&self) {
        let mut state = self.state.lock().unwrap();
        if let Some(session) = state.session.take() {
            state.past = state.past.plus(Traffic::of(&session.connection));
        }
        state.load = Load::default();
        state.monitor = None;
    }

    /// Whether the frame was still under way.
    pub fn frame_ended(&self, number: u64) -> bool {
        self.state
            .lock()
            .unwrap()
            .in_flight
            .remove(&number)
            .is_some()
    }

    /// All that were still under way, in ascending order.
    pub fn all_frames_ended(&self) -> Vec<u64> {
        let mut state = self.state.lock().unwrap();
        let mut numbers: Vec<_> = state.in_flight.drain().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        numbers
    }

    pub fn loaded(&self, load: Load) {
        self.state.lock().unwrap().load = load;
    }

    pub fn monitored(&self, report: Report) {
        let mut state = self.state.lock().unwrap();
        if state.session.is_some() {
            state.monitor = Some(report);
        }
    }
}
