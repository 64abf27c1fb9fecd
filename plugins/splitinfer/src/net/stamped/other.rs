// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Other systems: a datagram has come when it is read.

use std::io;
use std::net::UdpSocket;
use std::time::Instant;

use super::Arrived;

pub(super) fn prepare(_: &UdpSocket) -> io::Result<()> {
    Ok(())
}

pub(super) fn receive(socket: &tokio::net::UdpSocket, buffer: &mut [u8]) -> io::Result<Arrived> {
    let (bytes, from) = socket.try_recv_from(buffer)?;
    Ok(Arrived {
        bytes,
        from,
        at: Instant::now(),
        to: None,
    })
}

pub(super) fn reply(socket: &UdpSocket, datagram: &[u8], arrived: &Arrived) -> io::Result<()> {
    socket.send_to(datagram, arrived.from).map(drop)
}
