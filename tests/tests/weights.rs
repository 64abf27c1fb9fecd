// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights while frames pass: every frame has the result of one version, none is lost, whatever happens to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_meta::Completed;
use splitinfer_tests::pipeline::{self, Numbered, PATIENCE, Received};
use splitinfer_tests::process::Server;
use splitinfer_tests::trainer::{EXACT, Trainer, update};
use splitinfer_tests::{numbered, plugins};
use splitinfer_weights::{Versions, encode};

/// A stream whose model the server has, too, and someone who trains.
struct Setup {
    stream: Numbered,
    server: Server,
    trainer: Trainer,
    pushed: u64,
    _folder: tempfile::TempDir,
}

impl Setup {
    fn start(split: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = numbered::write_model(folder.path()).unwrap();
        let server = Server::start(&[&format!("model={model}")]);
        let stream = edge(&model, &server.address(), split);
        let trainer = Trainer::new(Model::load(model.as_ref()).unwrap());
        Self {
            stream,
            server,
            trainer,
            pushed: 0,
            _folder: folder,
        }
    }

    fn push(&mut self, count: u64) {
        for _ in 0..count {
            self.stream
                .push_showing(self.pushed, numbered::distinct(self.pushed));
            self.pushed += 1;
        }
    }

    /// Goes on with frames until `stats` say so.
    fn push_until(&mut self, what: &str, reached: impl Fn(&gst::StructureRef) -> bool) {
        let begun = Instant::now();
        loop {
            self.push(1);
            let stats: gst::Structure = self.stream.edge.property("stats");
            if reached(&stats) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not come true: {}; {stats}",
                pipeline::reports(&self.stream.pipeline)
            );
        }
    }

    fn push_until_version(&mut self, version: u64) {
        self.push_until(&format!("version {version}"), |stats| {
            stats.get("model-version") == Ok(version)
        });
    }

    /// Goes on with frames until the server completes one again: whoever computes beside it may make an answer late, and then the edge
    /// does without it for a while.
    fn push_until_by_server(&mut self) {
        let completed = |stats: &gst::StructureRef| stats.get::<u64>("completed-server").unwrap();
        let before = completed(&self.stream.edge.property::<gst::Structure>("stats"));
        self.push_until("a frame by the server", |stats| {
            std::thread::sleep(Duration::from_millis(2));
            completed(stats) > before
        });
    }

    /// Whether the event was taken for work.
    fn publish(&mut self, turns: usize) -> bool {
        let event = self.trainer.publish(&numbered::turned(turns), &EXACT);
        self.stream.send_upstream(event)
    }

    fn finish(self) -> Vec<Received> {
        let stats: gst::Structure = self.stream.edge.property("stats");
        assert_eq!(stats.get("lost-buffers"), Ok(0u64), "{stats}");
        let received = self.stream.finish();
        assert_eq!(received.len() as u64, self.pushed, "frames out");
        received
    }
}

fn edge(model: &str, server: &str, split: &str) -> Numbered {
    Numbered::start(false, |edge| {
        edge.set_property("model", model);
        edge.set_property("server", server);
        edge.set_property("split", split);
        edge.set_property("latency-budget", 2000u32);
        edge.set_property("update-bitrate", 0u32);
    })
}

/// Checks that every frame is there, in order, with the result that the version it names gives, in both halves, and that
/// versions only go up. `turns`: what each version does to the digits.
fn assert_one_version_each(received: &[Received], turns: &[usize]) {
    let mut version = 0;
    for (n, frame) in (0..).zip(received) {
        assert_eq!((frame.number, frame.offset), (n, n), "order");
        let result = frame
            .result
            .as_ref()
            .unwrap_or_else(|| panic!("frame {n} has no result"));
        assert_eq!(result.frame, n);
        assert!(
            result.model_version >= version,
            "frame {n} goes back to {}",
            result.model_version
        );
        version = result.model_version;
        let expected = turns[version as usize];
        assert_eq!(
            numbered::turns(result, numbered::distinct(n)),
            Some((expected, expected)),
            "frame {n} of version {version}, split {}, completed by {}",
            result.split,
            result.completed
        );
    }
}

