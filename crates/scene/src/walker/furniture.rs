// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What stands about and hides people: seats, tables, plants, posts.

use crate::dice::Dice;
use crate::domain::Domain;
use crate::geometry::{Camera, Pixel, Stand, Vec3, vec3};
use crate::light::{Light, Rgb, tone};
use crate::solid::{cuboid, draw};
use crate::stage::{Owner, Stage};
use std::f32::consts::{PI, TAU};

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Stool,
    Table,
    Plant,
    Cabinet,
    Post,
}

/// A piece of furniture on the floor.
#[derive(Clone, Debug)]
pub struct Piece {
    kind: Kind,
    stand: Stand,
    colour: Rgb,
    shape: u64,
}

/// Where the seat of a person stands and which way one sits on it: x, z and yaw of the feet.
pub fn seat_of(seed: u64, actor: usize) -> (f32, f32, f32) {
    let mut dice = Dice::new(seed, &[0x5EA7, actor as u64]);
    let x = -1.3 + 1.35 * actor as f32 + dice.around_zero(0.35);
    let yaw = PI + *dice.pick(&[-1.35, -0.9, 0.9, 1.35]);
    (x, 0.75 + 0.35 * actor as f32, yaw)
}

/// The furniture of a domain.
pub fn arrange(seed: u64, domain: &Domain) -> Vec<Piece> {
    let outdoors = domain.get("backdrop") >= 2.0;
    let crowded = domain.get("density") >= 0.8;
    let mut dice = Dice::new(seed, &[0xF0, domain.get("backdrop") as u64]);
    let woods: [Rgb; 3] = [[0.50, 0.34, 0.20], [0.30, 0.21, 0.15], [0.72, 0.58, 0.42]];
    let wood = *dice.pick(&woods);
    let mut pieces = Vec::new();
    let mut put = |kind, x: f32, z: f32, yaw: f32, colour: Rgb, shape: u64| {
        pieces.push(Piece {
            kind,
            stand: Stand::at(x, z, yaw),
            colour,
            shape,
        });
    };
    for actor in 0..if crowded { 3 } else { 1 } {
        let (x, z, yaw) = seat_of(seed, actor);
        // The seat is behind the feet by the length of a thigh.
        let back = Stand {
            origin: vec3(x, 0.0, z),
            yaw,
        }
        .to_world(vec3(0.0, 0.0, -0.46));
        put(Kind::Stool, back.x, back.z, yaw, wood, 0);
    }
    let low = if outdoors { Kind::Post } else { Kind::Table };
    put(
        low,
        dice.range(0.6, 2.2),
        dice.range(-1.5, -1.1),
        dice.around_zero(0.2),
        tone(wood, 0.9),
        1,
    );
    if outdoors || dice.chance(0.6) {
        put(
            Kind::Plant,
            dice.range(-2.6, -1.6),
            dice.range(-1.4, -0.9),
            0.0,
            [0.20, 0.42, 0.18],
            seed ^ 7,
        );
    }
    if !outdoors {
        put(
            Kind::Cabinet,
            dice.range(1.6, 3.0),
            2.85,
            0.0,
            tone(wood, 1.1),
            2,
        );
    }
    if crowded {
        put(
            Kind::Cabinet,
            dice.range(-0.6, 0.4),
            -1.5,
            0.1,
            tone(wood, 0.8),
            3,
        );
        put(
            Kind::Plant,
            dice.range(2.0, 2.8),
            -0.9,
            0.0,
            [0.26, 0.45, 0.22],
            seed ^ 9,
        );
    }
    pieces
}

impl Piece {
    /// The middle of its foot.
    pub fn place(&self) -> Vec3 {
        self.stand.origin
    }

    pub fn draw(&self, stage: &mut Stage, camera: &Camera, light: &Light) {
        match self.kind {
            Kind::Stool => {
                self.legs(stage, camera, light, 0.36, 0.36, 0.42);
                self.block(stage, camera, light, 0.42, vec3(0.44, 0.06, 0.44), 1.05);
            }
            Kind::Table => {
                self.legs(stage, camera, light, 1.0, 0.5, 0.44);
                self.block(stage, camera, light, 0.44, vec3(1.15, 0.06, 0.62), 1.0);
            }
            Kind::Cabinet => {
                self.block(stage, camera, light, 0.0, vec3(0.9, 0.85, 0.42), 1.0);
                self.block(stage, camera, light, 0.85, vec3(0.96, 0.05, 0.46), 1.15);
            }
            Kind::Post => {
                self.block(stage, camera, light, 0.0, vec3(0.16, 0.9, 0.16), 0.8);
                self.block(stage, camera, light, 0.9, vec3(0.2, 0.05, 0.2), 1.2);
            }
            Kind::Plant => self.plant(stage, camera, light),
        }
    }

    fn block(
        &self,
        stage: &mut Stage,
        camera: &Camera,
        light: &Light,
        base: f32,
        size: Vec3,
        k: f32,
    ) {
        draw(
            stage,
            Owner::Scenery,
            camera,
            light,
            &cuboid(&self.stand, base, size, tone(self.colour, k)),
        );
    }

    fn legs(
        &self,
        stage: &mut Stage,
        camera: &Camera,
        light: &Light,
        width: f32,
        length: f32,
        height: f32,
    ) {
        for (x, z) in [(-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)] {
            let origin = self
                .stand
                .to_world(vec3(x * width * 0.5, 0.0, z * length * 0.5));
            let leg = Stand {
                origin,
                ..self.stand
            };
            let faces = cuboid(&leg, 0.0, vec3(0.05, height, 0.05), tone(self.colour, 0.7));
            draw(stage, Owner::Scenery, camera, light, &faces);
        }
    }

    fn plant(&self, stage: &mut Stage, camera: &Camera, light: &Light) {
        let pot = cuboid(&self.stand, 0.0, vec3(0.3, 0.3, 0.3), [0.62, 0.36, 0.26]);
        draw(stage, Owner::Scenery, camera, light, &pot);
        let mut dice = Dice::new(self.shape, &[0x1EAF]);
        let depth = camera.depth(self.stand.origin);
        for i in 0..14 {
            let lean = i as f32 / 14.0 * TAU + dice.around_zero(0.3);
            let reach = dice.range(0.15, 0.42);
            let root = self.stand.origin + vec3(0.0, 0.28, 0.0);
            let tip = root
                + vec3(
                    lean.cos() * reach,
                    dice.range(0.35, 0.85),
                    lean.sin() * reach * 0.6,
                );
            let shade = light.thing(tone(self.colour, dice.range(0.6, 1.3)), depth);
            if let (Some(a), Some(b)) = (camera.project(root), camera.project(tip)) {
                stage.flat(
                    Owner::Scenery,
                    leaf(a, b, camera.scale(depth) * 0.055),
                    shade,
                );
            }
        }
    }
}

fn leaf(a: Pixel, b: Pixel, width: f32) -> Vec<Pixel> {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let n = dx.hypot(dy).max(1e-3);
    let (px, py) = (-dy / n * width, dx / n * width);
    let at = |t: f32, s: f32| [a[0] + dx * t + px * s, a[1] + dy * t + py * s];
    vec![
        at(0.0, 0.1),
        at(0.35, 0.8),
        at(0.7, 0.9),
        b,
        at(0.7, -0.9),
        at(0.35, -0.8),
        at(0.0, -0.1),
    ]
}
