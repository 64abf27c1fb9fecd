// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Who drives where and when, as a function of time.
//!
//! All vehicles of a lane keep their distance: they move together by the lane's way, which grows faster
//! and slower like real traffic. A vehicle is a numbered slot on the lane, so the slots in sight at a time,
//! and with them the whole scene, follow from the time alone.

use crate::config::{CYCLE, Scenario};
use crate::dice::Dice;
use crate::domain::Domain;
use crate::geometry::{Camera, Stand, vec3};
use crate::light::{Rgb, tone};
use std::f64::consts::TAU;

/// Width of a lane in metres.
pub const LANE: f32 = 3.4;
/// Middle of the kerbside parking strip.
pub const PARKING: f32 = 2.0 * LANE + 1.15;
/// Metres between two slots.
const GAP: f64 = 21.0;
/// What can be seen of the road, from behind the camera to far away.
const SIGHT: [f64; 2] = [-14.0, 110.0];

/// What a vehicle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Saloon,
    Hatchback,
    Suv,
    Van,
    Truck,
    Bus,
}

impl Kind {
    pub fn label(self) -> &'static str {
        match self {
            Self::Saloon | Self::Hatchback | Self::Suv => "car",
            Self::Van => "van",
            Self::Truck => "truck",
            Self::Bus => "bus",
        }
    }

    /// Width, height and length in metres.
    pub fn size(self) -> [f32; 3] {
        match self {
            Self::Saloon => [1.80, 1.45, 4.6],
            Self::Hatchback => [1.74, 1.52, 3.95],
            Self::Suv => [1.90, 1.72, 4.65],
            Self::Van => [2.00, 2.35, 5.4],
            Self::Truck => [2.45, 3.35, 8.6],
            Self::Bus => [2.52, 3.10, 11.6],
        }
    }
}

/// One vehicle at one moment.
#[derive(Clone, Debug)]
pub struct Vehicle {
    pub kind: Kind,
    pub stand: Stand,
    pub colour: Rgb,
    pub scale: f32,
    pub track: u64,
    pub moving: bool,
    /// 0–1, for the brake lights.
    pub braking: f32,
}

impl Vehicle {
    /// Distance of its nearest end from the camera.
    pub fn nearness(&self, camera: &Camera) -> f32 {
        let half = self.kind.size()[2] * 0.5 * self.scale;
        let end = |s: f32| camera.depth(self.stand.to_world(vec3(0.0, 0.0, s * half)));
        end(1.0).min(end(-1.0)) * 0.5 + camera.depth(self.stand.origin) * 0.5
    }
}

/// The lanes of a road.
pub struct Flow {
    seed: u64,
    scenario: Scenario,
    lanes: [Lane; 4],
}

struct Lane {
    x: f32,
    /// Away from the camera or towards it.
    away: bool,
    speed: f64,
    /// Strength, angular speed and phase of the swell in the lane's speed.
    swell: [f64; 3],
}

impl Flow {
    pub fn new(seed: u64, scenario: Scenario) -> Self {
        let lanes = std::array::from_fn(|i| {
            let mut dice = Dice::new(seed, &[0x1A4E, i as u64]);
            let speed = f64::from(dice.range(7.0, 13.0)) + if i % 3 == 0 { 0.0 } else { 2.0 };
            let swell = [
                f64::from(dice.range(0.1, 0.6)),
                TAU / f64::from(dice.range(14.0, 30.0)),
                f64::from(dice.range(0.0, TAU as f32)),
            ];
            Lane {
                x: (i as f32 - 1.5) * LANE,
                away: i >= 2,
                speed,
                swell,
            }
            .fitted(scenario)
        });
        Self {
            seed,
            scenario,
            lanes,
        }
    }

