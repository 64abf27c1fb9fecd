// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Trees.

use crate::dice::Dice;
use crate::geometry::{Camera, Pixel, Vec3, vec3};
use crate::light::{Light, Rgb, tone};
use crate::stage::{Owner, Stage};
use std::f32::consts::TAU;

/// A broad-leaved tree about `5 × size` metres high: a trunk and three layers of foliage, lit from above.
pub fn tree(
    stage: &mut Stage,
    camera: &Camera,
    light: &Light,
    foot: Vec3,
    size: f32,
    dice: &mut Dice,
) {
    let depth = camera.depth(foot);
    let (Some(low), Some(high)) = (
        camera.project(foot),
        camera.project(foot + vec3(0.0, 3.0 * size, 0.0)),
    ) else {
        return;
    };
    let scale = camera.scale(depth) * size;
    let (w, bark) = (0.14 * scale, light.thing([0.30, 0.23, 0.17], depth));
    let trunk = vec![
        [low[0] - w, low[1]],
        [low[0] + w, low[1]],
        [high[0] + w * 0.6, high[1]],
        [high[0] - w * 0.6, high[1]],
    ];
    stage.flat(Owner::Scenery, trunk, bark);
    let greens: [Rgb; 3] = [[0.22, 0.38, 0.16], [0.28, 0.42, 0.18], [0.36, 0.42, 0.18]];
    let green = *dice.pick(&greens);
    for (layer, k) in [0.62, 0.9, 1.2].into_iter().enumerate() {
        let (shift, shrink) = (layer as f32 * 0.22, 1.0 - 0.26 * layer as f32);
        let centre = [
            high[0] - shift * scale * 0.7,
            high[1] - (0.6 + shift) * scale,
        ];
        let crown = blob(centre, 1.75 * scale * shrink, dice);
        stage.flat(Owner::Scenery, crown, light.thing(tone(green, k), depth));
    }
}

/// A round shape with an uneven rim.
fn blob(centre: Pixel, radius: f32, dice: &mut Dice) -> Vec<Pixel> {
    const CORNERS: usize = 26;
    let bumps: Vec<f32> = (0..CORNERS).map(|_| dice.range(0.78, 1.08)).collect();
    (0..CORNERS)
        .map(|i| {
            let (sin, cos) = (i as f32 / CORNERS as f32 * TAU).sin_cos();
            let r = radius * bumps[i];
            [centre[0] + cos * r, centre[1] + sin * r * 0.86]
        })
        .collect()
}
