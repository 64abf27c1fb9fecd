// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames whose packets are lost and would come again too late: completed from a part, each with its own result.

use std::time::Instant;

use gst::prelude::*;
use splitinfer_link::Trace;
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, Received, assert_complete, by_server};
use splitinfer_tests::process::{Server, free_port};
use splitinfer_tools::network::{Forward, Relay};

const FRAMES: u64 = 300;

/// Between an edge and a server: a round trip of 40 ms, and of the packets to the server every twentieth lost.
const LOSSY: &str = "0s rate=50Mbit/s delay=20ms up.loss=5% up.burst=3";
const GOOD: &str = "0s rate=50Mbit/s delay=20ms";

struct Setup {
    stream: Numbered,
    _relay: Relay,
    _server: Server,
    _folder: tempfile::TempDir,
}

/// A retransmission is too late for the budget.
fn start(link: &str, properties: &[(&str, &str)]) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_wide_model(folder.path()).unwrap();
    let server = Server::listening(&[&format!("model={model}"), "monitor-port=-1"]);
    let address = |port| format!("127.0.0.1:{port}").parse().unwrap();
    let near = free_port();
    let forward = Forward {
        near: address(near),
        far: address(server.port()),
    };
    let trace: Trace = link.parse().unwrap();
    let relay = Relay::start(&[forward], trace.into(), Instant::now(), 5).unwrap();
    let stream = Numbered::start(true, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", format!("127.0.0.1:{near}"));
        edge.set_property("split", "mean+wide");
        edge.set_property("tensor-bits", 8u32);
        edge.set_property("latency-budget", 85u32);
        for (name, value) in properties {
            edge.set_property_from_str(name, value);
        }
    });
    stream.wait_until_connected();
    Setup {
        stream,
        _relay: relay,
        _server: server,
        _folder: folder,
    }
}

/// Frames with the shares that they were completed from.
fn in_part(received: &[Received]) -> Vec<f64> {
    let results = received.iter().filter_map(|r| r.result.as_ref());
    results.filter_map(|result| result.received).collect()
}

/// What came out of a live stream, and the last `stats`.
fn play(setup: Setup) -> (Vec<Received>, gst::Structure) {
    setup.stream.push_live(FRAMES, |_| {});
    // The last answers are under way.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let stats = setup.stream.edge.property("stats");
    (setup.stream.finish(), stats)
}

#[test]
fn frames_are_completed_from_what_has_come_of_them() {
    let (received, stats) = play(start(LOSSY, &[("incomplete-frames", "always")]));
    // Each has the digits of its own picture.
    assert_complete(&received, FRAMES);
    let shares = in_part(&received);
    println!(
        "{} in part, {} by server: {stats}",
        shares.len(),
        by_server(&received)
    );
    assert!(shares.len() > 12, "{}", shares.len());
    assert!(shares.iter().all(|s| (0.5..1.0).contains(s)), "{shares:?}");
    assert_eq!(
        stats.get::<u64>("incomplete-answers").unwrap(),
        shares.len() as u64
    );
    // Nothing was predicted from one of them: the server would not know it.
    let late = received.iter().filter(|r| {
        r.result
            .as_ref()
            .is_some_and(|r| r.budget.is_some_and(|b| r.latency > b))
    });
    assert!(late.count() < 15, "late");
}

#[test]
fn where_this_machine_is_in_time_it_completes_them() {
    let (received, _) = play(start(LOSSY, &[]));
    assert_complete(&received, FRAMES);
    assert!(in_part(&received).is_empty(), "{:?}", in_part(&received));
    assert!(by_server(&received) > 100, "{}", by_server(&received));
}

#[test]
fn where_this_machine_must_not_complete_them_the_server_does() {
    let (received, stats) = play(start(LOSSY, &[("on-deadline", "skip")]));
    assert_eq!(received.len() as u64, FRAMES);
    let wrong = received.iter().filter(|r| {
        let read = r.read;
        read.is_some_and(|read| read != r.number % numbered::NUMBERS)
    });
    assert_eq!(wrong.count(), 0);
    assert!(in_part(&received).len() > 12, "{stats}");
}

#[test]
fn without_loss_every_frame_is_whole() {
    let (received, stats) = play(start(GOOD, &[("incomplete-frames", "always")]));
    assert_complete(&received, FRAMES);
    println!("{} by server: {stats}", by_server(&received));
    // A machine with other work may be late once in a while.
    assert!(in_part(&received).len() < 10, "{stats}");
    assert!(by_server(&received) > 250, "{stats}");
}
