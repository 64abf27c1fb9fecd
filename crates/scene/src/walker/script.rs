// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a person does and when: a sequence of visits, each a script of walking, turning, standing,
//! raising the arms and sitting down.

use super::furniture::seat_of;
use crate::config::Scenario;
use crate::dice::Dice;
use crate::figure::{Pose, stride_length};
use crate::geometry::{lerp, smoothstep};
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// Where people come from and go to, metres from the middle.
const OUTSIDE: f32 = 4.9;
/// Seconds to gather speed and to come to a halt.
const RAMP: f32 = 0.4;

/// A place on the floor and a direction.
#[derive(Clone, Copy, Debug)]
struct Spot {
    x: f32,
    z: f32,
    yaw: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Walk,
    Turn,
    Stand {
        look: f32,
    },
    /// Both arms up ahead (0), both sideways (1), or one of them (2 left, 3 right).
    Raise(u8),
    Sit,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    start: f32,
    length: f32,
    action: Action,
    from: Spot,
    to: Spot,
}

/// One visit: from coming into the picture to leaving it.
struct Episode {
    start: f64,
    length: f32,
    height: f32,
    speed: f32,
    segments: Vec<Segment>,
}

/// A person at one moment.
pub struct Moment {
    pub x: f32,
    pub z: f32,
    pub yaw: f32,
    pub height: f32,
    pub pose: Pose,
    pub phase: Option<f32>,
    pub action: &'static str,
    pub episode: u64,
}

/// All visits of one person, worked out as far as they were asked for.
pub struct Timeline {
    seed: u64,
    actor: usize,
    scenario: Scenario,
    episodes: Vec<Episode>,
}

impl Timeline {
    pub fn new(seed: u64, actor: usize, scenario: Scenario) -> Self {
        Self {
            seed,
            actor,
            scenario,
            episodes: Vec::new(),
        }
    }

    /// The visit in progress at `time` and what happens in it.
    pub fn at(&mut self, time: f64) -> (u64, Moment) {
        while self.end() <= time {
            let next = self.episode(self.episodes.len() as u64);
            self.episodes.push(next);
        }
        let i = self
            .episodes
            .partition_point(|e| e.start <= time)
            .saturating_sub(1);
        let episode = &self.episodes[i];
        (
            i as u64,
            episode.moment((time - episode.start) as f32, i as u64),
        )
    }

    /// Names the clothes of a visit: always the same in a repetitive scene.
    pub fn look_key(&self, episode: u64) -> u64 {
        if self.scenario == Scenario::Repetitive {
            0
        } else {
            episode
        }
    }

    /// Identities start at 1.
    pub fn first_track(&self) -> u64 {
        1
    }

    fn end(&self) -> f64 {
        // Everyone's first visit begins before the first frame, each at another point of it.
        self.episodes
            .last()
            .map_or(-2.0 - 2.7 * self.actor as f64, |e| {
                e.start + f64::from(e.length)
            })
    }

    fn episode(&self, number: u64) -> Episode {
        // What happens, and how exactly it happens this time.
        let (course, variation) = match self.scenario {
            Scenario::Repetitive => (0, 0),
            Scenario::SemiRepetitive => (0, number),
            Scenario::Dynamic => (number, number),
        };
        let mut course = Dice::new(self.seed, &[0x5C1, self.actor as u64, course]);
        let mut vary = Dice::new(self.seed, &[0x5C2, self.actor as u64, variation]);
        let mut writer = Writer {
            segments: Vec::new(),
            time: 0.0,
            speed: vary.range(1.0, 1.4),
            here: Spot {
                x: 0.0,
                z: 0.0,
                yaw: 0.0,
            },
        };
        let lane = 0.9 * self.actor as f32 + vary.range(-0.5, 0.6);
        writer.visit(&mut course, &mut vary, lane, self.actor, self.seed);
        Episode {
            start: self.end(),
            length: writer.time,
            height: vary.range(1.56, 1.9),
            speed: writer.speed,
            segments: writer.segments,
        }
    }
}

