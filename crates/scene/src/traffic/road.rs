// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The street itself, what stands along it, and who passes by.

use super::flow::{LANE, PARKING};
use crate::backdrop::{grain, ground, panel, sky};
use crate::dice::Dice;
use crate::domain::Domain;
use crate::figure::{Clothes, Pose, Skeleton, draw, stride_length};
use crate::geometry::{Camera, Stand, Vec3, vec3};
use crate::light::{Light, Rgb, blend, tone};
use crate::plants::tree;
use crate::solid::{self, cuboid};
use crate::stage::{Owner, Stage};
use std::f32::consts::PI;
use tiny_skia::PixmapMut;

/// Half of the carriageway, without parking.
const EDGE: f32 = 2.0 * LANE;
/// Far end of what is drawn.
const FAR: f32 = 190.0;
/// Outer edge of the pavement.
const PAVEMENT: f32 = PARKING + 4.2;

struct Set<'a> {
    stage: Stage,
    camera: &'a Camera,
    light: &'a Light,
    dice: Dice,
    lit: f32,
}

pub fn paint(picture: &mut PixmapMut, camera: &Camera, light: &Light, domain: &Domain, seed: u64) {
    let backdrop = domain.get("backdrop") as u64;
    let dice = Dice::new(seed, &[0x40AD, backdrop]);
    let mut set = Set {
        stage: Stage::default(),
        camera,
        light,
        dice,
        lit: light.lamps,
    };
    let day = domain.get("daylight");
    let zenith = blend([0.02, 0.03, 0.07], [0.36, 0.56, 0.88], day);
    sky(
        &mut set.stage,
        light,
        camera.horizon(),
        picture.width(),
        picture.height(),
        zenith,
    );
    set.land(backdrop);
    set.carriageway(domain.get("rain"), backdrop);
    match backdrop {
        0 => set.houses(),
        1 => set.city(),
        _ => set.open_land(),
    }
    set.lamp_light();
    set.stage.paint(picture);
    grain(picture, seed, 0.06, camera.horizon());
}

