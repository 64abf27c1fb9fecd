// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames whose packets are lost and would come again too late: completed from a part, each with its own result.

use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_link::Trace;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_tests::measure::median;
use splitinfer_tests::numbered::{self, Idle};
use splitinfer_tests::pipeline::{Numbered, Received, assert_complete, by_server};
use splitinfer_tests::process::{Server, free_port};
use splitinfer_tools::network::{Forward, Relay};
use tempfile::TempDir;

const FRAMES: u64 = 300;

/// Between an edge and a server: a round trip of 40 ms, and of the packets to the server every twentieth lost.
const LOSSY: &str = "0s rate=50Mbit/s delay=20ms up.loss=5% up.burst=3";
const GOOD: &str = "0s rate=50Mbit/s delay=20ms";

struct Setup {
    stream: Numbered,
    _relay: Relay,
    _server: Server,
    _folder: TempDir,
}

/// A retransmission is too late for the budget.
fn start(link: &str, properties: &[(&str, &str)]) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_wide_model(folder.path()).unwrap();
    let wide = [
        ("split", "mean+wide"),
        ("tensor-bits", "8"),
        ("latency-budget", "85"),
    ];
    start_with(folder, &model, link, &[&wide, properties].concat())
}

/// `folder`: of the model.
fn start_with(folder: TempDir, model: &str, link: &str, properties: &[(&str, &str)]) -> Setup {
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
        edge.set_property("model", model);
        edge.set_property("server", format!("127.0.0.1:{near}"));
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
    std::thread::sleep(Duration::from_millis(300));
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

/// The answer to a frame that was lost comes while this machine is completing it, and ends that.
#[test]
fn a_late_answer_is_taken_although_completion_has_begun() {
    const LOST: &str = "0s rate=50Mbit/s delay=20ms up.loss=30%";
    const SERIAL: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_slow_model(folder.path(), Idle::TenthOfASecond).unwrap();
    let here = time_here(&model);
    let budget = here.mul_f64(2.3) + Duration::from_millis(60);
    let setup = start_with(
        folder,
        &model,
        LOST,
        &[
            ("split", "server"),
            ("latency-budget", &budget.as_millis().to_string()),
        ],
    );
    let received: Vec<Received> = (0..SERIAL)
        .map(|number| {
            setup.stream.push(number);
            setup.stream.next()
        })
        .collect();
    assert_complete(&received, SERIAL);
    // Completion begins before that.
    let begun = budget - here;
    let late = received.iter().filter(|r| {
        let result = r.result.as_ref();
        r.completed() == Completed::Server && result.is_some_and(|r| latency(r) > begun)
    });
    let late = late.count();
    println!(
        "here {here:?}, budget {budget:?}: {late} late, {} by server",
        by_server(&received)
    );
    assert!(late >= 3, "{late} late");
    assert!(by_server(&received) >= 32, "{}", by_server(&received));
}

fn latency(result: &FrameResult) -> Duration {
    Duration::from_nanos(result.latency.nseconds())
}

/// What inference takes on this machine.
fn time_here(model: &str) -> Duration {
    let stream = Numbered::start(false, |edge| edge.set_property("model", model));
    let taken: Vec<f64> = (0..8)
        .map(|number| {
            stream.push(number);
            let result = stream.next().result.unwrap();
            latency(&result).as_secs_f64()
        })
        .collect();
    stream.finish();
    Duration::from_secs_f64(median(&taken))
}
