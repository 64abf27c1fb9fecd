// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Vehicles as solids with windows, wheels and lamps.

use super::flow::{Kind, Vehicle};
use crate::geometry::{Camera, Stand, Vec3, vec3};
use crate::light::{Light, Rgb, tone};
use crate::solid::{self, prism};
use crate::stage::{Owner, Stage};
use std::f32::consts::TAU;

const GLASS: Rgb = [0.16, 0.20, 0.25];
const TYRE: Rgb = [0.07, 0.07, 0.08];

/// Body outline from behind to ahead in shares of length (-0.5 to 0.5) and height (0 to 1).
struct Shape {
    lower: &'static [(f32, f32)],
    /// Roof and windows: rear bottom, rear top, front top, front bottom.
    cabin: Option<[(f32, f32); 4]>,
    /// Side windows as shares of the cabin or body.
    wheels: [f32; 2],
    wheel_radius: f32,
}

fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::Saloon => Shape {
            lower: &[
                (-0.5, 0.22),
                (-0.5, 0.58),
                (-0.44, 0.64),
                (0.24, 0.64),
                (0.46, 0.52),
                (0.5, 0.42),
                (0.5, 0.20),
            ],
            cabin: Some([(-0.40, 0.63), (-0.24, 0.985), (0.07, 1.0), (0.25, 0.63)]),
            wheels: [-0.30, 0.31],
            wheel_radius: 0.31,
        },
        Kind::Hatchback => Shape {
            lower: &[
                (-0.5, 0.22),
                (-0.5, 0.56),
                (-0.47, 0.62),
                (0.26, 0.62),
                (0.46, 0.52),
                (0.5, 0.40),
                (0.5, 0.20),
            ],
            cabin: Some([(-0.49, 0.60), (-0.40, 0.98), (0.06, 1.0), (0.28, 0.61)]),
            wheels: [-0.31, 0.31],
            wheel_radius: 0.30,
        },
        Kind::Suv => Shape {
            lower: &[
                (-0.5, 0.24),
                (-0.5, 0.56),
                (-0.48, 0.62),
                (0.24, 0.62),
                (0.47, 0.56),
                (0.5, 0.46),
                (0.5, 0.22),
            ],
            cabin: Some([(-0.49, 0.60), (-0.44, 0.97), (0.06, 1.0), (0.25, 0.61)]),
            wheels: [-0.29, 0.30],
            wheel_radius: 0.36,
        },
        Kind::Van => Shape {
            lower: &[
                (-0.5, 0.16),
                (-0.5, 0.97),
                (-0.48, 1.0),
                (0.22, 1.0),
                (0.38, 0.58),
                (0.49, 0.48),
                (0.5, 0.16),
            ],
            cabin: None,
            wheels: [-0.30, 0.31],
            wheel_radius: 0.34,
        },
        Kind::Truck => Shape {
            lower: &[(-0.5, 0.20), (-0.5, 0.30), (0.5, 0.30), (0.5, 0.14)],
            cabin: None,
            wheels: [-0.30, 0.36],
            wheel_radius: 0.48,
        },
        Kind::Bus => Shape {
            lower: &[
                (-0.5, 0.12),
                (-0.5, 0.97),
                (-0.48, 1.0),
                (0.47, 1.0),
                (0.5, 0.90),
                (0.5, 0.12),
            ],
            cabin: None,
            wheels: [-0.27, 0.31],
            wheel_radius: 0.48,
        },
    }
}

/// Draws on the body of one vehicle: positions in shares of its size.
struct Brush<'a> {
    stage: &'a mut Stage,
    owner: Owner,
    camera: &'a Camera,
    light: &'a Light,
    stand: Stand,
    /// Width, height, length in metres.
    size: [f32; 3],
}

/// The shadow on the road.
pub fn shadow(stage: &mut Stage, camera: &Camera, light: &Light, vehicle: &Vehicle) {
    let [w, h, l] = vehicle.kind.size().map(|s| s * vehicle.scale);
    let mut points = Vec::with_capacity(16);
    for (x, z) in [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)] {
        for (y, inset) in [
            (0.0, 1.04),
            (0.55 * h, 1.0),
            (
                h,
                if vehicle.kind.label() == "car" {
                    0.7
                } else {
                    1.0
                },
            ),
        ] {
            points.push(
                vehicle
                    .stand
                    .to_world(vec3(x * w * inset, y, z * l * inset)),
            );
        }
    }
    solid::shadow(stage, camera, light, &points);
}

