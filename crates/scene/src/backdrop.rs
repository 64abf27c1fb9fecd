// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tools for what does not move: flat areas, a sky, and the grain of real surfaces.

use crate::dice::Dice;
use crate::geometry::{Camera, Pixel, Vec3};
use crate::light::{Light, Rgb, blend};
use crate::stage::{Fill, Owner, Stage};
use tiny_skia::PixmapMut;

/// A rectangle in space given by a corner and two edges.
pub fn panel(
    stage: &mut Stage,
    camera: &Camera,
    light: &Light,
    corner: Vec3,
    edges: [Vec3; 2],
    colour: Rgb,
) {
    let [a, b] = edges;
    let points = [corner, corner + a, corner + a + b, corner + b];
    let middle = corner + (a + b) * 0.5;
    let mut normal = a.cross(b).unit();
    if !camera.sees(middle, normal) {
        normal = normal * -1.0;
    }
    stage.flat(
        Owner::Scenery,
        camera.polygon(&points),
        light.face(colour, normal, camera.depth(middle)),
    );
}

/// Ground between `near` and `far`, in slices so that haze grows with distance.
pub fn ground(
    stage: &mut Stage,
    camera: &Camera,
    light: &Light,
    x: [f32; 2],
    z: [f32; 2],
    colour: Rgb,
) {
    let mut from = z[0];
    while from < z[1] {
        let step = 3.0 + 0.25 * (from - z[0]).abs();
        let to = (from + step).min(z[1]);
        let edges = [
            Vec3 {
                x: x[1] - x[0],
                y: 0.0,
                z: 0.0,
            },
            Vec3 {
                x: 0.0,
                y: 0.0,
                z: to - from,
            },
        ];
        // Neighbours overlap a little, or the antialiased seam shows what is below.
        let overlap = Vec3 {
            x: 0.0,
            y: 0.0,
            z: (to - from) * 0.02,
        };
        panel(
            stage,
            camera,
            light,
            Vec3 {
                x: x[0],
                y: 0.0,
                z: from,
            },
            [edges[0], edges[1] + overlap],
            colour,
        );
        from = to;
    }
}

/// The sky from the zenith's colour to the haze at the horizon.
pub fn sky(stage: &mut Stage, light: &Light, horizon: f32, width: u32, height: u32, zenith: Rgb) {
    let (w, h) = (width as f32, height as f32);
    let low = light.through_air(light.haze_colour, 0.0);
    let top = blend(zenith, light.haze_colour, 1.0 - light.clear(600.0));
    let high = [top[0], top[1], top[2], 1.0];
    let all: Vec<Pixel> = vec![[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]];
    let end = horizon.max(1.0);
    stage.push(
        Owner::Scenery,
        all,
        Fill::Linear([0.0, end - 0.9 * h.max(end)], [0.0, end], high, low),
    );
}

/// Gives flat areas below image row `top` the grain of asphalt, plaster or grass; coarser lower down, where
/// things are nearer.
pub fn grain(picture: &mut PixmapMut, seed: u64, strength: f32, top: f32) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut dice = Dice::new(seed, &[0x64A1]);
    let side = 256;
    let table: Vec<f32> = (0..side * side).map(|_| dice.normal()).collect();
    let at = |x: usize, y: usize| table[(y % side) * side + x % side];
    let top = top.max(0.0) as usize;
    for (y, row) in picture
        .data_mut()
        .chunks_exact_mut(width * 4)
        .enumerate()
        .skip(top)
    {
        let near = y as f32 / height as f32;
        let coarse = 1 + (near * height as f32 / 160.0) as usize;
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let fine = at(x, y) * 0.5 + at(x / coarse + 31, y / coarse + 77) * 0.6;
            let gain = 1.0 + fine * strength * (0.4 + 0.6 * near);
            for value in &mut pixel[..3] {
                *value = (f32::from(*value) * gain) as u8;
            }
        }
    }
}
