// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A UDP socket that tells when its datagrams came as exactly as the system knows it: a thread that is busy with QUIC,
//! or waits for a processor, reads them later than that.

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "linux.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    path = "other.rs"
)]
mod system;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use tokio::io::Interest;

/// A datagram that came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    pub bytes: usize,
    pub from: SocketAddr,
    pub at: Instant,
    /// Of this machine's addresses the one that it was sent to, where the system tells.
    to: Option<IpAddr>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct StampedSocket {
    incoming: tokio::net::UdpSocket,
    /// The same socket. What is sent goes to the system at once: tokio would first wait to hear that a new socket can send.
    outgoing: UdpSocket,
}

impl StampedSocket {
    /// Inside a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        system::prepare(&socket)?;
        let outgoing = socket.try_clone()?;
        let incoming = tokio::net::UdpSocket::from_std(socket)?;
        Ok(Self { incoming, outgoing })
    }

    /// # Errors
    /// When the socket has no address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.outgoing.local_addr()
    }

    /// The next datagram; what does not fit into `buffer` is cut off.
    ///
    /// # Errors
    /// What the system says, also about datagrams sent before: a port where nobody listens, for instance.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<Arrived> {
        let receive = || system::receive(&self.incoming, buffer);
        self.incoming.async_io(Interest::READABLE, receive).await
    }

    /// Sends to whom the socket is connected, or not at all: where the system's buffer is full the datagram is lost as if on
    /// the way.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.outgoing.send(datagram).map(drop)
    }

    /// Sends to where `arrived` came from, and from the address that it was sent to, or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub fn reply(&self, datagram: &[u8], arrived: &Arrived) -> io::Result<()> {
        system::reply(&self.outgoing, datagram, arrived)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Of a datagram that has waited it is known since when; and the answer comes from where the question went.
    #[test]
    fn instants_are_those_of_arrival_and_replies_come_from_the_address_asked() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = StampedSocket::new(UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
            let port = server.local_addr().unwrap().port();
            let asking = UdpSocket::bind("127.0.0.1:0").unwrap();
            asking.connect(("127.0.0.1", port)).unwrap();
            let mut buffer = [0; 16];
            // Linux begins to stamp a little after it was asked to, and a loaded machine may be late itself.
            let mut stamped = false;
            let mut arrived = None;
            for _ in 0..100 {
                asking.send(b"question").unwrap();
                let sent = Instant::now();
                std::thread::sleep(Duration::from_millis(20));
                let came = server.recv(&mut buffer).await.unwrap();
                assert_eq!(&buffer[..came.bytes], b"question");
                assert_eq!(came.from, asking.local_addr().unwrap());
                let late = came.at.saturating_duration_since(sent);
                stamped |= late < Duration::from_millis(10);
                arrived = Some(came);
                if stamped {
                    break;
                }
            }
            assert!(stamped || !cfg!(target_os = "linux"), "read when it came");
            let arrived = arrived.unwrap();
            server.reply(b"answer", &arrived).unwrap();
            let patience = Some(Duration::from_secs(5));
            asking.set_read_timeout(patience).unwrap();
            assert_eq!(asking.recv(&mut buffer).unwrap(), 6);
        });
    }

    /// Also before the runtime has ever looked at the socket.
    #[test]
    fn the_first_datagram_of_a_new_socket_goes_out() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let heard = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(heard.local_addr().unwrap()).unwrap();
        StampedSocket::new(socket).unwrap().send(b"probe").unwrap();
        heard
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        assert_eq!(heard.recv(&mut [0; 16]).unwrap(), 5);
    }

    #[test]
    fn addresses_of_version_six_work_alike() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let Ok(socket) = UdpSocket::bind("[::]:0") else {
            return println!("skipped: no IPv6 here");
        };
        runtime.block_on(async {
            let server = StampedSocket::new(socket).unwrap();
            let port = server.local_addr().unwrap().port();
            for asked in ["::1", "127.0.0.1"] {
                let any = if asked.contains(':') {
                    "[::]:0"
                } else {
                    "0.0.0.0:0"
                };
                let asking = UdpSocket::bind(any).unwrap();
                let asked: IpAddr = asked.parse().unwrap();
                asking.connect((asked, port)).unwrap();
                asking.send(b"question").unwrap();
                let mut buffer = [0; 16];
                let arrived = server.recv(&mut buffer).await.unwrap();
                server.reply(b"answer", &arrived).unwrap();
                let patience = Some(Duration::from_secs(5));
                asking.set_read_timeout(patience).unwrap();
                assert_eq!(asking.recv(&mut buffer).unwrap(), 6, "{asked}");
            }
        });
    }
}
