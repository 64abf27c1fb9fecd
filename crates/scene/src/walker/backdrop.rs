// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The three places where people walk: a living room, a clinic's gait laboratory and a park.

use crate::backdrop::{grain, ground, panel, sky};
use crate::dice::Dice;
use crate::domain::Domain;
use crate::geometry::{Camera, Vec3, vec3};
use crate::light::{Light, Rgb, blend, tone};
use crate::stage::{Owner, Stage};
use tiny_skia::PixmapMut;

/// Distance of the back wall.
const WALL: f32 = 3.2;

struct Set<'a> {
    stage: Stage,
    camera: &'a Camera,
    light: &'a Light,
    dice: Dice,
}

pub fn paint(picture: &mut PixmapMut, camera: &Camera, light: &Light, domain: &Domain, seed: u64) {
    let backdrop = domain.get("backdrop") as u64;
    let mut set = Set {
        stage: Stage::default(),
        camera,
        light,
        dice: Dice::new(seed, &[0xBA, backdrop]),
    };
    match backdrop {
        0 => set.living_room(),
        1 => set.clinic(),
        _ => set.park(picture.width(), picture.height(), domain),
    }
    set.stage.paint(picture);
    if backdrop == 2 {
        grain(picture, seed, 0.10, camera.horizon());
    } else {
        grain(picture, seed, 0.035, 0.0);
    }
}

