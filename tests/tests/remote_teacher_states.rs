// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `teacherlabel server=…` changes state at any moment. In a program of its own: it counts the threads of the process, and
//! other tests have theirs.

use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_tests::dice::Dice;
use splitinfer_tests::labelling::{LIVE, Labelling, server};
use splitinfer_tests::pipeline::PATIENCE;
use splitinfer_tests::process::Server;

/// The states that a stream goes through before it is dropped, and how long that took.
fn round(server: &Server, frozen: bool, dice: &mut Dice) -> Duration {
    let settings = format!("server={} latency-budget=60000", server.address());
    let labelling = Labelling::make(LIVE, &settings);
    for _ in 0..=dice.next(4) {
        let states = [gst::State::Ready, gst::State::Paused, gst::State::Playing];
        let _ = labelling.pipeline.set_state(states[dice.next(3) as usize]);
        std::thread::sleep(Duration::from_millis(dice.next(250)));
        if frozen {
            server.freeze();
        }
        if dice.next(4) == 0 {
            labelling.pipeline.send_event(gst::event::Eos::new());
        }
    }
    let begun = Instant::now();
    drop(labelling);
    begun.elapsed()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn states_change_at_random_moments_and_nothing_hangs_or_stays() {
    splitinfer_tests::init();
    let server = server();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut before = 0;
    for number in 0..40 {
        // The first rounds fill thread pools.
        if number == 10 {
            before = threads();
        }
        let took = round(&server, number % 4 == 3, &mut dice);
        assert!(took < PATIENCE / 4, "round {number}: {took:?}");
        server.thaw();
    }
    let after = threads();
    assert!(
        after <= before + 2,
        "threads: {before} before, {after} after"
    );
}
