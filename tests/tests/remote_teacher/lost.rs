// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A server that is not there, goes, freezes, comes back: every frame passes, and labels come again.

use std::time::Duration;

use gst::prelude::*;
use splitinfer_tests::labelling::{Frame, LIVE, Labelling, assert_gapless, server};
use splitinfer_tests::pipeline::PATIENCE;
use splitinfer_tests::process::free_port;

#[test]
fn a_server_killed_and_started_again_costs_labels_and_no_frame() {
    let mut server = server();
    let labelling = Labelling::start(LIVE, &format!("server={}", server.address()));
    let mut frames = labelling.until("labels", Frame::is_labelled);
    server.kill();
    frames.extend(labelling.until("a frame without labels", |f| !f.is_labelled()));
    frames.extend(labelling.frames.iter().take(20));
    server.restart();
    frames.extend(labelling.until("labels again", Frame::is_labelled));
    frames.extend(labelling.frames.iter().take(10));
    assert_gapless(&frames);
    let unanswered = frames.iter().filter(|f| !f.is_labelled()).count();
    let stats = labelling.stats();
    assert!(
        labelling.count("unanswered-frames") >= unanswered as u64,
        "{stats}"
    );
    assert_eq!(stats.get("connected"), Ok(true));
    assert!(stats.get::<u64>("link-received-bytes").unwrap() > 0);
    let notices = labelling.notices();
    let kinds: Vec<&str> = notices.iter().filter_map(|n| n.split(':').next()).collect();
    assert_eq!(kinds, ["warning", "info"], "{notices:?}");
    assert!(notices[0].contains("pass without result"), "{notices:?}");
}

#[test]
fn a_server_that_never_was_is_announced_once_and_the_stream_ends() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let source = LIVE.replace("scenesrc", "scenesrc num-buffers=80");
    let labelling = Labelling::start(&source, &format!("server={nobody}"));
    let (frames, notices) = labelling.end();
    assert_eq!(frames.len(), 80);
    assert_gapless(&frames);
    assert!(frames.iter().all(|f| !f.is_labelled()));
    assert_eq!(labelling.count("unanswered-frames"), 80);
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].starts_with("warning") && notices[0].contains(&nobody),
        "{notices:?}"
    );
}

#[test]
fn the_next_of_several_servers_is_taken() {
    let server = server();
    let servers = format!("127.0.0.1:{},{}", free_port(), server.address());
    let labelling = Labelling::start(LIVE, &format!("server={servers}"));
    labelling.until("labels", Frame::is_labelled);
}

#[test]
fn a_frozen_server_holds_up_the_end_of_a_stream_for_a_bounded_time() {
    let server = server();
    let settings = format!("server={} latency-budget=2000", server.address());
    let labelling = Labelling::start(LIVE, &settings);
    let mut frames = labelling.until("labels", Frame::is_labelled);
    server.freeze();
    frames.extend(labelling.until("a frame without labels", |f| !f.is_labelled()));
    std::thread::sleep(Duration::from_secs(2));
    assert!(labelling.pipeline.send_event(gst::event::Eos::new()));
    frames.extend(labelling.end().0);
    assert_gapless(&frames);
    server.thaw();
}

#[test]
fn a_teacher_that_takes_longer_than_the_budget_holds_up_nobody() {
    let server = server();
    let settings = format!("server={} latency-budget=1", server.address());
    let labelling = Labelling::start(LIVE, &settings);
    let frames: Vec<Frame> = labelling.frames.iter().take(60).collect();
    assert_gapless(&frames);
    let late = frames.iter().filter(|f| !f.is_labelled()).count();
    assert!(late > 50, "{late} of 60");
    let notices = labelling.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("does not answer in time"),
        "{notices:?}"
    );
}

#[test]
fn a_flush_drops_what_is_under_way_and_labels_come_again() {
    let server = server();
    let source = LIVE.replace("scenesrc scene=traffic", "videotestsrc");
    let labelling = Labelling::start(&source, &format!("server={}", server.address()));
    labelling.until("labels", Frame::is_labelled);
    for _ in 0..5 {
        let seek = labelling
            .pipeline
            .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO);
        assert!(seek.is_ok(), "{seek:?}");
        while labelling.frames.try_recv().is_ok() {}
        let frames = labelling.until("labels", Frame::is_labelled);
        assert!(frames.windows(2).all(|f| f[0].pts < f[1].pts));
    }
}

#[test]
fn stopping_while_the_server_is_frozen_waits_for_nobody() {
    let server = server();
    // Longer than the test's patience.
    let settings = format!("server={} latency-budget=60000", server.address());
    for _ in 0..4 {
        let labelling = Labelling::start(LIVE, &settings);
        labelling.until("labels", Frame::is_labelled);
        server.freeze();
        std::thread::sleep(Duration::from_millis(300));
        let begun = std::time::Instant::now();
        drop(labelling);
        assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
        server.thaw();
    }
}
