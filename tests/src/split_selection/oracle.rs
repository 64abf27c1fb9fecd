// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The oracle: it knows the trace, every loss and jitter to come, and the state of every queue.
//!
//! Before each frame it tries every choice, with the answer waited for until completion here would still be in time or
//! until the deadline, on a copy of the world, held for the next few frames, and takes the one with
//! which these have the least latency in sum. Looking one frame ahead is greedy; more frames see what a choice does to the
//! ones behind, and what a switch pays back. Which is best differs from trace to trace: the oracle of a trace is the run
//! with the least mean latency among those that look 1, 3 and 9 frames ahead and all that never change.

use std::sync::Arc;
use std::time::Duration;

use splitinfer_plan::Choice;

use super::run::{Frames, Run};
use super::setting::Setting;
use super::world::{Order, World};

pub const HORIZONS: [u32; 3] = [1, 3, 9];

const MARGIN: Duration = Duration::from_millis(2);

/// A run that looks `horizon` frames ahead.
pub fn run(setting: &Arc<Setting>, horizon: u32) -> Run {
    let choices = choices(setting);
    let mut world = World::new(Arc::clone(setting));
    let mut frames = Frames::default();
    while let Some(frame) = world.advance() {
        frames.take(&mut world, |_, _| ());
        world.seen.clear();
        let best = choices
            .iter()
            .map(|choice| (cost(&world, frame, *choice, horizon), *choice))
            .min_by_key(|(cost, _)| *cost);
        let choice = best.map_or((Choice::Here, false), |(_, choice)| choice);
        let order = order(&world, frame, choice);
        world.begin(frame, order);
    }
    frames.take(&mut world, |_, _| ());
    Run {
        frames: frames.done,
        decisions: Vec::new(),
        wire_bytes: world.connection.wire_bytes,
        monitor_bytes: 0,
    }
}

/// Each choice, completed here in time for the deadline, or waited for until then.
fn choices(setting: &Setting) -> Vec<(Choice, bool)> {
    let all = setting.choices().into_iter();
    all.flat_map(|c| [(c, false), (c, true)])
        .filter(|c| *c != (Choice::Here, true))
        .collect()
}

fn order(world: &World, frame: u32, (choice, patient): (Choice, bool)) -> Order {
    let choice = if world.connected {
        choice
    } else {
        Choice::Here
    };
    Order {
        choice,
        probe: false,
        reserve: world.setting.rest(choice, frame, world.now) + MARGIN,
        patience: if patient {
            world.setting.budget
        } else {
            Duration::ZERO
        },
    }
}

/// The sum of the latencies of this frame and those after it within the horizon.
fn cost(world: &World, frame: u32, choice: (Choice, bool), horizon: u32) -> Duration {
    let mut world = world.fork();
    let last = (frame + horizon).min(world.setting.frames) - 1;
    let first = order(&world, frame, choice);
    world.begin(frame, first);
    while let Some(next) = world.advance_until(last) {
        let order = order(&world, next, choice);
        world.begin(next, order);
    }
    let mut sum = Duration::ZERO;
    let mut from = frame;
    for left in world.left.iter().filter(|l| l.frame >= frame) {
        for frame in from..=left.frame.min(last) {
            sum += left.at - world.setting.captured(frame);
        }
        from = left.frame + 1;
        if from > last {
            break;
        }
    }
    sum
}
