// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Round trips by a datagram that is sent back, beside the monitor and of its size.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::network::Network;

pub const PORT: u16 = 5052;
/// Of the monitor's first probe.
const BYTES: usize = 72;

/// Has a thread of the far machine send back what comes, for as long as it hears something every few seconds.
pub fn start(network: &Network) {
    drop(network.on_far(|| -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut buffer = [0; BYTES];
        loop {
            let (n, from) = socket.recv_from(&mut buffer)?;
            socket.send_to(&buffer[..n], from)?;
        }
    }));
}

/// `None` if nothing comes back within a second.
///
/// # Errors
/// When there is no socket.
pub fn round_trip(address: Ipv4Addr) -> io::Result<Option<Duration>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(SocketAddr::from((address, PORT)))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut buffer = [0; BYTES];
    let begun = Instant::now();
    socket.send(&buffer)?;
    Ok(socket.recv(&mut buffer).is_ok().then(|| begun.elapsed()))
}