impl Set<'_> {
    fn strip(&mut self, x: [f32; 2], colour: Rgb) {
        ground(
            &mut self.stage,
            self.camera,
            self.light,
            x,
            [-20.0, FAR],
            colour,
        );
    }

    fn patch(&mut self, x: [f32; 2], z: [f32; 2], colour: Rgb) {
        let edges = [vec3(x[1] - x[0], 0.0, 0.0), vec3(0.0, 0.0, z[1] - z[0])];
        panel(
            &mut self.stage,
            self.camera,
            self.light,
            vec3(x[0], 0.0, z[0]),
            edges,
            colour,
        );
    }

    fn land(&mut self, backdrop: u64) {
        let colour =
            [[0.35, 0.45, 0.24], [0.52, 0.50, 0.47], [0.45, 0.47, 0.27]][backdrop.min(2) as usize];
        self.strip([-160.0, 160.0], colour);
        if backdrop < 2 {
            for side in [-1.0f32, 1.0] {
                let (a, b) = (side * (PARKING + 1.2), side * PAVEMENT);
                self.strip([a.min(b), a.max(b)], [0.62, 0.60, 0.57]);
                let kerb = side * (PARKING + 1.2);
                self.strip([kerb - 0.12, kerb + 0.12], [0.74, 0.73, 0.70]);
            }
        }
    }

    fn carriageway(&mut self, rain: f32, backdrop: u64) {
        let asphalt = tone([0.33, 0.33, 0.345], 1.0 - 0.35 * rain);
        let half = if backdrop < 2 {
            PARKING + 1.1
        } else {
            EDGE + 1.2
        };
        self.strip([-half, half], asphalt);
        let white = tone([0.86, 0.86, 0.83], 1.0 - 0.15 * rain);
        for x in [-EDGE + 0.1, EDGE - 0.2] {
            self.strip([x, x + 0.14], white);
        }
        self.strip([-0.22, -0.10], white);
        self.strip([0.10, 0.22], white);
        let mut z = -12.0;
        while z < FAR {
            for x in [-LANE, LANE] {
                self.patch([x - 0.08, x + 0.08], [z, z + 3.0], white);
            }
            z += 7.5;
        }
        // Repairs and stains.
        for _ in 0..9 {
            let (x, z) = (
                self.dice.range(-EDGE, EDGE - 1.5),
                self.dice.range(2.0, 60.0),
            );
            let (w, l) = (self.dice.range(0.5, 1.6), self.dice.range(1.0, 5.0));
            let k = self.dice.range(0.8, 1.1);
            self.patch([x, x + w], [z, z + l], tone(asphalt, k));
        }
        if rain > 0.0 {
            for _ in 0..14 {
                let (x, z) = (self.dice.range(-EDGE, EDGE), self.dice.range(4.0, 70.0));
                let shine = blend(asphalt, self.light.haze_colour, 0.35 * rain);
                self.patch([x, x + 1.2], [z, z + 3.0], shine);
            }
        }
        if self.dice.chance(0.5) && backdrop < 2 {
            let z = self.dice.range(16.0, 34.0);
            for i in 0..13 {
                let x = -EDGE + 0.3 + i as f32 * 1.03;
                self.patch([x, x + 0.55], [z, z + 3.2], white);
            }
        }
    }

    /// A block with rows of windows on the sides that face the road and the camera.
    fn building(&mut self, x: f32, z: f32, size: Vec3, colour: Rgb, floors: usize) {
        if self.blocks_view(x) {
            return;
        }
        let stand = Stand::at(x, z, 0.0);
        solid::draw(
            &mut self.stage,
            Owner::Scenery,
            self.camera,
            self.light,
            &cuboid(&stand, 0.0, size, colour),
        );
        let inner = x - x.signum() * size.x * 0.5;
        let front = z - size.z * 0.5;
        let storey = size.y / (floors as f32 + 0.35);
        for floor in 0..floors {
            let y = 0.35 * storey + floor as f32 * storey;
            let mut at = 1.2;
            while at + 1.4 < size.z {
                let corner = vec3(inner - x.signum() * 0.02, y + 0.3, front + at);
                self.window(
                    corner,
                    vec3(0.0, 0.0, 1.3),
                    storey * 0.5,
                    vec3(-x.signum(), 0.0, 0.0),
                );
                at += 2.6;
            }
            let mut at = 1.0;
            while at + 1.4 < size.x {
                let corner = vec3(x - size.x * 0.5 + at, y + 0.3, front - 0.02);
                self.window(
                    corner,
                    vec3(1.3, 0.0, 0.0),
                    storey * 0.5,
                    vec3(0.0, 0.0, -1.0),
                );
                at += 2.6;
            }
        }
    }

    /// A camera that hangs on a house itself looks out from it.
    fn blocks_view(&self, x: f32) -> bool {
        self.camera.position.x * x.signum() > PAVEMENT
    }

    fn window(&mut self, corner: Vec3, along: Vec3, height: f32, normal: Vec3) {
        let lamp = self.dice.chance(0.4);
        if !self.camera.sees(corner, normal) {
            return;
        }
        let up = vec3(0.0, height, 0.0);
        let points = [corner, corner + along, corner + along + up, corner + up];
        let depth = self.camera.depth(corner);
        let dark = self.light.face([0.24, 0.29, 0.34], normal, depth);
        let colour = if lamp && self.lit > 0.0 {
            let warm = self.light.through_air([0.95, 0.78, 0.42], depth);
            std::array::from_fn(|i| dark[i] + (warm[i] - dark[i]) * self.lit * 0.8)
        } else {
            dark
        };
        self.stage
            .flat(Owner::Scenery, self.camera.polygon(&points), colour);
    }

    fn houses(&mut self) {
        let walls: [Rgb; 5] = [
            [0.82, 0.76, 0.66],
            [0.70, 0.46, 0.38],
            [0.86, 0.84, 0.80],
            [0.66, 0.68, 0.66],
            [0.80, 0.68, 0.50],
        ];
        for i in (0..9).rev() {
            let z = 6.0 + i as f32 * 17.0 + self.dice.around_zero(2.0);
            for side in [-1.0, 1.0] {
                let colour = *self.dice.pick(&walls);
                let size = vec3(9.0, self.dice.range(5.0, 7.0), self.dice.range(9.0, 12.0));
                let x = side * (PAVEMENT + 9.5 + self.dice.range(0.0, 3.0));
                self.building(x, z, size, colour, 2);
                self.roof(x, z, size);
                let bush = side * (PAVEMENT + 2.6);
                let size = self.dice.range(0.55, 0.95);
                let foot = vec3(bush, 0.0, z - 8.0);
                tree(
                    &mut self.stage,
                    self.camera,
                    self.light,
                    foot,
                    size,
                    &mut self.dice,
                );
            }
        }
    }

    /// A gable roof with its ridge along the road.
    fn roof(&mut self, x: f32, z: f32, size: Vec3) {
        if self.blocks_view(x) {
            return;
        }
        let colours: [Rgb; 3] = [[0.52, 0.26, 0.20], [0.32, 0.30, 0.30], [0.45, 0.33, 0.26]];
        let colour = *self.dice.pick(&colours);
        let stand = Stand::at(x, z, PI * 0.5);
        let (half, top) = (size.x * 0.5 + 0.4, size.y + 2.6);
        let gable = [(-half, size.y), (0.0, top), (half, size.y)];
        let faces = solid::prism(&stand, &gable, |_| size.z * 0.5 + 0.3, |_| colour);
        solid::draw(
            &mut self.stage,
            Owner::Scenery,
            self.camera,
            self.light,
            &faces,
        );
    }

    fn city(&mut self) {
        let walls: [Rgb; 4] = [
            [0.58, 0.55, 0.52],
            [0.46, 0.48, 0.52],
            [0.70, 0.64, 0.56],
            [0.52, 0.40, 0.36],
        ];
        for i in (0..9).rev() {
            let z = 5.0 + i as f32 * 18.0;
            for side in [-1.0, 1.0] {
                let colour = *self.dice.pick(&walls);
                let floors = 3 + self.dice.below(5);
                let size = vec3(12.0, floors as f32 * 3.3 + 1.0, self.dice.range(13.0, 17.5));
                self.building(side * (PAVEMENT + 6.4), z, size, colour, floors);
                if self.blocks_view(side) {
                    continue;
                }
                // A shop front at street level.
                let sign = tone(
                    *self
                        .dice
                        .pick(&[[0.7, 0.2, 0.2], [0.2, 0.4, 0.6], [0.8, 0.7, 0.3]]),
                    1.0,
                );
                let corner = vec3(side * (PAVEMENT + 0.38), 2.6, z - size.z * 0.4);
                let edges = [vec3(0.0, 0.0, size.z * 0.8), vec3(0.0, 0.6, 0.0)];
                panel(
                    &mut self.stage,
                    self.camera,
                    self.light,
                    corner,
                    edges,
                    sign,
                );
            }
        }
    }

    fn open_land(&mut self) {
        for i in 0..6 {
            let colour = [[0.50, 0.50, 0.24], [0.38, 0.46, 0.24], [0.58, 0.52, 0.30]][i % 3];
            let z = 14.0 + 22.0 * i as f32;
            let side = if i % 2 == 0 { -1.0f32 } else { 1.0 };
            let (a, b) = (side * 14.0, side * 120.0);
            self.patch([a.min(b), a.max(b)], [z, z + 26.0], colour);
        }
        for _ in 0..26 {
            let side = if self.dice.chance(0.5) { 1.0 } else { -1.0 };
            let foot = vec3(
                side * self.dice.range(24.0, 80.0),
                0.0,
                self.dice.range(60.0, 180.0),
            );
            let size = self.dice.range(1.2, 2.2);
            tree(
                &mut self.stage,
                self.camera,
                self.light,
                foot,
                size,
                &mut self.dice,
            );
        }
        for side in [-1.0, 1.0] {
            let edges = [vec3(0.0, 0.0, FAR), vec3(0.0, 0.28, 0.0)];
            let corner = vec3(side * (EDGE + 1.8), 0.45, -10.0);
            panel(
                &mut self.stage,
                self.camera,
                self.light,
                corner,
                edges,
                [0.70, 0.72, 0.74],
            );
        }
    }

    /// Pools of light under the street lamps.
    fn lamp_light(&mut self) {
        if self.lit <= 0.0 {
            return;
        }
        for i in 0..7 {
            for side in [-1.0, 1.0] {
                let foot = vec3(side * (EDGE - 0.6), 0.0, 4.0 + 22.0 * i as f32);
                let Some(p) = self.camera.project(foot) else {
                    continue;
                };
                let depth = self.camera.depth(foot);
                let r = self.camera.scale(depth) * 7.0;
                self.stage
                    .glow(p, r, [0.34, 0.26, 0.13, self.lit * self.light.clear(depth)]);
            }
        }
    }
}