/// Writes a script segment by segment.
struct Writer {
    segments: Vec<Segment>,
    time: f32,
    speed: f32,
    here: Spot,
}

impl Writer {
    fn visit(&mut self, course: &mut Dice, vary: &mut Dice, lane: f32, actor: usize, seed: u64) {
        let side = if course.chance(0.5) { 1.0 } else { -1.0 };
        self.here = Spot {
            x: side * OUTSIDE,
            z: lane,
            yaw: -side * FRAC_PI_2,
        };
        let first = course.range(-1.4, 1.4) + vary.around_zero(0.2);
        self.walk_to(first, lane + course.around_zero(0.9));
        for _ in 0..1 + course.below(3) {
            match course.below(5) {
                0 => self.sit(seat_of(seed, actor), vary.range(1.5, 3.0)),
                1 | 2 => self.raise(
                    course.below(4) as u8,
                    vary.range(1.6, 2.6),
                    course.around_zero(0.9),
                ),
                3 => self.walk_to(course.range(-1.8, 1.8), lane + course.around_zero(0.8)),
                _ => self.stay(
                    Action::Stand {
                        look: course.around_zero(50.0),
                    },
                    vary.range(0.6, 1.4),
                ),
            }
        }
        let exit = if course.chance(0.6) { -side } else { side };
        self.walk_to(exit * OUTSIDE, lane);
    }

    fn walk_to(&mut self, x: f32, z: f32) {
        let (dx, dz) = (x - self.here.x, z - self.here.z);
        let distance = dx.hypot(dz);
        if distance < 0.3 {
            return;
        }
        self.turn_to(dx.atan2(dz));
        let to = Spot { x, z, ..self.here };
        self.add(Action::Walk, distance / self.speed + RAMP, to);
    }

    fn turn_to(&mut self, yaw: f32) {
        let turn = (yaw - self.here.yaw + PI).rem_euclid(TAU) - PI;
        if turn.abs() > 0.02 {
            let to = Spot {
                yaw: self.here.yaw + turn,
                ..self.here
            };
            self.add(Action::Turn, 0.25 + 0.45 * turn.abs(), to);
        }
    }

    fn raise(&mut self, kind: u8, length: f32, aside: f32) {
        self.turn_to(PI + aside);
        self.stay(Action::Raise(kind), length);
    }

    fn sit(&mut self, seat: (f32, f32, f32), length: f32) {
        let (x, z, yaw) = seat;
        self.walk_to(x, z);
        self.turn_to(yaw);
        self.stay(Action::Sit, length + 2.0);
    }

    fn stay(&mut self, action: Action, length: f32) {
        self.add(action, length, self.here);
    }

    fn add(&mut self, action: Action, length: f32, to: Spot) {
        self.segments.push(Segment {
            start: self.time,
            length,
            action,
            from: self.here,
            to,
        });
        self.time += length;
        self.here = to;
    }
}

impl Episode {
    fn moment(&self, time: f32, episode: u64) -> Moment {
        let i = self
            .segments
            .iter()
            .rposition(|s| s.start <= time)
            .unwrap_or(0);
        let segment = &self.segments[i];
        let t = (time - segment.start).clamp(0.0, segment.length);
        let mut moment = Moment {
            x: segment.from.x,
            z: segment.from.z,
            yaw: segment.from.yaw,
            height: self.height,
            pose: Pose::walking(0.0, 0.0),
            phase: None,
            action: "stand",
            episode,
        };
        // Cadence stays; step length follows speed. So the feet keep pace with the body.
        let phase = (time * self.speed / stride_length(self.height, 1.0)).rem_euclid(1.0);
        match segment.action {
            Action::Walk => self.walk(&mut moment, segment, t, phase),
            Action::Turn => {
                let share = smoothstep(0.0, segment.length, t);
                moment.yaw = lerp(segment.from.yaw, segment.to.yaw, share);
                moment.pose = Pose::walking(phase, 0.3 * (share * PI).sin());
                moment.action = "turn";
            }
            Action::Stand { look } => {
                moment.pose.look = look * there_and_back(t, segment.length, 0.4)
            }
            Action::Raise(kind) => {
                moment.pose.raise = raised(kind, there_and_back(t, segment.length, 0.7));
                moment.action = "raise";
            }
            Action::Sit => {
                moment.pose.sit = there_and_back(t, segment.length, 1.0);
                moment.action = "sit";
            }
        }
        moment
    }

