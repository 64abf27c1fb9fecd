// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A run: frames through the simulated world, a policy choosing for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use splitinfer_plan::{Advice, Choice, Health};
use splitinfer_wire::monitor::Report;

use super::figures::{mean, ms};
use super::monitor::Monitor;
use super::setting::Setting;
use super::world::{Left, Order, Seen, World};

/// Left of the budget for handing the result on, as in the element.
const MARGIN: Duration = Duration::from_millis(2);

/// What a policy knows when it chooses.
pub struct View {
    pub now: Instant,
    pub frame: u32,
    /// How long the frame has waited already.
    pub waited: Duration,
    pub connected: bool,
    /// As QUIC smooths it.
    pub rtt: Option<Duration>,
    pub report: Option<Report>,
}

pub struct Wanted {
    pub choice: Choice,
    /// The frame is to be completed here, too, at once.
    pub probe: bool,
    /// How long an answer may be expected from now on.
    pub patience: Duration,
}

impl From<Choice> for Wanted {
    fn from(choice: Choice) -> Self {
        Self {
            choice,
            probe: false,
            patience: Duration::ZERO,
        }
    }
}

/// Who chooses.
pub trait Policy {
    /// When the trace begins.
    fn start(&mut self, _start: Instant) {}

    fn see(&mut self, seen: &Seen);

    /// A frame has left, so long after it was captured.
    fn left(&mut self, _left: &Left, _latency: Duration) {}

    fn choose(&mut self, view: &View) -> Wanted;

    /// How long completion of such a frame here takes, as far as is known.
    fn rest(&self, choice: Choice) -> Duration;
}

/// A frame of the camera, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// From capture to its result; of a frame that was dropped, to the next result.
    pub latency: Duration,
    pub choice: Option<Choice>,
    pub by_server: bool,
    pub bytes: u64,
}

pub struct Run {
    pub frames: Vec<Frame>,
    /// Real time that decisions took.
    pub decisions: Vec<Duration>,
    /// All that was sent, headers, acknowledgements and retransmissions of the edge included.
    pub wire_bytes: u64,
    pub monitor_bytes: u64,
}

impl Run {
    /// Mean latency.
    pub fn mean_ms(&self) -> f64 {
        mean(
            &self
                .frames
                .iter()
                .map(|f| ms(f.latency))
                .collect::<Vec<_>>(),
        )
    }
}

/// # Panics
/// Never, if the world lets every frame leave.
pub fn run(setting: &Arc<Setting>, policy: &mut dyn Policy, monitored: bool) -> Run {
    let start = Instant::now();
    let mut world = World::new(Arc::clone(setting));
    policy.start(start);
    if monitored {
        world.watch(Monitor::new(start));
    }
    let mut health = Health::default();
    let mut frames = Frames::default();
    let mut decisions = Vec::new();
    while let Some(frame) = world.advance() {
        learn(&mut world, &mut health, policy, start);
        frames.take(&mut world, |left, latency| policy.left(left, latency));
        let now = start + world.now;
        let view = View {
            now,
            frame,
            waited: world.now - setting.captured(frame),
            connected: world.connected,
            rtt: world.connection.rtt(),
            report: world.monitor.as_ref().map(Monitor::report),
        };
        let begun = Instant::now();
        let wanted = policy.choose(&view);
        decisions.push(begun.elapsed());
        let advice = match wanted.choice {
            Choice::Here => Advice::Keep,
            _ => health.advice(wanted.probe, now),
        };
        let order = Order {
            choice: if advice == Advice::Keep {
                Choice::Here
            } else {
                wanted.choice
            },
            probe: advice == Advice::Probe,
            reserve: policy.rest(wanted.choice) + MARGIN,
            patience: wanted.patience,
        };
        world.begin(frame, order);
    }
    learn(&mut world, &mut health, policy, start);
    frames.take(&mut world, |left, latency| policy.left(left, latency));
    Run {
        frames: frames.done,
        decisions,
        wire_bytes: world.connection.wire_bytes,
        monitor_bytes: world.monitor.map_or(0, |m| m.report().sent_bytes),
    }
}

fn learn(world: &mut World, health: &mut Health, policy: &mut dyn Policy, start: Instant) {
    for seen in std::mem::take(&mut world.seen) {
        match seen {
            Seen::Connected => drop(health.connected()),
            Seen::Disconnected => drop(health.disconnected()),
            Seen::Answered { .. } => drop(health.answered()),
            Seen::Missed { at, .. } => drop(health.missed(start + at)),
            _ => {}
        }
        policy.see(&seen);
    }
}

/// Frames in the order of capture.
#[derive(Default)]
pub struct Frames {
    pub done: Vec<Frame>,
}

impl Frames {
    /// Takes what has left the world. Frames before one that left, which did not leave, were dropped.
    pub fn take(&mut self, world: &mut World, mut tell: impl FnMut(&Left, Duration)) {
        let setting = Arc::clone(&world.setting);
        for left in std::mem::take(&mut world.left) {
            let latency = |frame| left.at - setting.captured(frame);
            while self.done.len() < left.frame as usize {
                self.done.push(Frame {
                    latency: latency(self.done.len() as u32),
                    choice: None,
                    by_server: false,
                    bytes: 0,
                });
            }
            tell(&left, latency(left.frame));
            self.done.push(Frame {
                latency: latency(left.frame),
                choice: Some(left.choice),
                by_server: left.by_server,
                bytes: left.bytes,
            });
        }
    }
}
