// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edge and server as two processes: every frame out once, in order, with its own result, whatever happens to the server.

use gst::prelude::*;
use splitinfer_meta::Completed;
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, assert_complete, by_server};
use splitinfer_tests::process::{Server, free_port};

const FRAMES: u64 = 1000;

/// A stream whose model the server has, too.
struct Setup {
    stream: Numbered,
    server: Server,
    _folder: tempfile::TempDir,
}

fn start(live: bool, split: &str) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(&[&format!("model={model}")]);
    let stream = Numbered::start(live, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", server.address());
        edge.set_property("split", split);
        edge.set_property("latency-budget", 300u32);
    });
    Setup {
        stream,
        server,
        _folder: folder,
    }
}

fn candidates(stream: &Numbered) -> Vec<String> {
    let stats: gst::Structure = stream.edge.property("stats");
    let rows = stats.get::<gst::Array>("candidates").unwrap();
    rows.iter()
        .map(|row| row.get::<gst::Structure>().unwrap().get("name").unwrap())
        .collect()
}

#[test]
fn a_thousand_frames_at_every_candidate() {
    let names = candidates(&start(false, "auto").stream);
    assert!(
        names.len() >= 2 && names.iter().any(|n| n.contains('+')),
        "{names:?}"
    );
    for split in names
        .iter()
        .map(String::as_str)
        .chain(["server", "server-video", "edge"])
    {
        let setup = start(false, split);
        setup.stream.wait_until_connected();
        (0..FRAMES).for_each(|n| setup.stream.push(n));
        let received = setup.stream.finish();
        assert_complete(&received, FRAMES);
        let here = received.len() - by_server(&received);
        match split {
            "edge" => assert_eq!(here as u64, FRAMES),
            _ => assert!(
                here < 50,
                "{split}: {here} of {FRAMES} frames were completed here"
            ),
        }
        assert!(received.iter().all(|r| {
            r.result
                .as_ref()
                .is_some_and(|r| r.split == split || r.split == "edge")
        }));
    }
}

#[test]
fn the_split_changes_while_it_plays_and_nothing_is_lost() {
    let setup = start(false, "edge");
    setup.stream.wait_until_connected();
    let mut splits = candidates(&setup.stream);
    let cuts = splits.len() as u64;
    splits.extend(["server".into(), "server-video".into(), "edge".into()]);
    for number in 0..FRAMES {
        if number % 7 == 0 {
            let split = &splits[(number / 7) as usize % splits.len()];
            setup.stream.edge.set_property("split", split);
        }
        setup.stream.push(number);
    }
    let stats: gst::Structure = setup.stream.edge.property("stats");
    let received = setup.stream.finish();
    assert_complete(&received, FRAMES);
    // A cut that the stream comes back to goes on where it was: only the frames of the first seven stand alone, until
    // the server has answered one.
    let frames = stats.get::<u64>("tensor-frames").unwrap();
    let keys = stats.get::<u64>("tensor-key-frames").unwrap();
    assert!(
        frames > FRAMES / 3 && keys <= cuts * 7,
        "{keys} of {frames}"
    );
    // One of the splits is all here.
    let here = received.len() - by_server(&received);
    let most = FRAMES as usize / splits.len() + 100;
    assert!(here < most, "{here} frames were completed here");
    for split in &splits {
        let n = received
            .iter()
            .filter(|r| r.result.as_ref().is_some_and(|r| r.split == *split))
            .count();
        assert!(n > 0, "no frame was split at {split}");
    }
}

#[test]
fn a_server_killed_and_started_again_costs_no_frame() {
    killed_and_started_again("pool1");
}

#[test]
fn nor_does_it_while_pictures_go_there_as_a_video() {
    killed_and_started_again("server-video");
}

fn killed_and_started_again(split: &str) {
    let mut setup = start(true, split);
    setup.stream.wait_until_connected();
    setup.stream.push_live(FRAMES, |number| match number {
        300 => setup.server.kill(),
        500 => setup.server.restart(),
        _ => {}
    });
    let notices = setup.stream.notices();
    let received = setup.stream.finish();
    assert_complete(&received, FRAMES);
    assert!(
        by_server(&received[..290]) > 280,
        "before the server was killed"
    );
    assert_eq!(by_server(&received[310..490]), 0, "while it was gone");
    assert!(by_server(&received[800..]) > 180, "after it came back");
    let kinds: Vec<&str> = notices.iter().filter_map(|n| n.split(':').next()).collect();
    assert_eq!(kinds, ["warning", "info"], "{notices:?}");
}