/// Of those with this version, how many the server completed, and all. The last frames pushed before an update may still
/// wait in the source, and so begin with the next version.
fn by_server(received: &[Received], version: u64) -> (usize, usize) {
    let of_version = |r: &&Received| {
        let result = r.result.as_ref();
        result.is_some_and(|r| r.model_version == version)
    };
    let all: Vec<&Received> = received.iter().filter(of_version).collect();
    let server = all.iter().filter(|r| r.completed() == Completed::Server);
    (server.count(), all.len())
}

#[test]
fn edge_and_server_change_on_the_same_frame_at_every_split() {
    for split in ["pool1", "skip+pool2", "server", "edge"] {
        let mut setup = Setup::start(split);
        setup.stream.wait_until_connected();
        setup.push(100);
        assert!(setup.publish(1));
        setup.push_until_version(1);
        if split != "edge" {
            setup.push_until_by_server();
        }
        setup.push(100);
        let messages = setup.stream.element_messages("splitinfer-model");
        let [swap] = &messages[..] else {
            panic!("{messages:?}");
        };
        assert_eq!(swap.get("old-version"), Ok(0u64));
        assert_eq!(swap.get("new-version"), Ok(1u64));
        assert_eq!(swap.get("server"), Ok(true));
        let received = setup.finish();
        assert_one_version_each(&received, &[0, 1]);
        let (server, all) = by_server(&received[received.len() - 100..], 1);
        assert_eq!(all, 100);
        match split {
            "edge" => assert_eq!(server, 0),
            _ => assert!(all - server < 5, "{split}: {server} of {all} by the server"),
        }
        let (server, all) = by_server(&received, 0);
        assert!(
            all >= 90 && (split == "edge" || all - server < 10),
            "{server} of {all}"
        );
    }
}

#[test]
fn ten_swaps_in_a_row() {
    let mut setup = Setup::start("pool1");
    setup.stream.wait_until_connected();
    let mut turns = vec![0];
    for version in 1..=10 {
        turns.push(version as usize % 3);
        assert!(setup.publish(version as usize % 3));
        setup.push_until_version(version);
        setup.push(20);
    }
    let stats: gst::Structure = setup.stream.edge.property("stats");
    assert_eq!(stats.get("swaps"), Ok(10u64));
    assert_eq!(stats.get("server-version"), Ok(10u64));
    assert!(setup.stream.notices().is_empty());
    let received = setup.finish();
    assert_one_version_each(&received, &turns);
    for version in 1..=10 {
        let (server, all) = by_server(&received, version);
        assert!(
            all >= 10 && all - server < 5,
            "version {version}: {server} of {all}"
        );
    }
}

#[test]
fn updates_that_come_at_once_are_taken_one_after_the_other() {
    let mut setup = Setup::start("pool1");
    setup.stream.wait_until_connected();
    for version in 1..=3 {
        assert!(setup.publish(version));
    }
    setup.push_until_version(3);
    setup.push(20);
    assert_one_version_each(&setup.finish(), &[0, 1, 2, 3 % 3]);
}

#[test]
fn a_server_killed_during_the_swap_costs_no_frame_and_catches_up() {
    let mut setup = Setup::start("pool1");
    setup.stream.wait_until_connected();
    setup.push(50);
    // It gets the update and says nothing.
    setup.stream.edge.set_property("latency-budget", 100u32);
    setup.server.freeze();
    assert!(setup.publish(1));
    setup.push(50);
    setup.server.kill();
    setup.push_until_version(1);
    setup.push(50);
    let messages = setup.stream.element_messages("splitinfer-model");
    assert_eq!(messages[0].get("server"), Ok(false));
    setup.stream.edge.set_property("latency-budget", 2000u32);
    setup.server.restart();
    setup.push_until("the server has the version", |stats| {
        stats.get("server-version") == Ok(1u64)
    });
    setup.push(100);
    let received = setup.finish();
    assert_one_version_each(&received, &[0, 1]);
    let last = &received[received.len() - 50..];
    assert!(by_server(last, 1).0 > 45, "{:?}", by_server(last, 1));
}

