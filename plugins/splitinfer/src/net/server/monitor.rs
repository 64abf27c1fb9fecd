// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server's side of the UDP monitor: one socket that answers the probes of all sessions.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quinn::Connection;
use splitinfer_wire::monitor::{MAX_DATAGRAM_BYTES, MonitorId, ServerMonitor};

use super::Service;
use crate::net::monitor_keys;
use crate::net::stamped::StampedSocket;

/// Datagrams in a row, after which it is the turn of the sessions; they share the thread.
const IN_A_ROW: u32 = 32;

/// What the monitor has done, for whoever asks.
#[derive(Debug, Default)]
pub struct MonitorFigures {
    pub sessions: AtomicU64,
    /// That came, from whomever.
    pub datagrams: AtomicU64,
    pub replies: AtomicU64,
}

/// Lives on the network thread.
pub struct Monitor<S: Service> {
    socket: StampedSocket,
    port: u16,
    sessions: RefCell<ServerMonitor<Arc<S::Session>>>,
    figures: Arc<MonitorFigures>,
}

impl<S: Service> Monitor<S> {
    /// Inside a runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = StampedSocket::new(UdpSocket::bind(address)?)?;
        let port = socket.local_addr()?.port();
        Ok(Self {
            socket,
            port,
            sessions: RefCell::new(ServerMonitor::new(Instant::now())),
            figures: Arc::default(),
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn figures(&self) -> Arc<MonitorFigures> {
        self.figures.clone()
    }

    /// Answers this session's probes from now on.
    pub fn watch(&self, connection: &Connection, session: &Arc<S::Session>) -> Option<MonitorId> {
        let keys = monitor_keys::keys(connection)?;
        let id = keys.id();
        let mut sessions = self.sessions.borrow_mut();
        let added = sessions.add(Instant::now(), keys, session.clone());
        self.counted(&sessions);
        added.then_some(id)
    }

    /// The session has ended.
    pub fn forget(&self, id: &MonitorId) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.remove(id);
        self.counted(&sessions);
    }

    fn counted(&self, sessions: &ServerMonitor<Arc<S::Session>>) {
        let count = sessions.len() as u64;
        self.figures.sessions.store(count, Ordering::Relaxed);
    }

    /// Answers for as long as it is polled.
    pub async fn run(&self, service: &S) {
        // One more than a datagram may have, so that one that is too long is seen to be.
        let mut buffer = [0; MAX_DATAGRAM_BYTES + 1];
        let mut row = 0;
        loop {
            row += 1;
            if row == IN_A_ROW {
                row = 0;
                tokio::task::yield_now().await;
            }
            // An error is about one datagram that was sent, to an address where nobody is any more.
            let Ok(arrived) = self.socket.recv(&mut buffer).await else {
                continue;
            };
            self.figures.datagrams.fetch_add(1, Ordering::Relaxed);
            let datagram = &buffer[..arrived.bytes];
            let load = |session: &Arc<S::Session>| service.load(session);
            let mut sessions = self.sessions.borrow_mut();
            let reply = sessions.handle(Instant::now(), arrived.at, datagram, load);
            drop(sessions);
            // One that cannot be sent now is lost, as on the way.
            if let Some(reply) = reply
                && self.socket.reply(&reply, &arrived).is_ok()
            {
                self.figures.replies.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
