// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A `splitinfer-server` in a process of its own, as a user starts it.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

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
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.is_ok_and(|s| s.success()), "kill {signal} works");
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
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("gst-launch-1.0 starts")
}