    /// Every vehicle on the road and beside it.
    pub fn vehicles(&self, domain: &Domain, time: f64) -> Vec<Vehicle> {
        let mut vehicles = self.parked(domain);
        for (i, lane) in self.lanes.iter().enumerate() {
            let way = lane.way(time);
            // The slot nearest the end of sight has the lowest number.
            let first = ((way - SIGHT[1]) / GAP).floor() as i64;
            let last = ((way - SIGHT[0]) / GAP).ceil() as i64;
            vehicles
                .extend((first..=last).filter_map(|slot| self.vehicle(domain, i, slot, way, time)));
        }
        vehicles
    }

    fn vehicle(
        &self,
        domain: &Domain,
        lane_number: usize,
        slot: i64,
        way: f64,
        time: f64,
    ) -> Option<Vehicle> {
        let lane = &self.lanes[lane_number];
        // Which slots recur, and whether with the same vehicle in them.
        let round = (lane.speed * CYCLE / GAP).round().max(1.0) as i64;
        let (course, look) = match self.scenario {
            Scenario::Repetitive => (slot.rem_euclid(round), slot.rem_euclid(round)),
            Scenario::SemiRepetitive => (slot.rem_euclid(round), slot),
            Scenario::Dynamic => (slot, slot),
        };
        let path = |what: u64, n: i64| Dice::new(self.seed, &[what, lane_number as u64, n as u64]);
        let mut course = path(0xC0, course);
        let mut look = path(0x10, look);
        // An empty road at 0; some traffic as soon as there is any.
        let density = domain.get("density");
        if !course.chance((0.12 + 0.86 * density) * (20.0 * density).min(1.0)) {
            return None;
        }
        let spread = if self.scenario == Scenario::SemiRepetitive {
            look.around_zero(1.2)
        } else {
            0.0
        };
        let at = (way - slot as f64 * GAP) as f32 + course.around_zero(3.8) + spread;
        let (near, far) = (SIGHT[0] as f32, SIGHT[1] as f32);
        if !(near..far).contains(&at) {
            return None;
        }
        let drift =
            course.around_zero(0.3) + 0.12 * (time as f32 * 0.6 + course.range(0.0, 6.0)).sin();
        let (z, yaw) = if lane.away {
            (at, 0.0)
        } else {
            (near + far - at, std::f32::consts::PI)
        };
        let (kind, colour, scale) = appearance(&mut look, domain);
        Some(Vehicle {
            kind,
            stand: Stand::at(lane.x + drift, z, yaw),
            colour,
            scale,
            // Lanes have identities of their own; slots before the first frame count too.
            track: ((slot + (1 << 20)) as u64) * 8 + lane_number as u64,
            moving: lane.velocity(time) > 0.05,
            braking: lane.braking(time),
        })
    }

    /// Cars at the kerb: the same for as long as the domain's surroundings last.
    fn parked(&self, domain: &Domain) -> Vec<Vehicle> {
        if domain.get("backdrop") >= 2.0 {
            return Vec::new();
        }
        let density = domain.get("density");
        let share = (0.2 + 0.5 * density) * (20.0 * density).min(1.0);
        let mut vehicles = Vec::new();
        for side in 0..2u64 {
            for place in 0..12u64 {
                let mut dice = Dice::new(
                    self.seed,
                    &[0x9A4C, side, place, domain.get("backdrop") as u64],
                );
                if !dice.chance(share) {
                    continue;
                }
                let (kind, colour, scale) = appearance(&mut dice, domain);
                if kind.size()[2] > 5.5 {
                    continue;
                }
                let x = if side == 0 { -PARKING } else { PARKING };
                let yaw =
                    if side == 0 { std::f32::consts::PI } else { 0.0 } + dice.around_zero(0.02);
                vehicles.push(Vehicle {
                    kind,
                    stand: Stand::at(
                        x + dice.around_zero(0.1),
                        6.0 + 6.8 * place as f32 + dice.around_zero(0.5),
                        yaw,
                    ),
                    colour,
                    scale,
                    track: (place * 2 + side) * 8 + 4,
                    moving: false,
                    braking: 0.0,
                });
            }
        }
        vehicles
    }
}