#[test]
fn a_server_restarted_gets_the_version_in_use_from_the_file_on() {
    let mut setup = Setup::start("pool1");
    setup.stream.wait_until_connected();
    for version in 1..=4 {
        setup.publish(version % 3);
        setup.push_until_version(version as u64);
    }
    setup.server.restart();
    setup.push_until("the connection was lost", |stats| {
        stats.get("connected") == Ok(false)
    });
    setup.push_until("the server has the version", |stats| {
        stats.get("server-version") == Ok(4u64)
    });
    setup.push(100);
    setup.publish(2);
    setup.push_until_version(5);
    setup.push(50);
    let received = setup.finish();
    assert_one_version_each(&received, &[0, 1, 2, 0, 1, 2]);
    assert!(by_server(&received, 5).0 > 45);
}

#[test]
fn going_back_is_a_later_version_with_earlier_weights() {
    let mut setup = Setup::start("pool1");
    setup.stream.wait_until_connected();
    setup.publish(1);
    setup.push_until_version(1);
    setup.publish(2);
    setup.push_until_version(2);
    let back = setup.trainer.go_back(1);
    assert!(setup.stream.send_upstream(back));
    setup.push_until_version(3);
    setup.push(20);
    let back = setup.trainer.go_back(0);
    assert!(setup.stream.send_upstream(back));
    setup.push_until_version(4);
    setup.push(20);
    let received = setup.finish();
    assert_one_version_each(&received, &[0, 1, 2, 1, 0]);
    assert!(by_server(&received, 4).0 > 15);
}

#[test]
fn updates_that_do_not_fit_are_refused_in_words_and_the_stream_goes_on() {
    let mut setup = Setup::start("pool1");
    setup.stream.wait_until_connected();
    setup.push(20);

    let other = Versions::new(numbered::turned(1));
    let coded = encode(&other, 1, &numbered::turned(2), &EXACT).unwrap();
    assert!(
        !setup
            .stream
            .send_upstream(splitinfer_meta::weights_event(&update(&coded)))
    );

    let sound = encode(&setup.trainer.versions, 1, &numbered::turned(1), &EXACT).unwrap();
    let mut wrong = update(&sound);
    wrong.version = 7;
    assert!(
        !setup
            .stream
            .send_upstream(splitinfer_meta::weights_event(&wrong))
    );

    let mut damaged = sound.clone();
    let last = damaged.bytes.len() - 3;
    damaged.bytes[last] ^= 0x55;
    // Only decoding shows it.
    assert!(
        setup
            .stream
            .send_upstream(splitinfer_meta::weights_event(&update(&damaged)))
    );

    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let pad = setup.stream.edge.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let missing = info
            .event()
            .is_some_and(|e| splitinfer_meta::is_weights_missing_event(e));
        counted.fetch_add(u32::from(missing), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    let mut ahead = setup.trainer.versions.clone();
    ahead.adopt(1, sound.model.clone());
    let second = encode(&ahead, 2, &numbered::turned(2), &EXACT).unwrap();
    assert!(
        setup
            .stream
            .send_upstream(splitinfer_meta::weights_event(&update(&second)))
    );

    setup.push_until("four refusals", |stats| {
        stats.get("refused-updates") == Ok(4u64)
    });
    let reasons: Vec<String> = setup
        .stream
        .element_messages("splitinfer-weights-refused")
        .iter()
        .map(|s| s.get("reason").unwrap())
        .collect();
    assert_eq!(reasons, ["wrong-base", "damaged", "damaged", "missing"]);
    // For the last one only a version from the file on would help.
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(setup.publish(1), "a sound one is still taken");
    setup.push_until_version(1);
    setup.push(20);

    // The same once more is no news; the same number with other weights is wrong.
    let full = setup.trainer.versions.full().unwrap().unwrap();
    let event = |coded| splitinfer_meta::weights_event(&update(coded));
    assert!(setup.stream.send_upstream(event(&full)));
    let file = Versions::new(setup.trainer.versions.base().clone());
    let other = encode(&file, 1, &numbered::turned(2), &EXACT).unwrap();
    assert!(!setup.stream.send_upstream(event(&other)));
    setup.push(20);
    let refused = setup.stream.element_messages("splitinfer-weights-refused");
    let reasons = refused.iter().map(|s| s.get("reason").unwrap());
    assert_eq!(reasons.collect::<Vec<String>>(), ["outdated"]);
    assert_one_version_each(&setup.finish(), &[0, 1]);
}

#[test]
fn without_a_server_weights_change_too() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let stream = Numbered::start(false, |edge| edge.set_property("model", &model));
    let mut trainer = Trainer::new(Model::load(model.as_ref()).unwrap());
    let mut pushed = 0;
    for version in 1..=3u64 {
        let event = trainer.publish(&numbered::turned(version as usize), &EXACT);
        assert!(stream.send_upstream(event));
        let begun = Instant::now();
        while stream
            .edge
            .property::<gst::Structure>("stats")
            .get("model-version")
            != Ok(version)
        {
            stream.push_showing(pushed, numbered::distinct(pushed));
            pushed += 1;
            assert!(begun.elapsed() < PATIENCE);
        }
    }
    for _ in 0..20 {
        stream.push_showing(pushed, numbered::distinct(pushed));
        pushed += 1;
    }
    let received = stream.finish();
    assert_eq!(received.len() as u64, pushed);
    assert_one_version_each(&received, &[0, 1, 2, 0]);
}

