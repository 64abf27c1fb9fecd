// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights from the pipeline behind the server's pad: the edge takes them, and both change on the same frame.

use std::time::Instant;

use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_meta::Completed;
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, PATIENCE};
use splitinfer_tests::trainer::{EXACT, Trainer, update};
use splitinfer_weights::{Versions, encode};

/// A server in this process, with a sink behind its pad.
struct Served {
    pipeline: gst::Pipeline,
    server: gst::Element,
    sink: gst::Element,
}

impl Served {
    fn start(model: &str) -> Self {
        splitinfer_tests::init();
        let text = format!(
            "splitinfer-server name=srv port=0 update-bitrate=0 model={model} srv. ! fakesink name=sink sync=false async=false"
        );
        let pipeline = gst::parse::launch(&text).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            server: pipeline.by_name("srv").unwrap(),
            sink: pipeline.by_name("sink").unwrap(),
            pipeline,
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.property::<u32>("current-port"))
    }

    /// The next message of this event about weights.
    fn wait_for(&self, event: &str) -> gst::Structure {
        let bus = self.pipeline.bus().unwrap();
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        loop {
            let message = bus
                .timed_pop_filtered(patience, &[gst::MessageType::Element])
                .unwrap_or_else(|| panic!("no message '{event}'"));
            let structure = message.structure().unwrap();
            if structure.name() == "splitinfer-model" && structure.get("event") == Ok(event) {
                return structure.to_owned();
            }
        }
    }

    fn ready_versions(&self) -> u64 {
        let stats: gst::Structure = self.server.property("stats");
        let clients = stats.get::<gst::Array>("clients").unwrap();
        let client = clients.first().unwrap().get::<gst::Structure>().unwrap();
        client.get("ready-versions").unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn what_is_trained_behind_the_server_changes_edge_and_server_on_the_same_frame() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let served = Served::start(&model);
    let stream = Numbered::start(false, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", served.address());
        edge.set_property("split", "pool1");
        edge.set_property("latency-budget", 2000u32);
        edge.set_property("update-bitrate", 0u32);
    });
    stream.wait_until_connected();
    let mut trainer = Trainer::new(Model::load(model.as_ref()).unwrap());
    let mut pushed = 0;
    let mut push = || {
        stream.push_showing(pushed, numbered::distinct(pushed));
        pushed += 1;
    };
    (0..50).for_each(|_| push());
    for version in 1..=5u64 {
        let event = trainer.publish(&numbered::turned(version as usize % 3), &EXACT);
        assert!(served.sink.send_event(event));
        let begun = Instant::now();
        while stream
            .edge
            .property::<gst::Structure>("stats")
            .get("model-version")
            != Ok(version)
        {
            push();
            assert!(begun.elapsed() < PATIENCE, "version {version}");
        }
        (0..30).for_each(|_| push());
        assert_eq!(served.wait_for("ready").get("version"), Ok(version));
        assert_eq!(served.wait_for("taken").get("version"), Ok(version));
        // The one before goes once its last frame has left.
        let begun = Instant::now();
        while served.ready_versions() > 1 {
            push();
            assert!(begun.elapsed() < PATIENCE, "version {} stays", version - 1);
        }
    }
    let received = stream.finish();
    assert_eq!(received.len() as u64, pushed);
    let mut by_server = [0; 6];
    for (n, frame) in (0..).zip(&received) {
        let result = frame.result.as_ref().unwrap();
        let turns = result.model_version as usize % 3;
        let read = numbered::turns(result, numbered::distinct(n));
        assert_eq!(
            read,
            Some((turns, turns)),
            "frame {n} of version {}",
            result.model_version
        );
        by_server[result.model_version as usize] +=
            u32::from(result.completed == Completed::Server);
    }
    assert!(by_server.iter().all(|n| *n > 25), "{by_server:?}");
}

#[test]
fn an_update_that_the_edge_does_not_take_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let served = Served::start(&model);
    let base = Versions::new(Model::load(model.as_ref()).unwrap());
    let coded = encode(&base, 1, &numbered::turned(1), &EXACT).unwrap();
    let event = |coded| splitinfer_meta::weights_event(&update(coded));
    assert!(!served.sink.send_event(event(&coded)), "there is no edge");

    let stream = Numbered::start(false, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", served.address());
    });
    stream.wait_until_connected();
    let other = Versions::new(numbered::turned(2));
    let wrong = encode(&other, 1, &numbered::turned(1), &EXACT).unwrap();
    assert!(!served.sink.send_event(event(&wrong)), "another model");

    let mut damaged = coded.clone();
    let last = damaged.bytes.len() - 3;
    damaged.bytes[last] ^= 0x55;
    assert!(served.sink.send_event(event(&damaged)));
    let rejected = served.wait_for("rejected");
    assert_eq!(rejected.get("reason"), Ok("damaged"));
    assert!(
        served.sink.send_event(event(&coded)),
        "a sound one is still taken"
    );
    assert_eq!(served.wait_for("taken").get("version"), Ok(1u64));
    stream.push(0);
    assert!(
        served.sink.send_event(event(&coded)),
        "who has it takes no notice"
    );
    assert_eq!(stream.finish().len(), 1);
    let bus = served.pipeline.bus().unwrap();
    let rejected = |message: gst::Message| {
        let structure = message.structure();
        structure.is_some_and(|s| s.get("event") == Ok("rejected"))
    };
    assert!(!std::iter::from_fn(|| bus.pop()).any(rejected));
}
