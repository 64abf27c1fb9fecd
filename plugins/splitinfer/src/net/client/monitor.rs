// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The edge's side of the UDP monitor: one task a session, beside it on the network thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::Connection;
use splitinfer_wire::monitor::{
    EdgeMonitor, MAX_DATAGRAM_BYTES, MonitorConfig, MonitorKeys, Reachability,
};
use tokio::task::AbortHandle;

use super::shared::Shared;
use crate::net::monitor_keys;
use crate::net::stamped::StampedSocket;

/// After an error of the socket that is not about one datagram.
const PAUSE: Duration = Duration::from_millis(100);

/// The monitor of one session; ends when dropped.
pub struct Monitor(AbortHandle);

impl Monitor {
    /// `port`: as the server told it. `None` where it has no monitor.
    pub fn start(
        shared: &Arc<Shared>,
        connection: &Connection,
        port: u16,
        candidates: usize,
    ) -> Option<Self> {
        let keys = (port != 0).then(|| monitor_keys::keys(connection))??;
        let server = SocketAddr::new(connection.remote_address().ip(), port);
        let task = tokio::spawn(run(shared.clone(), server, keys, candidates));
        Some(Self(task.abort_handle()))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(shared: Arc<Shared>, server: SocketAddr, keys: MonitorKeys, candidates: usize) {
    let config = MonitorConfig {
        overhead: match server.ip().to_canonical() {
            IpAddr::V4(_) => 28,
            IpAddr::V6(_) => 48,
        },
        candidates,
        ..MonitorConfig::default()
    };
    let Ok(mut socket) = open(server) else {
        return;
    };
    let mut monitor = EdgeMonitor::new(Instant::now(), keys, config);
    let mut buffer = [0; MAX_DATAGRAM_BYTES + 1];
    // This machine may have left the network in which the socket was opened.
    let mut stale = false;
    while let Some(due) = monitor.poll_timeout() {
        tokio::select! {
            biased;
            arrived = socket.recv(&mut buffer) => match arrived {
                Ok(arrived) => monitor.handle_datagram(arrived.at, &buffer[..arrived.bytes]),
                // Nobody listens there, or no longer: the silence will tell.
                Err(e) if is_passing(&e) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            () = tokio::time::sleep_until(due.into()) => {
                monitor.handle_timeout(Instant::now());
                // A new socket has an address of the network that this machine is in now, and a new port for whatever
                // stands between.
                let blocked = monitor.report().reachability == Reachability::Blocked;
                if (stale || blocked) && let Ok(new) = open(server) {
                    socket = new;
                    stale = false;
                }
            }
        }
        // Whatever cannot be sent is lost, as on the way.
        while let Some(datagram) = monitor.poll_transmit(Instant::now()) {
            stale |= socket.send(&datagram).is_err_and(|e| !is_passing(&e));
        }
        shared.monitored(monitor.report());
    }
}

/// Nobody listens there just now, or the system's buffer is full.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, WouldBlock};
    matches!(error.kind(), ConnectionRefused | WouldBlock)
}

fn open(server: SocketAddr) -> io::Result<StampedSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    StampedSocket::new(socket)
}