#[test]
fn edges_of_one_server_have_their_own_versions() {
    let mut first = Setup::start("pool1");
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let mut second = Setup {
        stream: edge(&model, &first.server.address(), "pool1"),
        server: Server::start(&["accept-models=true"]),
        trainer: Trainer::new(Model::load(model.as_ref()).unwrap()),
        pushed: 0,
        _folder: folder,
    };
    first.stream.wait_until_connected();
    second.stream.wait_until_connected();
    first.publish(1);
    second.publish(2);
    first.push_until_version(1);
    second.push_until_version(1);
    first.push_until_by_server();
    second.push_until_by_server();
    for _ in 0..50 {
        first.push(1);
        second.push(1);
    }
    // The same weights on both: prepared once, used by each with a decoder of its own.
    first.publish(0);
    second.publish(0);
    first.push_until_version(2);
    second.push_until_version(2);
    first.push_until_by_server();
    second.push_until_by_server();
    for _ in 0..50 {
        first.push(1);
        second.push(1);
    }
    let (first, second) = (first.finish(), second.finish());
    assert_one_version_each(&first, &[0, 1, 0]);
    assert_one_version_each(&second, &[0, 2, 0]);
    for received in [&first, &second] {
        assert!(by_server(received, 1).0 > 40 && by_server(received, 2).0 > 40);
    }
}

#[test]
fn stopping_in_the_middle_of_a_swap_does_not_hang() {
    for wait in [0, 5, 20, 60] {
        let mut setup = Setup::start("pool1");
        setup.stream.wait_until_connected();
        setup.push(5);
        setup.publish(1);
        std::thread::sleep(Duration::from_millis(wait));
        let begun = Instant::now();
        setup.stream.pipeline.set_state(gst::State::Null).unwrap();
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn a_python_program_sends_weights() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let versions = Versions::new(Model::load(model.as_ref()).unwrap());
    let coded = encode(&versions, 1, &numbered::turned(1), &EXACT).unwrap();
    let path = folder.path().join("update");
    std::fs::write(&path, &coded.bytes).unwrap();
    let script = splitinfer_tests::repository().join("tests/send_weights.py");
    let mut python = std::process::Command::new(plugins::system_python());
    let output = plugins::provide(&mut python)
        .arg(script)
        .arg(&model)
        .arg(&path)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = out.lines().collect();
    let [taken, message] = &lines[..] else {
        panic!("{output:?}");
    };
    assert_eq!(*taken, "taken");
    assert!(message.starts_with("splitinfer-model"), "{message}");
    assert!(message.contains("new-version=(guint64)1"), "{message}");
}