/// Something upright that may stand between the camera and a vehicle.
pub enum Prop {
    Lamp(Vec3, f32),
    Tree(Vec3, f32, u64),
    Sign(Vec3, Rgb),
    Person(Box<Skeleton>, Clothes),
}

/// What stands along the road, and the passers-by at a time.
pub fn props(seed: u64, domain: &Domain, time: f64) -> Vec<Prop> {
    let backdrop = domain.get("backdrop") as u64;
    let mut dice = Dice::new(seed, &[0x9409, backdrop]);
    let mut props = Vec::new();
    for i in 0..7 {
        let z = 4.0 + 22.0 * i as f32;
        for side in [-1.0f32, 1.0] {
            let x = side
                * if backdrop < 2 {
                    PARKING + 1.7
                } else {
                    EDGE + 2.3
                };
            props.push(Prop::Lamp(vec3(x, 0.0, z), side));
            if backdrop < 2 && dice.chance(0.45) {
                props.push(Prop::Tree(
                    vec3(x + side * 0.6, 0.0, z + 11.0),
                    dice.range(0.75, 1.1),
                    seed ^ (i * 2 + 1) as u64,
                ));
            }
            if dice.chance(0.2) {
                props.push(Prop::Sign(
                    vec3(x, 0.0, z + 5.0),
                    *dice.pick(&[[0.8, 0.1, 0.1], [0.1, 0.3, 0.7]]),
                ));
            }
        }
    }
    if backdrop < 2 {
        let count = 3 + (domain.get("density") * 9.0) as u64;
        props.extend((0..count).map(|i| passer_by(seed, i, domain, time)));
    }
    props
}