impl Lane {
    /// For scenes that recur: a whole number of slots and of swells fits into the cycle.
    fn fitted(mut self, scenario: Scenario) -> Self {
        if scenario != Scenario::Dynamic {
            self.speed = (self.speed * CYCLE / GAP).round().max(1.0) * GAP / CYCLE;
            self.swell[1] = TAU / CYCLE;
        }
        self
    }

    /// Metres that the lane has moved.
    fn way(&self, time: f64) -> f64 {
        let [strength, omega, phase] = self.swell;
        self.speed * (time + strength / omega * ((omega * time + phase).sin() - phase.sin()))
    }

    fn velocity(&self, time: f64) -> f64 {
        let [strength, omega, phase] = self.swell;
        self.speed * (1.0 + strength * (omega * time + phase).cos())
    }

    fn braking(&self, time: f64) -> f32 {
        let [strength, omega, phase] = self.swell;
        (self.speed * strength * omega * (omega * time + phase).sin()).clamp(0.0, 1.0) as f32
    }
}

const COLOURFUL: [Rgb; 9] = [
    [0.70, 0.10, 0.10],
    [0.12, 0.22, 0.52],
    [0.88, 0.88, 0.88],
    [0.62, 0.64, 0.66],
    [0.09, 0.09, 0.10],
    [0.16, 0.36, 0.26],
    [0.86, 0.62, 0.12],
    [0.30, 0.52, 0.72],
    [0.50, 0.20, 0.14],
];

/// What stands in a slot: kind, paint and size.
fn appearance(dice: &mut Dice, domain: &Domain) -> (Kind, Rgb, f32) {
    let kind = if dice.chance(domain.get("heavy")) {
        *dice.pick(&[Kind::Van, Kind::Van, Kind::Truck, Kind::Truck, Kind::Bus])
    } else {
        *dice.pick(&[Kind::Saloon, Kind::Saloon, Kind::Hatchback, Kind::Suv])
    };
    let palette = domain.get("palette");
    let colour = match palette as u32 {
        0 => *dice.pick(&COLOURFUL),
        1 => tone([1.0, 1.0, 1.03], dice.range(0.3, 0.9)),
        _ => tone([1.0, 1.0, 1.06], dice.range(0.04, 0.2)),
    };
    (
        kind,
        tone(colour, dice.range(0.9, 1.08)),
        dice.range(0.95, 1.06),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(flow: &Flow, time: f64) -> Vec<(f32, f32, Kind)> {
        let domain = Domain::default();
        flow.vehicles(&domain, time)
            .iter()
            .map(|v| (v.stand.origin.x, v.stand.origin.z, v.kind))
            .collect()
    }

    #[test]
    fn a_repetitive_road_comes_back_after_one_cycle() {
        let flow = Flow::new(5, Scenario::Repetitive);
        let (a, b) = (places(&flow, 3.0), places(&flow, 3.0 + CYCLE));
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            // Only the slow drift within the lane goes on.
            assert!(
                (a.1 - b.1).abs() < 0.02 && (a.0 - b.0).abs() < 0.3 && a.2 == b.2,
                "{a:?} {b:?}"
            );
        }
    }

    #[test]
    fn a_dynamic_road_does_not_come_back() {
        let flow = Flow::new(5, Scenario::Dynamic);
        assert_ne!(places(&flow, 3.0), places(&flow, 3.0 + CYCLE));
    }

    #[test]
    fn vehicles_of_a_lane_never_touch() {
        let flow = Flow::new(11, Scenario::Dynamic);
        let domain: Domain = "crowded heavy=1".parse().unwrap();
        for i in 0..100 {
            let vehicles = flow.vehicles(&domain, f64::from(i) * 0.7);
            for (n, a) in vehicles.iter().enumerate() {
                for b in &vehicles[..n] {
                    let apart = (a.kind.size()[2] * a.scale + b.kind.size()[2] * b.scale) * 0.5;
                    let same_lane = (a.stand.origin.x - b.stand.origin.x).abs() < 1.5;
                    let distance = (a.stand.origin.z - b.stand.origin.z).abs();
                    assert!(!same_lane || distance > apart, "{a:?} {b:?}");
                }
            }
        }
    }
}
