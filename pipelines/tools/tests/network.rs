// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-network` and `splitinfer-splits` as a user starts them.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use splitinfer_tools::network::Entry;

const NETWORK: &str = env!("CARGO_BIN_EXE_splitinfer-network");
const SPLITS: &str = env!("CARGO_BIN_EXE_splitinfer-splits");
const PATIENCE: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_millis(30);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    socket().local_addr().unwrap()
}

/// A program that does not outlive its test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine that is put to sleep meanwhile interrupts who waits.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            received => return received.unwrap(),
        }
    }
}

#[test]
fn a_network_delays_tells_its_steps_and_ends_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("home.trace");
    std::fs::write(
        &trace,
        "0s rate=2Mbit/s delay=30ms\n100ms up.rate=1Mbit/s\n",
    )
    .unwrap();
    let (server, client, near) = (socket(), socket(), free());
    let far = server.local_addr().unwrap();
    let network = Command::new(NETWORK)
        .arg(&trace)
        .arg("--forward")
        .arg(format!("{near}={far}"))
        .stdout(Stdio::piped())
        .spawn();
    let mut network = Running(network.unwrap());
    let mut diary = BufReader::new(network.0.stdout.take().unwrap()).lines();
    let mut entry = || serde_json::from_str::<Entry>(&diary.next().unwrap().unwrap()).unwrap();
    let first = entry();
    let begun = Instant::now();
    client.send_to(b"hello", near).unwrap();
    let mut buffer = [0; 16];
    let (n, from) = receive(&server, &mut buffer);
    assert_eq!(&buffer[..n], b"hello");
    server.send_to(b"you", from).unwrap();
    assert_eq!(receive(&client, &mut buffer).0, 3);
    assert!(begun.elapsed() >= 2 * DELAY);
    let second = entry();
    assert_eq!((first.up_kbit, second.up_kbit), (2000.0, 1000.0));
    assert!((second.unix_s - first.unix_s - 0.1).abs() < 1e-3);
    let told = Command::new("kill")
        .arg(network.0.id().to_string())
        .status();
    assert!(told.unwrap().success());
    assert!(network.0.wait().unwrap().success());
}

#[test]
fn what_is_no_trace_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("home.trace");
    std::fs::write(&trace, "0s rate=2Mbit/s\n1s speed=9\n").unwrap();
    for (file, said) in [
        (trace.as_path(), "line 2"),
        (Path::new("none.trace"), "none.trace"),
    ] {
        let forward = format!("{}={}", free(), free());
        let output = Command::new(NETWORK)
            .arg(file)
            .args(["--forward", &forward])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}

#[test]
fn the_plot_of_a_run_is_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let line = |i: u64| {
        let split = if i < 20 { "server" } else { "relu" };
        format!(
            r#"{{"frame":{i},"pts":{},"split":"{split}","model_version":0,"latency_ms":30.0,"budget_ms":100.0,"completed":"server","objects":[]}}"#,
            i * 40_000_000
        )
    };
    let lines: Vec<String> = (0..40).map(line).collect();
    std::fs::write(at("results.jsonl"), lines.join("\n")).unwrap();
    let entry = r#"{"unix_s":100.0,"up_kbit":6000.0,"down_kbit":9000.0,"delay_ms":20.0,"loss_percent":0.0,"cut":false}"#;
    std::fs::write(at("network.jsonl"), entry).unwrap();
    let draw = |results: &str| {
        Command::new(SPLITS)
            .arg(at(results))
            .arg("--network")
            .arg(at("network.jsonl"))
            .args(["--start", "100", "--budget", "100", "--out"])
            .arg(at("splits"))
            .output()
            .unwrap()
    };
    assert!(draw("results.jsonl").status.success());
    let svg = std::fs::read_to_string(at("splits.svg")).unwrap();
    for text in ["relu", "picture to the server", "link, Mbit/s"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(at("splits.png").metadata().unwrap().len() > 1000);
    let refused = draw("nothing.jsonl");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && text.contains("nothing.jsonl"),
        "{text}"
    );
}