pub fn draw(stage: &mut Stage, owner: Owner, camera: &Camera, light: &Light, vehicle: &Vehicle) {
    let size = vehicle.kind.size().map(|s| s * vehicle.scale);
    let mut brush = Brush {
        stage,
        owner,
        camera,
        light,
        stand: vehicle.stand,
        size,
    };
    let shape = shape(vehicle.kind);
    if vehicle.kind == Kind::Truck {
        brush.truck(vehicle.colour);
    } else {
        brush.body(&shape, vehicle.colour, vehicle.kind);
    }
    brush.wheels(&shape);
    brush.lamps(vehicle);
}

impl Brush<'_> {
    fn profile(&self, points: &[(f32, f32)]) -> Vec<(f32, f32)> {
        points
            .iter()
            .map(|&(z, y)| (z * self.size[2], y * self.size[1]))
            .collect()
    }

    fn solid(
        &mut self,
        points: &[(f32, f32)],
        half: impl Fn(f32) -> f32,
        colour: impl Fn(usize) -> Rgb,
    ) {
        let profile = self.profile(points);
        let faces = prism(&self.stand, &profile, half, colour);
        solid::draw(self.stage, self.owner, self.camera, self.light, &faces);
    }

    /// A flat patch of given corners (x, y, z in shares of width, height, length) if its side shows.
    fn patch(&mut self, corners: &[[f32; 3]], outward: Vec3, colour: Rgb) {
        let points: Vec<Vec3> = corners
            .iter()
            .map(|[x, y, z]| {
                self.stand
                    .to_world(vec3(x * self.size[0], y * self.size[1], z * self.size[2]))
            })
            .collect();
        let normal = self.stand.turn(outward);
        if self.camera.sees(points[0], normal) {
            let depth = self.camera.depth(points[0]);
            self.stage.flat(
                self.owner,
                self.camera.polygon(&points),
                self.light.face(colour, normal, depth),
            );
        }
    }

    /// An upright rectangle on both sides of the body.
    fn on_sides(&mut self, z: [f32; 2], y: [f32; 2], half: f32, colour: Rgb) {
        for s in [-1.0, 1.0] {
            let x = s * half;
            let corners = [
                [x, y[0], z[0]],
                [x, y[0], z[1]],
                [x, y[1], z[1]],
                [x, y[1], z[0]],
            ];
            self.patch(&corners, vec3(s, 0.0, 0.0), colour);
        }
    }

    /// An upright rectangle at the front (`end` 0.5) or the rear (−0.5).
    fn on_end(&mut self, end: f32, x: [f32; 2], y: [f32; 2], colour: Rgb) {
        let z = end * 1.003;
        let corners = [
            [x[0], y[0], z],
            [x[1], y[0], z],
            [x[1], y[1], z],
            [x[0], y[1], z],
        ];
        self.patch(&corners, vec3(0.0, 0.0, end.signum()), colour);
    }

    fn body(&mut self, shape: &Shape, colour: Rgb, kind: Kind) {
        let half = self.size[0] * 0.5;
        self.solid(shape.lower, |_| half, |_| colour);
        match kind {
            Kind::Van => self.van_windows(colour),
            Kind::Bus => self.bus_windows(),
            _ => {
                if let Some(cabin) = shape.cabin {
                    self.car_cabin(cabin, colour);
                }
                self.on_end(0.5, [-0.3, 0.3], [0.27, 0.38], tone(TYRE, 1.2));
                self.on_end(-0.5, [-0.14, 0.14], [0.36, 0.44], [0.9, 0.9, 0.85]);
            }
        }
        self.on_sides([-0.49, 0.49], [0.21, 0.26], 0.502, tone(colour, 0.45));
    }

    /// Glass all round between a narrower roof and the belt line, with pillars in body colour.
    fn car_cabin(&mut self, cabin: [(f32, f32); 4], colour: Rgb) {
        let (half, height) = (self.size[0] * 0.5, self.size[1]);
        let belt = cabin[0].1 * height;
        let inset =
            move |y: f32| half * (0.96 - 0.20 * ((y - belt) / (height - belt)).clamp(0.0, 1.0));
        // Edge 0 is the rear window, 1 the roof, 2 the windscreen, 3 the floor, 4 the sides.
        self.solid(&cabin, inset, |edge| {
            if edge == 0 || edge == 2 {
                GLASS
            } else {
                colour
            }
        });
        let [rb, rt, ft, fb] = cabin;
        let at = |t: f32, up: f32| {
            let (low, high) = (rb.0 + (fb.0 - rb.0) * t, rt.0 + (ft.0 - rt.0) * t);
            (low + (high - low) * up, rb.1 + (rt.1 - rb.1) * up)
        };
        for (from, to) in [(0.10, 0.47), (0.52, 0.90)] {
            for s in [-1.0f32, 1.0] {
                let corner = |t: f32, up: f32| {
                    let (z, y) = at(t, up);
                    [s * inset(y * height) / self.size[0] * 1.01, y, z]
                };
                let window = [
                    corner(from, 0.12),
                    corner(to, 0.12),
                    corner(to, 0.86),
                    corner(from, 0.86),
                ];
                self.patch(&window, vec3(s, 0.25, 0.0), GLASS);
            }
        }
    }

    fn van_windows(&mut self, colour: Rgb) {
        let screen = [
            [-0.44, 0.93, 0.248],
            [0.44, 0.93, 0.248],
            [0.44, 0.60, 0.374],
            [-0.44, 0.60, 0.374],
        ];
        self.patch(&screen, vec3(0.0, 0.4, 1.0), GLASS);
        for s in [-1.0, 1.0] {
            let x = s * 0.503;
            let window = [
                [x, 0.60, 0.08],
                [x, 0.60, 0.34],
                [x, 0.88, 0.235],
                [x, 0.88, 0.08],
            ];
            self.patch(&window, vec3(s, 0.0, 0.0), GLASS);
        }
        self.on_end(-0.5, [-0.42, -0.04], [0.62, 0.86], GLASS);
        self.on_end(-0.5, [0.04, 0.42], [0.62, 0.86], GLASS);
        self.on_sides([-0.46, 0.05], [0.40, 0.42], 0.503, tone(colour, 0.7));
    }

    fn bus_windows(&mut self) {
        for i in 0..6 {
            let z = -0.46 + i as f32 * 0.145;
            self.on_sides([z, z + 0.132], [0.50, 0.84], 0.503, GLASS);
        }
        self.on_sides([0.40, 0.48], [0.14, 0.84], 0.503, tone(GLASS, 1.2));
        self.on_end(0.5, [-0.45, 0.45], [0.40, 0.84], GLASS);
        self.on_end(-0.5, [-0.40, 0.40], [0.55, 0.84], GLASS);
        self.on_sides([-0.49, 0.40], [0.36, 0.42], 0.503, [0.92, 0.92, 0.9]);
    }

    /// A cab in the vehicle's colour and a pale box behind it, the farther one first.
    fn truck(&mut self, colour: Rgb) {
        let half = self.size[0] * 0.5;
        self.solid(
            shape(Kind::Truck).lower,
            |_| half * 0.9,
            |_| [0.16, 0.16, 0.17],
        );
        let ahead = self.stand.to_world(vec3(0.0, 0.0, 1.0));
        let behind = self.stand.to_world(vec3(0.0, 0.0, -1.0));
        if self.camera.depth(ahead) > self.camera.depth(behind) {
            self.cab(colour);
            self.cargo(colour);
        } else {
            self.cargo(colour);
            self.cab(colour);
        }
    }

    fn cab(&mut self, colour: Rgb) {
        let half = self.size[0] * 0.47;
        let cab = [
            (0.24, 0.14),
            (0.24, 0.80),
            (0.30, 0.83),
            (0.45, 0.80),
            (0.5, 0.46),
            (0.5, 0.14),
        ];
        self.solid(&cab, |_| half, |_| colour);
        let screen = [
            [-0.43, 0.78, 0.4555],
            [0.43, 0.78, 0.4555],
            [0.43, 0.49, 0.4975],
            [-0.43, 0.49, 0.4975],
        ];
        self.patch(&screen, vec3(0.0, 0.15, 1.0), GLASS);
        self.on_sides([0.34, 0.45], [0.50, 0.72], 0.474, GLASS);
        self.on_end(0.5, [-0.3, 0.3], [0.24, 0.34], tone(TYRE, 1.2));
    }

    fn cargo(&mut self, colour: Rgb) {
        let half = self.size[0] * 0.5;
        let load = [(-0.5, 0.29), (-0.5, 1.0), (0.22, 1.0), (0.22, 0.29)];
        let cover = tone([0.80, 0.80, 0.78], 0.8 + 0.2 * colour[0]);
        self.solid(&load, |_| half, |_| cover);
        self.on_sides([-0.44, 0.16], [0.52, 0.76], 0.503, colour);
        self.on_end(-0.5, [-0.012, 0.012], [0.30, 0.98], tone(cover, 0.6));
    }

    fn wheels(&mut self, shape: &Shape) {
        let radius = shape.wheel_radius;
        for z in shape.wheels {
            for s in [-1.0, 1.0] {
                let centre = vec3(s * self.size[0] * 0.5, radius, z * self.size[2]);
                for (share, colour) in [
                    (1.22, tone(TYRE, 0.6)),
                    (1.0, TYRE),
                    (0.55, [0.55, 0.56, 0.58]),
                ] {
                    self.disc(centre, s, radius * share, colour);
                }
            }
        }
    }

    /// A disc on the side of the body; what would reach below the road is cut off.
    fn disc(&mut self, centre: Vec3, side: f32, radius: f32, colour: Rgb) {
        let normal = self.stand.turn(vec3(side, 0.0, 0.0));
        let middle = self.stand.to_world(centre);
        if !self.camera.sees(middle, normal) {
            return;
        }
        let rim: Vec<Vec3> = (0..14)
            .map(|i| {
                let (sin, cos) = (i as f32 / 14.0 * TAU).sin_cos();
                let y = (centre.y + sin * radius).max(0.0);
                self.stand
                    .to_world(vec3(centre.x + side * 0.01, y, centre.z + cos * radius))
            })
            .collect();
        let shade = self.light.face(colour, normal, self.camera.depth(middle));
        self.stage
            .flat(self.owner, self.camera.polygon(&rim), shade);
    }

    fn lamps(&mut self, vehicle: &Vehicle) {
        let y = match vehicle.kind {
            Kind::Truck => [0.19, 0.24],
            Kind::Bus => [0.19, 0.25],
            Kind::Van => [0.36, 0.45],
            _ => [0.41, 0.51],
        };
        let lit = self.light.lamps * f32::from(u8::from(vehicle.moving));
        for s in [-1.0f32, 1.0] {
            let x = [s * 0.32, s * 0.47];
            self.on_end(0.5, x, [y[0] - 0.04, y[1] - 0.04], [0.92, 0.92, 0.86]);
            self.on_end(-0.5, x, y, [0.60, 0.06, 0.06]);
            if lit > 0.0 {
                self.beam(vec3(s * 0.4, y[0], 0.5), [1.0, 0.94, 0.76], lit, 0.9);
            }
            let red = (lit * 0.6).max(vehicle.braking * 0.55);
            if red > 0.1 {
                self.beam(vec3(s * 0.4, y[1], -0.5), [1.0, 0.12, 0.08], red, 0.35);
            }
        }
        if lit > 0.0 {
            self.pool(lit);
        }
    }

    /// The glare of one lamp towards a camera that stands in front of it.
    fn beam(&mut self, at: Vec3, colour: Rgb, strength: f32, reach: f32) {
        let p = self.stand.to_world(vec3(
            at.x * self.size[0],
            at.y * self.size[1],
            at.z * self.size[2],
        ));
        let outward = self.stand.turn(vec3(0.0, 0.0, at.z.signum()));
        let facing = outward.dot((self.camera.position - p).unit());
        let (Some(pixel), true) = (self.camera.project(p), facing > 0.02) else {
            return;
        };
        let depth = self.camera.depth(p);
        let [r, g, b] = colour;
        let radius = self.camera.scale(depth) * reach;
        self.stage.glow(
            pixel,
            radius.max(1.5),
            [r, g, b, strength * facing.sqrt() * self.light.clear(depth)],
        );
    }

    /// Light on the road ahead.
    fn pool(&mut self, lit: f32) {
        let z = self.size[2] * 0.5;
        for (length, width, alpha) in [(9.0, 1.7, 0.10), (5.0, 1.2, 0.13)] {
            let corners = [(-0.8, 0.3), (0.8, 0.3), (width, length), (-width, length)];
            let points: Vec<Vec3> = corners
                .iter()
                .map(|&(x, ahead)| self.stand.to_world(vec3(x, 0.0, z + ahead)))
                .collect();
            self.stage.flat(
                Owner::Air,
                self.camera.polygon(&points),
                [1.0, 0.93, 0.75, alpha * lit],
            );
        }
    }
}
