// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! State changes, ends of stream and interruptions at random moments: no hang, no crash, nothing leaked.

use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_tests::dice::Dice;
use splitinfer_tests::numbered;
use splitinfer_tests::process::{Server, gst_launch};

const ROUNDS: u32 = 200;
/// Longer than any of this takes on a busy machine.
const HANG: Duration = Duration::from_secs(30);

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Threads, open files and sockets, and resident memory in kB of this process.
fn resources() -> (usize, usize, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    (count("/proc/self/task"), count("/proc/self/fd"), resident)
}

fn round(model: &str, server: &str, dice: &mut Dice) {
    let text = format!(
        "videotestsrc is-live={} ! video/x-raw,width=64,height=48,framerate=60/1 \
         ! splitinfer-edge name=edge model={model} server={server} split=pool1 ! inferjson ! fakesink",
        dice.next(2) == 0
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    for _ in 0..=dice.next(3) {
        let states = [
            gst::State::Ready,
            gst::State::Paused,
            gst::State::Playing,
            gst::State::Playing,
        ];
        let _ = pipeline.set_state(states[dice.next(4) as usize]);
        std::thread::sleep(Duration::from_millis(dice.next(40)));
        // While it is paused, sources wait for the streaming thread before they take an event, whatever comes after
        // them, and a sink that waits for PLAYING holds up that thread.
        if pipeline.current_state() == gst::State::Playing {
            interrupt(&pipeline, dice);
        }
    }
    let begun = Instant::now();
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(
        begun.elapsed() < HANG,
        "stopping took {:?}",
        begun.elapsed()
    );
}

fn interrupt(pipeline: &gst::Element, dice: &mut Dice) {
    match dice.next(4) {
        0 => {
            pipeline.send_event(gst::event::Eos::new());
        }
        1 => {
            let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
            bin.by_name("edge").unwrap().set_property("split", "server");
        }
        2 => {
            let to = gst::ClockTime::from_seconds(dice.next(5));
            let _ = pipeline.seek_simple(gst::SeekFlags::FLUSH, to);
        }
        _ => {}
    }
}

#[test]
fn two_hundred_random_lives_leave_nothing_behind() {
    splitinfer_tests::init();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(&[&format!("model={model}")]);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    // The first rounds fill caches and thread pools.
    (0..20).for_each(|_| round(&model, &server.address(), &mut dice));
    let before = resources();
    (0..ROUNDS).for_each(|_| round(&model, &server.address(), &mut dice));
    let after = resources();
    assert!(
        after.0 <= before.0 + 2,
        "threads: {} before, {} after",
        before.0,
        after.0
    );
    assert!(
        after.1 <= before.1 + 2,
        "files and sockets: {} before, {} after",
        before.1,
        after.1
    );
    assert!(
        after.2 < before.2 + 30_000,
        "resident kB: {} before, {} after",
        before.2,
        after.2
    );
}

#[test]
fn ctrl_c_ends_edge_and_server_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(&[&format!("model={model}")]);
    let mut dice = Dice(7);
    for _ in 0..8 {
        let mut edge = gst_launch()
            .args(["-q", "-e", "videotestsrc", "is-live=true", "!"])
            .args([
                "video/x-raw,width=64,height=48,framerate=30/1",
                "!",
                "splitinfer-edge",
            ])
            .args([
                format!("model={model}"),
                format!("server={}", server.address()),
                "split=pool1".into(),
            ])
            .args(["!", "fakesink"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(100 + dice.next(900)));
        let begun = Instant::now();
        std::process::Command::new("kill")
            .args(["-INT", &edge.id().to_string()])
            .status()
            .unwrap();
        while edge.try_wait().unwrap().is_none() {
            if begun.elapsed() > HANG {
                let _ = edge.kill();
                panic!("Ctrl-C did not end the edge");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
