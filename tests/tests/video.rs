// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures as a video over links that lose, delay, reorder and break: every frame out once with its own result, and the video
//! goes on.

use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;
use splitinfer_link::Trace;
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, assert_complete, by_server};
use splitinfer_tests::process::{Server, free_port};
use splitinfer_tools::network::{Forward, Relay};

struct Setup {
    stream: Numbered,
    relay: Relay,
    _server: Server,
    _folder: tempfile::TempDir,
}

const GOOD: &str = "0s rate=50Mbit/s delay=5ms";

fn link(text: &str) -> Arc<Trace> {
    Arc::new(text.parse().unwrap())
}

fn start(properties: &[(&str, &str)]) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(&[&format!("model={model}"), "monitor-port=-1"]);
    let address = |port| format!("127.0.0.1:{port}").parse().unwrap();
    let near = free_port();
    let forward = Forward {
        near: address(near),
        far: address(server.port()),
    };
    let relay = Relay::start(&[forward], link(GOOD), Instant::now(), 3).unwrap();
    let stream = Numbered::start(true, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", format!("127.0.0.1:{near}"));
        edge.set_property("split", "server-video");
        edge.set_property("latency-budget", 200u32);
        for (name, value) in properties {
            edge.set_property_from_str(name, value);
        }
    });
    stream.wait_until_connected();
    Setup {
        stream,
        relay,
        _server: server,
        _folder: folder,
    }
}

impl Setup {
    fn count(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.stream.edge.property("stats");
        stats.get(name).unwrap()
    }
}

#[test]
fn bursts_of_loss_and_disorder_cost_few_frames() {
    let setup = start(&[]);
    let bad = "0s rate=20Mbit/s delay=10ms jitter=6ms loss=5% burst=3 reorder=2%";
    setup.relay.change(link(bad));
    setup.stream.push_live(600, |_| {});
    let (frames, keys) = (setup.count("video-frames"), setup.count("video-key-frames"));
    let received = setup.stream.finish();
    assert_complete(&received, 600);
    println!(
        "{} of 600 by the server, {keys} key pictures of {frames}",
        by_server(&received)
    );
    assert!(by_server(&received) > 450, "{}", by_server(&received));
    // What is lost on the way is sent again: the video is not broken by it.
    assert!(keys <= frames / 10, "{keys} key pictures of {frames}");
}

#[test]
fn a_link_that_is_cut_breaks_the_video_and_it_begins_again() {
    let setup = start(&[]);
    setup.stream.push_live(500, |number| match number {
        150 => setup
            .relay
            .change(link("0s rate=50Mbit/s delay=5ms cut=yes")),
        200 => setup.relay.change(link(GOOD)),
        _ => {}
    });
    let keys = setup.count("video-key-frames");
    let received = setup.stream.finish();
    assert_complete(&received, 500);
    assert!(by_server(&received[..150]) > 110, "before");
    assert!(by_server(&received[350..]) > 110, "after");
    assert!(keys >= 2, "{keys}");
}

#[test]
fn an_encoder_of_the_users_choice_makes_the_video() {
    if gst::init().is_err() || gst::ElementFactory::find("openh264enc").is_none() {
        println!("skipped: there is no openh264enc");
        return;
    }
    let setup = start(&[("video-encoder", "openh264enc complexity=low")]);
    setup.stream.push_live(120, |_| {});
    let received = setup.stream.finish();
    assert_complete(&received, 120);
    assert!(by_server(&received) > 60, "{}", by_server(&received));
    let splits = received.iter().filter_map(|r| r.result.as_ref());
    assert!(splits.filter(|r| r.split == "server-video").count() > 60);
}

#[test]
fn an_encoder_that_fails_later_ends_the_video_and_nothing_else() {
    // The pictures that are tried at the start count, too; with `auto` it fails while the choices are measured.
    for (split, pictures) in [("server-video", 30), ("auto", 3)] {
        let encoder = format!("identity error-after={pictures} ! x264enc tune=zerolatency");
        let setup = start(&[("video-encoder", &encoder), ("split", split)]);
        setup.stream.push_live(120, |_| {});
        let received = setup.stream.finish();
        assert_complete(&received, 120);
        let filmed = received.iter().filter_map(|r| r.result.as_ref());
        let filmed = filmed.filter(|r| r.split == "server-video").count();
        assert!(filmed < pictures, "{split}: {filmed}");
    }
}

#[test]
fn an_encoder_that_is_of_no_use_is_an_error_at_the_start() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    for (encoder, said) in [
        ("nosuchenc", "nosuchenc"),
        ("x264enc", "gave nothing for"),
        ("jpegenc", "could not link"),
    ] {
        let edge = gst::ElementFactory::make("splitinfer-edge")
            .property("model", &model)
            .property("server", "127.0.0.1:9")
            .property("video-encoder", encoder)
            .build()
            .unwrap();
        let bus = gst::Bus::new();
        edge.set_bus(Some(&bus));
        assert!(edge.set_state(gst::State::Paused).is_err(), "{encoder}");
        let error = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = error.view() else {
            panic!("{error:?}");
        };
        let text = error.error().to_string();
        assert!(
            text.contains("video-encoder") && text.contains(said),
            "{encoder}: {text}"
        );
        edge.set_state(gst::State::Null).unwrap();
    }
}
