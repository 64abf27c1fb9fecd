// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A `splitinfer-server` in a process of its own, as a user starts it.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Stops when dropped, whatever the test did to it.
pub struct Server {
    child: Child,
    port: u16,
    arguments: Vec<String>,
}

impl Server {
    /// Starts `gst-launch-1.0 splitinfer-server` on a free port of the loopback interface.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(arguments: &[&str]) -> Self {
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let child = launch(port, &arguments);
        Self {
            child,
            port,
            arguments,
        }
    }

    /// Starts it, and waits until it listens: an edge that comes before tries again only after seconds.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn listening(arguments: &[&str]) -> Self {
        let server = Self::start(arguments);
        let begun = Instant::now();
        while !server.is_listening() && begun.elapsed() < crate::pipeline::PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process without giving it a chance to say so.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again at the same address.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(self.port, &self.arguments);
    }

    /// Stops it in its tracks, sockets and all, until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Asks the process to end, as Ctrl-C does, and waits until it has; kills it where it takes longer than `patience`.
    pub fn interrupt(&mut self, patience: Duration) {
        self.signal(libc::SIGINT);
        let begun = Instant::now();
        while self.is_running() && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }

    /// Whether anyone on this machine has a UDP socket at the server's port: the process itself, once it listens.
    pub fn is_listening(&self) -> bool {
        let end = format!(":{:04X}", self.port);
        let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
        let mut local = table.lines().filter_map(|l| l.split_whitespace().nth(1));
        local.any(|address| address.ends_with(&end))
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: it takes no memory; the process is our child and has not been waited for.
        let sent = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        assert_eq!(sent, 0, "signal {signal} is sent");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A UDP port that nobody uses just now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .and_then(|s| s.local_addr())
        .expect("there is a free port")
        .port()
}

/// `gst-launch-1.0` with the plugins of this build.
pub fn gst_launch() -> Command {
    let mut command = Command::new("gst-launch-1.0");
    crate::plugins::provide(&mut command);
    command
}

fn launch(port: u16, arguments: &[String]) -> Child {
    gst_launch()
        .args(["-q", "splitinfer-server"])
        .arg(format!("port={port}"))
        .arg(format!("execution-provider={}", crate::provider().name()))
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("gst-launch-1.0 starts")
}