    fn walk(&self, moment: &mut Moment, segment: &Segment, t: f32, phase: f32) {
        let (gone, vigour) = trapezoid(t, segment.length);
        moment.x = lerp(segment.from.x, segment.to.x, gone);
        moment.z = lerp(segment.from.z, segment.to.z, gone);
        moment.pose = Pose::walking(phase, vigour);
        moment.phase = Some(phase);
        moment.action = "walk";
    }
}

/// Share of the way and of full speed at `t` of `length` seconds with ramps at both ends.
fn trapezoid(t: f32, length: f32) -> (f32, f32) {
    let ramp = RAMP.min(length * 0.5);
    let way = |t: f32| {
        if t < ramp {
            t * t / (2.0 * ramp)
        } else {
            t - ramp * 0.5
        }
    };
    let total = length - ramp;
    let gone = if t <= length - ramp {
        way(t)
    } else {
        total - way(length - t)
    };
    (gone / total, (t.min(length - t) / ramp).clamp(0.0, 1.0))
}

/// 0 at both ends, 1 between, with smooth flanks of `flank` seconds.
fn there_and_back(t: f32, length: f32, flank: f32) -> f32 {
    let flank = flank.min(length * 0.5);
    smoothstep(0.0, flank, t) * (1.0 - smoothstep(length - flank, length, t))
}

/// Flexion, abduction and elbow flexion in degrees for both arms.
fn raised(kind: u8, share: f32) -> [[f32; 3]; 2] {
    let (left, right) = match kind {
        0 => ([160.0, 0.0, 5.0], [160.0, 0.0, 5.0]),
        1 => ([0.0, 150.0, 15.0], [0.0, 150.0, 15.0]),
        2 => ([0.0, 155.0, 8.0], [0.0, 0.0, 0.0]),
        _ => ([0.0, 0.0, 0.0], [95.0, 0.0, 10.0]),
    };
    [left, right].map(|arm: [f32; 3]| arm.map(|angle| angle * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_jumps() {
        for scenario in [
            Scenario::Repetitive,
            Scenario::SemiRepetitive,
            Scenario::Dynamic,
        ] {
            let mut timeline = Timeline::new(3, 0, scenario);
            let mut last = timeline.at(0.0).1;
            for i in 1..6000 {
                let next = timeline.at(f64::from(i) * 0.02).1;
                if next.episode == last.episode {
                    let step = (next.x - last.x).hypot(next.z - last.z);
                    assert!(step < 0.04, "{scenario:?} at {i}: {step} m in 20 ms");
                }
                last = next;
            }
        }
    }

    #[test]
    fn asking_early_or_late_first_makes_no_difference() {
        let (mut a, mut b) = (
            Timeline::new(9, 1, Scenario::Dynamic),
            Timeline::new(9, 1, Scenario::Dynamic),
        );
        b.at(500.0);
        let (x, y) = (a.at(33.3).1, b.at(33.3).1);
        assert_eq!((x.x, x.yaw, x.episode), (y.x, y.yaw, y.episode));
    }

    #[test]
    fn a_repetitive_visit_comes_again_exactly_and_a_dynamic_one_does_not() {
        let same = |scenario| {
            let mut t = Timeline::new(4, 0, scenario);
            t.at(200.0);
            let (a, b) = (t.episodes[0].length, t.episodes[1].length);
            let early = t.episodes[0].moment(3.0, 0);
            let late = t.episodes[1].moment(3.0, 1);
            a == b && early.x == late.x && early.yaw == late.yaw
        };
        assert!(same(Scenario::Repetitive));
        assert!(!same(Scenario::Dynamic));
    }
}
