// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A link of `crates/link` between real sockets, in a thread of its own: what comes to a port here goes on to the far
//! machine once the link lets it, and answers come back the same way.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use splitinfer_link::{Link, Trace, Way};

/// Of IP and UDP.
const HEADERS: u64 = 28;
/// How long the thread waits when nothing is under way, so that it sees when it is to end.
const TICK: Duration = Duration::from_millis(50);
/// Senders that one forward keeps apart; one more, and the oldest is forgotten.
const MOST_FLOWS: usize = 64;

/// Datagrams that come to `near` go to `far`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub near: SocketAddr,
    pub far: SocketAddr,
}

/// Ends when dropped.
pub struct Relay {
    end: Arc<AtomicBool>,
    links: Sender<Link<Packet>>,
    seed: u64,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// All forwards share one link, whose trace begins at `start`; `seed` is for what it leaves to chance.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub fn start(
        forwards: &[Forward],
        trace: Arc<Trace>,
        start: Instant,
        seed: u64,
    ) -> io::Result<Self> {
        let ports = forwards.iter().map(|f| Port::new(*f));
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        let end = Arc::<AtomicBool>::default();
        let (links, next) = channel();
        let thread = std::thread::Builder::new().name("relay".into()).spawn({
            let end = end.clone();
            move || run(ports, Link::new(trace, start, seed), &next, &end)
        })?;
        Ok(Self {
            end,
            links,
            seed,
            thread: Some(thread),
        })
    }

    /// From now on the link is that of another trace, which begins now. What is under way arrives at once.
    pub fn change(&self, trace: Arc<Trace>) {
        let link = Link::new(trace, Instant::now(), self.seed);
        // The thread lives as long as this does.
        let _ = self.links.send(link);
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

/// A forward with all who use it.
struct Port {
    near: UdpSocket,
    to: SocketAddr,
    flows: VecDeque<Flow>,
    /// Flows that were forgotten.
    gone: usize,
}

/// One sender, as the far machine sees it: an address of its own.
struct Flow {
    client: SocketAddr,
    far: UdpSocket,
}

/// Which port it came to, which flow since the port was opened, and what it was.
struct Packet {
    port: usize,
    flow: usize,
    datagram: Vec<u8>,
}

/// Later than anything arrives.
const AN_HOUR: Duration = Duration::from_secs(3600);

fn run(
    mut ports: Vec<Port>,
    mut link: Link<Packet>,
    next: &Receiver<Link<Packet>>,
    end: &AtomicBool,
) {
    while !end.load(Ordering::Relaxed) {
        wait(&ports, link.next_arrival());
        if let Ok(next) = next.try_recv() {
            deliver(&ports, &mut link, Instant::now() + AN_HOUR);
            link = next;
        }
        for (i, port) in ports.iter_mut().enumerate() {
            port.receive(i, &mut link);
        }
        deliver(&ports, &mut link, Instant::now());
    }
}

/// What has arrived by then.
fn deliver(ports: &[Port], link: &mut Link<Packet>, now: Instant) {
    while let Some(packet) = link.receive(now, Way::Up) {
        if let Some(flow) = ports[packet.port].flow(packet.flow) {
            let _ = flow.far.send(&packet.datagram);
        }
    }
    while let Some(packet) = link.receive(now, Way::Down) {
        let port = &ports[packet.port];
        if let Some(flow) = port.flow(packet.flow) {
            let _ = port.near.send_to(&packet.datagram, flow.client);
        }
    }
}

impl Port {
    fn new(forward: Forward) -> io::Result<Self> {
        let near = UdpSocket::bind(forward.near)?;
        near.set_nonblocking(true)?;
        Ok(Self {
            near,
            to: forward.far,
            flows: VecDeque::new(),
            gone: 0,
        })
    }

    fn flow(&self, number: usize) -> Option<&Flow> {
        self.flows.get(number.checked_sub(self.gone)?)
    }

    /// Hands the link all that has come.
    fn receive(&mut self, index: usize, link: &mut Link<Packet>) {
        let mut buffer = [0; 2048];
        let mut send = |way, flow, datagram: &[u8]| {
            let packet = Packet {
                port: index,
                flow,
                datagram: datagram.to_vec(),
            };
            let bytes = datagram.len() as u64 + HEADERS;
            link.send(Instant::now(), way, bytes, packet);
        };
        while let Ok((n, from)) = self.near.recv_from(&mut buffer) {
            // Without a socket for it the datagram is lost, as it may be on a network.
            if let Ok(flow) = self.flow_of(from) {
                send(Way::Up, flow, &buffer[..n]);
            }
        }
        for (i, flow) in self.flows.iter().enumerate() {
            while let Ok(n) = flow.far.recv(&mut buffer) {
                send(Way::Down, self.gone + i, &buffer[..n]);
            }
        }
    }

    fn flow_of(&mut self, client: SocketAddr) -> io::Result<usize> {
        if let Some(i) = self.flows.iter().position(|f| f.client == client) {
            return Ok(self.gone + i);
        }
        let any = match self.to {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let far = UdpSocket::bind(any)?;
        far.connect(self.to)?;
        far.set_nonblocking(true)?;
        if self.flows.len() == MOST_FLOWS {
            self.flows.pop_front();
            self.gone += 1;
        }
        self.flows.push_back(Flow { client, far });
        Ok(self.gone + self.flows.len() - 1)
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
    let sockets = |p: &Port| {
        let far = p.flows.iter().map(|f| f.far.as_raw_fd());
        std::iter::once(p.near.as_raw_fd())
            .chain(far)
            .collect::<Vec<_>>()
    };
    let mut all: Vec<_> = ports
        .iter()
        .flat_map(sockets)
        .map(|fd| libc::pollfd {
            fd,
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// An address that was free a moment ago.
    fn free() -> SocketAddr {
        socket().local_addr().unwrap()
    }

    #[test]
    fn each_sender_gets_its_own_answers_after_the_delay() {
        let server = socket();
        let near = free();
        let trace: Trace = "0s rate=10Mbit/s delay=20ms".parse().unwrap();
        let forward = Forward {
            near,
            far: server.local_addr().unwrap(),
        };
        let _relay = Relay::start(&[forward], trace.into(), Instant::now(), 1).unwrap();
        let clients = [socket(), socket()];
        let begun = Instant::now();
        for (i, client) in clients.iter().enumerate() {
            client.send_to(&[i as u8], near).unwrap();
        }
        let mut buffer = [0; 8];
        for _ in &clients {
            let (n, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(n, 1);
            server.send_to(&[buffer[0], 9], from).unwrap();
        }
        for (i, client) in clients.iter().enumerate() {
            let (n, _) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..n], [i as u8, 9]);
        }
        assert!(begun.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn another_trace_begins_when_it_is_told_and_loses_nothing() {
        let server = socket();
        let near = free();
        let forward = Forward {
            near,
            far: server.local_addr().unwrap(),
        };
        let trace = |text: &str| Arc::new(text.parse::<Trace>().unwrap());
        let slow = trace("0s delay=30s");
        let relay = Relay::start(&[forward], slow, Instant::now(), 1).unwrap();
        socket().send_to(&[7], near).unwrap();
        std::thread::sleep(3 * TICK);
        relay.change(trace("0s delay=1ms"));
        let mut buffer = [0; 8];
        server.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[0], 7);
    }

    #[test]
    fn a_cut_link_lets_nothing_through() {
        let server = socket();
        server
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let near = free();
        let trace: Trace = "0s cut=yes".parse().unwrap();
        let forward = Forward {
            near,
            far: server.local_addr().unwrap(),
        };
        let _relay = Relay::start(&[forward], trace.into(), Instant::now(), 1).unwrap();
        socket().send_to(&[1], near).unwrap();
        assert!(server.recv_from(&mut [0; 8]).is_err());
    }
}