#[test]
fn a_frozen_server_costs_no_frame_and_no_more_than_the_budget() {
    frozen("pool1");
}

#[test]
fn a_frozen_server_breaks_a_video_and_it_goes_on() {
    frozen("server-video");
}

fn frozen(split: &str) {
    let setup = start(true, split);
    setup.stream.wait_until_connected();
    setup.stream.push_live(FRAMES, |number| match number {
        200 => setup.server.freeze(),
        400 => setup.server.thaw(),
        _ => {}
    });
    let received = setup.stream.finish();
    assert_complete(&received, FRAMES);
    assert_eq!(by_server(&received[215..395]), 0, "while it was frozen");
    assert!(by_server(&received[800..]) > 180, "after it came back");
}

#[test]
fn a_server_that_never_was_is_announced_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let nobody = format!("127.0.0.1:{}", free_port());
    let stream = Numbered::start(true, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", &nobody);
        edge.set_property("split", "pool1");
    });
    stream.push_live(FRAMES, |_| {});
    let notices = stream.notices();
    let received = stream.finish();
    assert_complete(&received, FRAMES);
    assert_eq!(by_server(&received), 0);
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].starts_with("warning") && notices[0].contains(&nobody),
        "{notices:?}"
    );
}

#[test]
fn skipping_at_the_deadline_marks_frames_as_without_result() {
    let setup = start(true, "pool1");
    setup
        .stream
        .edge
        .set_property_from_str("on-deadline", "skip");
    setup.stream.wait_until_connected();
    setup.stream.push_live(120, |number| {
        if number == 60 {
            setup.server.freeze();
        }
    });
    let received = setup.stream.finish();
    assert_eq!(received.len(), 120);
    assert!(received.iter().any(|r| r.completed() == Completed::None));
    for frame in &received {
        assert_eq!(
            frame.read,
            (frame.completed() != Completed::None).then_some(frame.number)
        );
    }
}

/// Streams with this `output-error` until the step is one that is `wanted`, and gives the mean bytes of a frame.
fn bytes_until(output_error: f32, wanted: impl Fn(f64) -> bool) -> u64 {
    let setup = start(false, "pool1");
    setup.stream.edge.set_property("output-error", output_error);
    setup.stream.wait_until_connected();
    let stats = || setup.stream.edge.property::<gst::Structure>("stats");
    let reached = |_| stats().get("tensor-step").is_ok_and(&wanted);
    let mut frames = (0..50_000).inspect(|n| setup.stream.push(*n));
    assert!(frames.any(reached), "{}", stats());
    let bytes = stats().get("bytes-per-frame").unwrap();
    setup.stream.finish();
    bytes
}

#[test]
fn tensors_are_coded_as_coarsely_as_the_outputs_allow() {
    let coarse = bytes_until(5.0, |step| step > 0.08);
    let fine = bytes_until(0.1, |step| step < 0.02);
    assert!(coarse < fine, "{coarse} {fine}");
}

#[test]
fn while_it_runs_it_is_found_out_how_much_each_channel_matters() {
    let setup = start(false, "pool1");
    setup.stream.wait_until_connected();
    let stats = || setup.stream.edge.property::<gst::Structure>("stats");
    let tuned = |_| stats().get("tensor-tuned") == Ok(true);
    let mut frames = (0..50_000).inspect(|n| setup.stream.push(*n));
    let sent = frames.position(tuned);
    let sent = sent.unwrap_or_else(|| panic!("{}", stats())) + 1;
    assert_complete(&setup.stream.finish(), sent as u64);
}

#[test]
fn a_server_that_takes_no_video_gets_single_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(&[&format!("model={model}"), "accept-video=false"]);
    let stream = Numbered::start(false, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", server.address());
        edge.set_property("split", "server-video");
    });
    stream.wait_until_connected();
    (0..200).for_each(|n| stream.push(n));
    let received = stream.finish();
    assert_complete(&received, 200);
    let splits = received.iter().filter_map(|r| r.result.as_ref());
    assert!(splits.clone().all(|r| r.split != "server-video"));
    assert!(splits.filter(|r| r.split == "server").count() > 150);
}
