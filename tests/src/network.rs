// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Two machines and the link between them: two network namespaces that nothing else sees and that leave nothing behind.
//! The thread that makes them is one of the machines, together with the threads that it starts.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::process::gst_launch;

/// Of the two machines.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const MOVED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
/// On the far machine, of QUIC and of the monitor.
pub const PORT: u16 = 5050;
pub const MONITOR_PORT: u16 = 5051;
const TOKEN: &str = "secret";

/// A shaper's bucket that holds one full packet, the least it can.
pub const ONE_PACKET: u32 = 1540;

/// See the module's documentation.
pub struct Network {
    near: File,
    far: File,
}

impl Network {
    /// `None`, and says so, without the rights to make it or the programs `ip` and `tc`.
    pub fn new() -> Option<Self> {
        Self::build()
            .inspect_err(|e| println!("skipped: network namespaces: {e}"))
            .ok()
    }

    fn build() -> io::Result<Self> {
        // The name of a thread's own namespace changes with the thread, an open file does not.
        let far = std::thread::spawn(own_namespace)
            .join()
            .map_err(|_| io::Error::other("a thread ended"))??;
        let near = own_namespace()?;
        let network = Self { near, far };
        let (near, far) = (network.near.as_raw_fd(), network.far.as_raw_fd());
        let create = ["link", "add", "near", "type", "veth", "peer", "name", "far"];
        run(inside(near, "ip").args(create))?;
        let away = format!("/proc/{}/fd/{far}", std::process::id());
        run(inside(near, "ip").args(["link", "set", "far", "netns", &away]))?;
        for (fd, name, address) in [(near, "near", NEAR), (far, "far", FAR)] {
            let address = format!("{address}/24");
            run(inside(fd, "ip").args(["addr", "add", &address, "dev", name]))?;
            for device in [name, "lo"] {
                run(inside(fd, "ip").args(["link", "set", device, "up"]))?;
            }
        }
        // So that rules of ours come before that for the machine's own addresses.
        let rule = |what: &[&str]| run(inside(far, "ip").arg("rule").args(what));
        rule(&["add", "pref", "100", "lookup", "local"])?;
        rule(&["del", "pref", "0"])?;
        Ok(network)
    }

    /// From now on the near machine sends `kbit` a second, IP headers included, and after a pause `bucket` bytes at once.
    ///
    /// # Panics
    /// When the system cannot do it.
    pub fn set_rate(&self, kbit: u32, bucket: u32) {
        let (rate, bucket) = (format!("{kbit}kbit"), bucket.to_string());
        // Without the headers of Ethernet, which an uplink does not have.
        let qdisc = ["qdisc", "replace", "dev", "near", "stab", "overhead", "-14"];
        let shaper = ["linklayer", "ethernet", "root", "tbf", "rate", &rate];
        let queue = ["burst", &bucket, "limit", "200kb"];
        let mut tc = inside(self.near.as_raw_fd(), "tc");
        tc.args(qdisc).args(shaper).args(queue);
        run(&mut tc).expect("tc shapes the link");
    }

    /// Whether the far machine loses all that comes to this UDP port without a word, as behind a firewall.
    ///
    /// # Panics
    /// When the system cannot do it.
    pub fn block(&self, port: u16, blocked: bool) {
        let (verb, port) = (if blocked { "add" } else { "del" }, port.to_string());
        // UDP by its number: the name is known only where there is /etc/protocols.
        let rule = ["pref", "50", "ipproto", "17", "dport", &port, "blackhole"];
        let mut ip = inside(self.far.as_raw_fd(), "ip");
        run(ip.args(["rule", verb]).args(rule)).expect("ip sets rules");
    }

    /// Gives the near machine another address of the same network, in place of [`NEAR`], as when it joins another Wi-Fi.
    ///
    /// # Panics
    /// When the system cannot do it.
    pub fn move_near(&self) {
        let near = self.near.as_raw_fd();
        let address = |verb, address: Ipv4Addr| {
            let address = format!("{address}/24");
            run(inside(near, "ip").args(["addr", verb, &address, "dev", "near"]))
        };
        // In this order: with its network's first address the system would remove the others, too.
        address("del", NEAR).expect("an address is removed");
        address("add", MOVED).expect("an address is added");
    }

    /// Has a thread run on the far machine.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn on_far<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let far = self.far.try_clone().expect("a file can be cloned");
        std::thread::spawn(move || {
            enter(far.as_raw_fd()).expect("the namespace is entered");
            work()
        })
    }
}

/// A program on one of the machines.
fn inside(fd: i32, program: &str) -> Command {
    on(Command::new(program), fd)
}

fn on(mut command: Command, fd: i32) -> Command {
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        command.pre_exec(move || enter(fd));
    }
    command
}

fn enter(fd: i32) -> io::Result<()> {
    // SAFETY: takes no memory of ours.
    match unsafe { libc::setns(fd, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Moves this thread into a new namespace.
fn own_namespace() -> io::Result<File> {
    // SAFETY: takes no memory of ours.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    File::open("/proc/thread-self/ns/net")
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {text}")))
}

/// A `splitinfer-server` on the far machine. Stops when dropped.
pub struct FarServer {
    child: Child,
    folder: tempfile::TempDir,
    model: String,
    pub fingerprint: String,
    far: File,
}

impl FarServer {
    /// # Panics
    /// When it cannot be started.
    pub fn start(network: &Network, model: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let far = network.far.try_clone().expect("a file can be cloned");
        let (child, fingerprint) = launch(&far, &folder, model);
        Self {
            child,
            folder,
            model: model.to_owned(),
            fingerprint,
            far,
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, with the same certificate.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, self.fingerprint) = launch(&self.far, &self.folder, &self.model);
    }

    /// Has an edge use it.
    pub fn configure(&self, edge: &gst::Element) {
        use gst::prelude::*;
        edge.set_property("model", &self.model);
        edge.set_property("server", format!("{FAR}:{PORT}"));
        edge.set_property("server-fingerprint", &self.fingerprint);
        edge.set_property("auth-token", TOKEN);
    }
}

impl Drop for FarServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process, once it listens, and its certificate's fingerprint.
fn launch(far: &File, folder: &tempfile::TempDir, model: &str) -> (Child, String) {
    let mut command = on(gst_launch(), far.as_raw_fd());
    command
        .args(["splitinfer-server", "address=0.0.0.0"])
        .arg(format!("port={PORT}"))
        .arg(format!("monitor-port={MONITOR_PORT}"))
        .arg(format!("auth-token={TOKEN}"))
        .arg(format!("model={model}"))
        .env("XDG_DATA_HOME", folder.path())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("gst-launch-1.0 starts");
    let out = child.stdout.take().expect("it was asked for");
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let fingerprint = lines.find_map(|line| {
        let (_, rest) = line.split_once("on other machines): ")?;
        let end = |c: char| !(c.is_ascii_hexdigit() || c == ':');
        Some(rest.split(end).next()?.to_owned())
    });
    // What comes later is read, too, so that the process does not wait for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (child, fingerprint.expect("it says that it listens"))
}
