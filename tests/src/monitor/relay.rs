// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A link of `crates/link` between real sockets: what comes to a port here goes to the same port of the far machine once
//! the link lets it, and back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use splitinfer_link::{Link, Trace, Way};

/// Of IP and UDP.
const HEADERS: u64 = 28;
/// How long the thread waits when nothing is under way, so that it sees when it is to end.
const TICK: Duration = Duration::from_millis(50);

/// Ends when dropped.
pub struct Relay {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Port {
    near: UdpSocket,
    far: UdpSocket,
    /// Who sent last from this side.
    client: Option<SocketAddr>,
}

impl Relay {
    /// Listens at 127.0.0.1 on these ports; the trace begins at `start`.
    ///
    /// # Errors
    /// When a port cannot be had.
    pub fn start(to: Ipv4Addr, ports: &[u16], trace: Trace, start: Instant) -> io::Result<Self> {
        let ports = ports.iter().map(|&port| Port::new(to, port));
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        let end = Arc::<AtomicBool>::default();
        let thread = std::thread::spawn({
            let end = end.clone();
            move || run(ports, Link::new(trace.into(), start, 1), &end)
        });
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Port {
    fn new(to: Ipv4Addr, port: u16) -> io::Result<Self> {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
        let far = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        far.connect((to, port))?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let client = None;
        Ok(Self { near, far, client })
    }
}

type Packet = (usize, Vec<u8>);

fn run(mut ports: Vec<Port>, mut link: Link<Packet>, end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        wait(&ports, link.next_arrival());
        for (i, port) in ports.iter_mut().enumerate() {
            port.receive(i, &mut link);
        }
        let now = Instant::now();
        while let Some((i, datagram)) = link.receive(now, Way::Up) {
            let _ = ports[i].far.send(&datagram);
        }
        while let Some((i, datagram)) = link.receive(now, Way::Down) {
            if let Some(client) = ports[i].client {
                let _ = ports[i].near.send_to(&datagram, client);
            }
        }
    }
}

impl Port {
    fn receive(&mut self, index: usize, link: &mut Link<Packet>) {
        let mut buffer = [0; 2048];
        let mut send = |way, n: usize, buffer: &[u8]| {
            let packet = (index, buffer[..n].to_vec());
            link.send(Instant::now(), way, n as u64 + HEADERS, packet);
        };
        while let Ok((n, from)) = self.near.recv_from(&mut buffer) {
            self.client = Some(from);
            send(Way::Up, n, &buffer);
        }
        while let Ok(n) = self.far.recv(&mut buffer) {
            send(Way::Down, n, &buffer);
        }
    }
}

/// Until something comes or is due.
fn wait(ports: &[Port], due: Option<Instant>) {
    let left = due.map_or(TICK, |at| {
        at.saturating_duration_since(Instant::now()).min(TICK)
    });
    let limit = libc::timespec {
        tv_sec: 0,
        tv_nsec: left.subsec_nanos().into(),
    };
    let sockets = ports.iter().flat_map(|p| [&p.near, &p.far]);
    let mut all: Vec<_> = sockets
        .map(|socket| libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: the array and the time outlive the call.
    unsafe {
        libc::ppoll(
            all.as_mut_ptr(),
            all.len() as libc::nfds_t,
            &limit,
            std::ptr::null(),
        )
    };
}