impl Set<'_> {
    /// A picture on the back wall or a hole in it, `x`, `y` its lower left corner.
    fn on_wall(&mut self, x: f32, y: f32, width: f32, height: f32, colour: Rgb) {
        let edges = [vec3(width, 0.0, 0.0), vec3(0.0, height, 0.0)];
        panel(
            &mut self.stage,
            self.camera,
            self.light,
            vec3(x, y, WALL - 0.01),
            edges,
            colour,
        );
    }

    fn on_floor(&mut self, x: [f32; 2], z: [f32; 2], colour: Rgb) {
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

    fn shell(&mut self, wall: Rgb, ceiling: Rgb) {
        let (camera, light) = (self.camera, self.light);
        let mut flat = |corner: Vec3, edges, colour| {
            panel(&mut self.stage, camera, light, corner, edges, colour)
        };
        flat(
            vec3(-9.0, 2.8, -9.0),
            [vec3(18.0, 0.0, 0.0), vec3(0.0, 0.0, 13.0)],
            ceiling,
        );
        flat(
            vec3(-9.0, 0.0, WALL),
            [vec3(18.0, 0.0, 0.0), vec3(0.0, 2.8, 0.0)],
            wall,
        );
        flat(
            vec3(5.6, 0.0, -9.0),
            [vec3(0.0, 0.0, 9.0 + WALL), vec3(0.0, 2.8, 0.0)],
            tone(wall, 0.9),
        );
        flat(
            vec3(-5.6, 0.0, -9.0),
            [vec3(0.0, 0.0, 9.0 + WALL), vec3(0.0, 2.8, 0.0)],
            tone(wall, 0.94),
        );
    }

    fn living_room(&mut self) {
        let walls: [Rgb; 4] = [
            [0.86, 0.82, 0.74],
            [0.72, 0.78, 0.76],
            [0.85, 0.76, 0.68],
            [0.76, 0.78, 0.84],
        ];
        let wall = *self.dice.pick(&walls);
        self.shell(wall, [1.5, 1.48, 1.45]);
        self.boards([0.60, 0.44, 0.29]);
        self.on_wall(-5.6, 0.0, 11.2, 0.09, [0.92, 0.91, 0.88]);
        let x = self.dice.range(-2.6, -0.9);
        self.window(x);
        let x = self.dice.range(0.6, 1.9);
        self.door(x);
        for _ in 0..2 {
            let (x, y) = (self.dice.range(-4.2, 4.0), self.dice.range(1.35, 1.7));
            let colours = [[0.65, 0.35, 0.25], [0.25, 0.40, 0.55], [0.75, 0.65, 0.35]];
            let colour = *self.dice.pick(&colours);
            self.on_wall(x, y, 0.62, 0.48, [0.22, 0.18, 0.15]);
            self.on_wall(x + 0.05, y + 0.05, 0.52, 0.38, colour);
            self.on_wall(x + 0.05, y + 0.05, 0.52, 0.15, tone(colour, 0.6));
        }
        let rug = blend(wall, [0.55, 0.16, 0.18], 0.75);
        self.on_floor([-1.9, 1.9], [-0.8, 1.6], rug);
        self.on_floor([-1.7, 1.7], [-0.65, 1.45], tone(rug, 1.25));
        self.sofa();
        self.lamp(3.6);
    }

    fn clinic(&mut self) {
        self.shell([0.80, 0.86, 0.86], [1.5, 1.52, 1.52]);
        self.on_floor([-9.0, 9.0], [-9.0, WALL], [0.62, 0.66, 0.68]);
        for i in 0..18 {
            let x = -8.0 + i as f32;
            self.on_floor([x, x + 0.02], [-5.0, WALL], [0.50, 0.54, 0.56]);
            let z = -4.5 + i as f32 * 0.6;
            if z < WALL {
                self.on_floor([-9.0, 9.0], [z, z + 0.015], [0.50, 0.54, 0.56]);
            }
        }
        // The walkway that gait is measured on.
        self.on_floor([-4.6, 4.6], [-0.2, 0.9], [0.30, 0.36, 0.44]);
        self.on_wall(-9.0, 0.0, 18.0, 1.05, [0.56, 0.72, 0.72]);
        self.on_wall(-9.0, 0.88, 18.0, 0.07, [0.66, 0.52, 0.36]);
        let x = self.dice.range(-2.8, 2.0);
        self.door(x);
        self.on_wall(x + 1.6, 1.3, 1.3, 0.9, [0.95, 0.95, 0.93]);
        for i in 0..5 {
            self.on_wall(
                x + 1.7,
                1.42 + 0.14 * i as f32,
                0.9 - 0.1 * i as f32,
                0.03,
                [0.3, 0.35, 0.4],
            );
        }
        for i in 0..4 {
            let (x, z) = (-4.0 + 2.5 * i as f32, 0.5);
            let edges = [vec3(1.2, 0.0, 0.0), vec3(0.0, 0.0, 0.5)];
            panel(
                &mut self.stage,
                self.camera,
                self.light,
                vec3(x, 2.79, z),
                edges,
                [2.2, 2.2, 2.2],
            );
        }
    }

    fn park(&mut self, width: u32, height: u32, domain: &Domain) {
        let day = domain.get("daylight");
        let horizon = self.camera.horizon();
        sky(
            &mut self.stage,
            self.light,
            horizon,
            width,
            height,
            tone([0.36, 0.55, 0.86], 0.1 + 0.9 * day),
        );
        ground(
            &mut self.stage,
            self.camera,
            self.light,
            [-90.0, 90.0],
            [-4.0, 120.0],
            [0.34, 0.47, 0.22],
        );
        for _ in 0..14 {
            let (x, z) = (self.dice.range(-34.0, 34.0), self.dice.range(14.0, 60.0));
            self.tree(x, z);
        }
        for i in 0..2 {
            let x = -9.0 + 11.0 * i as f32 + self.dice.around_zero(2.0);
            let z = self.dice.range(6.0, 9.0);
            self.tree(x, z);
        }
        let path: Rgb = if domain.get("rain") > 0.0 {
            [0.40, 0.38, 0.36]
        } else {
            [0.70, 0.63, 0.52]
        };
        self.on_floor([-40.0, 40.0], [-1.9, 2.4], path);
        self.on_floor([-40.0, 40.0], [2.4, 2.52], tone(path, 0.7));
        self.on_floor([-40.0, 40.0], [-2.0, -1.9], tone(path, 0.7));
        self.fence();
    }

    fn boards(&mut self, colour: Rgb) {
        let mut x = -9.0;
        while x < 9.0 {
            let tint = self.dice.range(0.88, 1.1);
            self.on_floor([x, x + 0.21], [-9.0, WALL], tone(colour, tint));
            self.on_floor([x + 0.195, x + 0.21], [-9.0, WALL], tone(colour, 0.72));
            x += 0.2;
        }
    }

    fn window(&mut self, x: f32) {
        let outside = blend(
            self.light.haze_colour,
            [0.70, 0.84, 0.98],
            0.5 * (1.0 - self.light.lamps),
        );
        self.on_wall(x - 0.1, 0.95, 1.6, 1.4, [0.95, 0.94, 0.92]);
        // Daylight behind the panes does not depend on the light in the room.
        for i in 0..2 {
            let corner = vec3(x + 0.72 * i as f32, 1.05, WALL - 0.02);
            let points = [
                corner,
                corner + vec3(0.66, 0.0, 0.0),
                corner + vec3(0.66, 1.2, 0.0),
                corner + vec3(0.0, 1.2, 0.0),
            ];
            let [r, g, b] = outside;
            self.stage
                .flat(Owner::Scenery, self.camera.polygon(&points), [r, g, b, 1.0]);
        }
        let curtain = [[0.55, 0.25, 0.25], [0.28, 0.38, 0.48], [0.78, 0.74, 0.64]];
        let curtain = *self.dice.pick(&curtain);
        for (i, at) in [x - 0.45, x - 0.27, x + 1.35, x + 1.53]
            .into_iter()
            .enumerate()
        {
            self.on_wall(
                at,
                0.5,
                0.2,
                2.0,
                tone(curtain, 0.9 + 0.12 * (i % 2) as f32),
            );
        }
    }

    fn door(&mut self, x: f32) {
        self.on_wall(x - 0.08, 0.0, 1.06, 2.14, [0.90, 0.88, 0.84]);
        self.on_wall(x, 0.0, 0.9, 2.06, [0.66, 0.52, 0.38]);
        self.on_wall(x + 0.14, 1.15, 0.62, 0.75, [0.60, 0.46, 0.33]);
        self.on_wall(x + 0.14, 0.2, 0.62, 0.75, [0.60, 0.46, 0.33]);
        self.on_wall(x + 0.8, 1.0, 0.05, 0.05, [0.8, 0.75, 0.5]);
    }

    fn sofa(&mut self) {
        let colours: [Rgb; 3] = [[0.30, 0.36, 0.44], [0.52, 0.40, 0.32], [0.40, 0.46, 0.36]];
        let colour = *self.dice.pick(&colours);
        let x = self.dice.range(-3.6, -2.6);
        let mut block = |dx: f32, base: f32, size: Vec3, z: f32, k: f32| {
            let stand = crate::geometry::Stand::at(x + dx, z, 0.0);
            let faces = crate::solid::cuboid(&stand, base, size, tone(colour, k));
            crate::solid::draw(
                &mut self.stage,
                Owner::Scenery,
                self.camera,
                self.light,
                &faces,
            );
        };
        block(0.0, 0.1, vec3(1.9, 0.75, 0.25), 2.95, 0.9);
        block(0.0, 0.1, vec3(1.9, 0.33, 0.7), 2.5, 1.0);
        block(-1.02, 0.1, vec3(0.2, 0.52, 0.8), 2.55, 1.05);
        block(1.02, 0.1, vec3(0.2, 0.52, 0.8), 2.55, 1.05);
    }

    fn lamp(&mut self, x: f32) {
        self.on_wall(x, 0.0, 0.04, 1.5, [0.2, 0.2, 0.2]);
        let points = [
            vec3(x - 0.18, 1.45, WALL - 0.05),
            vec3(x + 0.22, 1.45, WALL - 0.05),
            vec3(x + 0.13, 1.8, WALL - 0.05),
            vec3(x - 0.09, 1.8, WALL - 0.05),
        ];
        let on = self.light.lamps;
        let lit = blend([0.85, 0.80, 0.70], [1.0, 0.86, 0.55], on);
        let colour = if on > 0.0 {
            [lit[0], lit[1], lit[2], 1.0]
        } else {
            self.light.thing(lit, 8.0)
        };
        self.stage
            .flat(Owner::Scenery, self.camera.polygon(&points), colour);
        if let (Some(p), true) = (self.camera.project(vec3(x, 1.6, WALL)), on > 0.0) {
            let radius = self.camera.scale(self.camera.depth(vec3(x, 1.6, WALL))) * 3.2;
            self.stage.glow(p, radius, [0.55, 0.38, 0.18, on]);
        }
    }

    fn tree(&mut self, x: f32, z: f32) {
        let size = self.dice.range(0.8, 1.5);
        crate::plants::tree(
            &mut self.stage,
            self.camera,
            self.light,
            vec3(x, 0.0, z),
            size,
            &mut self.dice,
        );
    }

    fn fence(&mut self) {
        let colour = [0.45, 0.36, 0.28];
        for i in 0..40 {
            let x = -20.0 + i as f32;
            let edges = [vec3(0.09, 0.0, 0.0), vec3(0.0, 0.9, 0.0)];
            panel(
                &mut self.stage,
                self.camera,
                self.light,
                vec3(x, 0.0, 3.6),
                edges,
                colour,
            );
        }
        for y in [0.35, 0.75] {
            let edges = [vec3(40.0, 0.0, 0.0), vec3(0.0, 0.08, 0.0)];
            panel(
                &mut self.stage,
                self.camera,
                self.light,
                vec3(-20.0, y, 3.6),
                edges,
                tone(colour, 1.1),
            );
        }
    }
}
