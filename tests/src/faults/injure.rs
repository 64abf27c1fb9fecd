// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How a fault is done to a server, or to the link that leads to it.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use splitinfer_link::Trace;
use splitinfer_tools::network::{Forward, Relay};

use super::schedule::Act;
use crate::process::{Server, free_port};

/// Where a server is that is reached through a link, and where its edge believes it to be.
const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NEAR: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
/// A link for the whole time that nothing is wrong: 100 Mbit/s, 2 ms each way.
const WHOLE: &str = "0s delay=2ms";
/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and the link to it if there is one to be cut.
pub struct Target {
    pub server: Server,
    cable: Option<Cable>,
}

/// When a fault began, and when the server could answer again; [`super::now`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub begin: f64,
    pub again: f64,
}

impl Target {
    /// A server with this model, on this machine's loopback interface.
    ///
    /// # Errors
    /// When it does not come to listen, or the link cannot be made.
    pub fn start(model: &str, through_link: bool) -> Result<Self> {
        let model = format!("model={model}");
        let target = match through_link {
            false => Self {
                server: Server::start(&[&model]),
                cable: None,
            },
            true => {
                let monitor = free_port();
                let address = format!("address={FAR}");
                let server = Server::start(&[&address, &model, &format!("monitor-port={monitor}")]);
                Self {
                    cable: Some(Cable::new([server.port(), monitor])?),
                    server,
                }
            }
        };
        wait_until_listening(&target.server)?;
        Ok(target)
    }

    /// Where an edge finds it.
    pub fn address(&self) -> String {
        match self.cable {
            Some(_) => format!("{NEAR}:{}", self.server.port()),
            None => self.server.address(),
        }
    }

    /// Does it, and undoes it again.
    ///
    /// # Errors
    /// When the server does not come back.
    pub fn suffer(&mut self, act: &Act) -> Result<Span> {
        let begin = super::now();
        let again = match act {
            Act::Nothing { length } => {
                std::thread::sleep(*length);
                begin
            }
            Act::Kill { down } => {
                self.server.kill();
                std::thread::sleep(*down);
                self.start_again()?
            }
            Act::Freeze { length } => {
                self.server.freeze();
                std::thread::sleep(*length);
                self.server.thaw();
                super::now()
            }
            Act::Cut { up, down, length } => {
                let cable = self.cable.as_ref().context("there is no link to cut")?;
                cable.cut(*up, *down)?;
                std::thread::sleep(*length);
                cable.cut(false, false)?;
                super::now()
            }
            Act::Loop { lives } => {
                self.server.kill();
                for life in lives {
                    self.server.restart();
                    std::thread::sleep(*life);
                    self.server.kill();
                }
                self.start_again()?
            }
        };
        Ok(Span { begin, again })
    }

    fn start_again(&mut self) -> Result<f64> {
        self.server.restart();
        wait_until_listening(&self.server)?;
        Ok(super::now())
    }
}

/// # Errors
/// When it does not come to listen.
pub fn wait_until_listening(server: &Server) -> Result<()> {
    let begun = Instant::now();
    while !server.is_listening() {
        if begun.elapsed() > PATIENCE {
            bail!("the server does not listen");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A link between sockets that can be cut.
struct Cable {
    relay: Relay,
    /// With which the relay is woken, that sees a change at once then.
    bell: UdpSocket,
}

impl Cable {
    fn new(ports: [u16; 2]) -> Result<Self> {
        let forward = |port| Forward {
            near: (NEAR, port).into(),
            far: (FAR, port).into(),
        };
        let whole: Arc<Trace> = Arc::new(WHOLE.parse()?);
        let relay = Relay::start(&ports.map(forward), whole, Instant::now(), 1)?;
        let bell = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        bell.connect((NEAR, ports[0]))?;
        Ok(Self { relay, bell })
    }

    fn cut(&self, up: bool, down: bool) -> Result<()> {
        let word = |cut| if cut { "yes" } else { "no" };
        let trace = format!("{WHOLE} up.cut={} down.cut={}", word(up), word(down));
        self.relay.change(Arc::new(trace.parse::<Trace>()?));
        // No packet of QUIC: the server does not heed it.
        self.bell.send(&[0])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_stops_the_way_it_is_for_and_no_other() {
        let far = UdpSocket::bind((FAR, 0)).unwrap();
        let port = far.local_addr().unwrap().port();
        let cable = Cable::new([port, free_port()]).unwrap();
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        near.connect((NEAR, port)).unwrap();
        for socket in [&far, &near] {
            let limit = Duration::from_millis(200);
            socket.set_read_timeout(Some(limit)).unwrap();
        }
        // Until the word comes, past bells of before.
        let hears = |socket: &UdpSocket, word: u8| {
            let mut buffer = [0; 8];
            let mut words =
                std::iter::from_fn(|| socket.recv_from(&mut buffer).ok().map(|r| (buffer[0], r.1)));
            words
                .find(|(heard, _)| *heard == word)
                .map(|(_, from)| from)
        };
        near.send(b"1").unwrap();
        let client = hears(&far, b'1').expect("the link is whole");
        cable.cut(true, false).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        near.send(b"2").unwrap();
        assert_eq!(hears(&far, b'2'), None, "up");
        far.send_to(b"3", client).unwrap();
        assert!(hears(&near, b'3').is_some(), "down");
        cable.cut(false, true).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        near.send(b"4").unwrap();
        assert!(hears(&far, b'4').is_some(), "up");
        far.send_to(b"5", client).unwrap();
        assert_eq!(hears(&near, b'5'), None, "down");
    }
}