/// Someone walking up and down the pavement.
fn passer_by(seed: u64, number: u64, domain: &Domain, time: f64) -> Prop {
    let mut dice = Dice::new(seed, &[0x9A55, number]);
    let side = if dice.chance(0.5) { 1.0 } else { -1.0 };
    let (height, speed) = (dice.range(1.55, 1.9), dice.range(1.1, 1.5));
    let (start, x) = (
        dice.range(0.0, 160.0),
        side * dice.range(PARKING + 2.2, PAVEMENT - 0.5),
    );
    let gone = f64::from(start) + time * f64::from(speed);
    // There and back on 80 metres.
    let lap = gone.rem_euclid(160.0) as f32;
    let (z, yaw) = if lap < 80.0 {
        (lap, 0.0)
    } else {
        (160.0 - lap, PI)
    };
    let phase = (gone / f64::from(stride_length(height, 1.0))).rem_euclid(1.0) as f32;
    let skeleton = Skeleton::new(&Pose::walking(phase, 1.0), &Stand::at(x, z, yaw), height);
    Prop::Person(
        Box::new(skeleton),
        Clothes::random(&mut dice, domain.get("palette"), 0.3),
    )
}

impl Prop {
    pub fn place(&self) -> Vec3 {
        match self {
            Self::Lamp(p, _) | Self::Tree(p, ..) | Self::Sign(p, _) => *p,
            Self::Person(body, _) => body.joint(15).lerp(body.joint(16), 0.5),
        }
    }

    pub fn draw(&self, stage: &mut Stage, camera: &Camera, light: &Light) {
        // A camera is not put up where a lamp post stands in its view.
        let clear = if matches!(self, Self::Person(..) | Self::Sign(..)) {
            3.0
        } else {
            17.0
        };
        if camera.depth(self.place()) < clear {
            return;
        }
        match self {
            Self::Lamp(foot, side) => lamp(stage, camera, light, *foot, *side),
            Self::Tree(foot, size, seed) => tree(
                stage,
                camera,
                light,
                *foot,
                *size,
                &mut Dice::new(*seed, &[1]),
            ),
            Self::Sign(foot, colour) => sign(stage, camera, light, *foot, *colour),
            Self::Person(body, clothes) => {
                draw(stage, Owner::Scenery, camera, light, body, clothes)
            }
        }
    }
}

fn pole(stage: &mut Stage, camera: &Camera, light: &Light, foot: Vec3, height: f32, width: f32) {
    let faces = cuboid(
        &Stand {
            origin: foot,
            yaw: 0.0,
        },
        0.0,
        vec3(width, height, width),
        [0.42, 0.44, 0.46],
    );
    solid::draw(stage, Owner::Scenery, camera, light, &faces);
}

fn lamp(stage: &mut Stage, camera: &Camera, light: &Light, foot: Vec3, side: f32) {
    pole(stage, camera, light, foot, 6.4, 0.14);
    let arm = Stand {
        origin: foot + vec3(-side * 0.7, 0.0, 0.0),
        yaw: 0.0,
    };
    let faces = cuboid(&arm, 6.3, vec3(1.6, 0.1, 0.12), [0.42, 0.44, 0.46]);
    solid::draw(stage, Owner::Scenery, camera, light, &faces);
    let bulb = foot + vec3(-side * 1.45, 6.25, 0.0);
    if let (Some(p), true) = (camera.project(bulb), light.lamps > 0.0) {
        let depth = camera.depth(bulb);
        stage.glow(
            p,
            camera.scale(depth) * 1.6,
            [1.0, 0.82, 0.5, light.lamps * light.clear(depth)],
        );
    }
}

fn sign(stage: &mut Stage, camera: &Camera, light: &Light, foot: Vec3, colour: Rgb) {
    pole(stage, camera, light, foot, 2.3, 0.07);
    let corner = foot + vec3(-0.35, 1.9, -0.05);
    panel(
        stage,
        camera,
        light,
        corner,
        [vec3(0.7, 0.0, 0.0), vec3(0.0, 0.7, 0.0)],
        colour,
    );
    let inner = corner + vec3(0.12, 0.12, -0.01);
    panel(
        stage,
        camera,
        light,
        inner,
        [vec3(0.46, 0.0, 0.0), vec3(0.0, 0.46, 0.0)],
        [0.92, 0.92, 0.9],
    );
}
