// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Solid things made of flat faces.

use crate::geometry::{Camera, Pixel, Stand, Vec3, hull, vec3};
use crate::light::{Light, Rgb};
use crate::stage::{Owner, Stage};

/// A flat face; its points may go round either way.
pub struct Face {
    pub points: Vec<Vec3>,
    pub colour: Rgb,
}

/// Draws the faces of a convex solid that turn towards the camera.
pub fn draw(stage: &mut Stage, owner: Owner, camera: &Camera, light: &Light, faces: &[Face]) {
    let middle = centre(faces.iter().flat_map(|f| &f.points));
    for face in faces {
        let here = centre(face.points.iter());
        let mut normal = (face.points[1] - face.points[0])
            .cross(face.points[2] - face.points[1])
            .unit();
        if normal.dot(here - middle) < 0.0 {
            normal = normal * -1.0;
        }
        if camera.sees(here, normal) {
            stage.flat(
                owner,
                camera.polygon(&face.points),
                light.face(face.colour, normal, camera.depth(here)),
            );
        }
    }
}

fn centre<'a>(points: impl Iterator<Item = &'a Vec3>) -> Vec3 {
    let (sum, count) = points.fold((Vec3::default(), 0), |(sum, n), &p| (sum + p, n + 1));
    sum * (1.0 / count.max(1) as f32)
}

/// A box `size` (width, height, length) whose bottom is `base` above the ground at `stand`.
pub fn cuboid(stand: &Stand, base: f32, size: Vec3, colour: Rgb) -> Vec<Face> {
    let (x, z) = (size.x * 0.5, size.z * 0.5);
    prism(
        stand,
        &[
            (-z, base),
            (-z, base + size.y),
            (z, base + size.y),
            (z, base),
        ],
        |_| x,
        |_| colour,
    )
}

/// A side profile, given as (along, up) pairs, stretched to both sides by `half(up)`. `colour` is asked for
/// each edge of the profile in order, and for the two sides with the number of points.
pub fn prism(
    stand: &Stand,
    profile: &[(f32, f32)],
    half: impl Fn(f32) -> f32,
    colour: impl Fn(usize) -> Rgb,
) -> Vec<Face> {
    let at = |(z, y): (f32, f32), side: f32| stand.to_world(vec3(side * half(y), y, z));
    let n = profile.len();
    let strip = |i: usize| {
        let (a, b) = (profile[i], profile[(i + 1) % n]);
        Face {
            points: vec![at(a, -1.0), at(a, 1.0), at(b, 1.0), at(b, -1.0)],
            colour: colour(i),
        }
    };
    let side = |s: f32| Face {
        points: profile.iter().map(|&p| at(p, s)).collect(),
        colour: colour(n),
    };
    (0..n).map(strip).chain([side(-1.0), side(1.0)]).collect()
}

/// The shadow that the points of a solid throw on the ground.
pub fn shadow(stage: &mut Stage, camera: &Camera, light: &Light, points: &[Vec3]) {
    let s = light.towards_sun;
    let ground: Vec<Pixel> = points
        .iter()
        .map(|p| {
            // A low sun throws long shadows; an overcast sky only darkens what is underneath.
            let reach = p.y / s.y * (light.shadow - 0.12).max(0.0) / 0.38;
            vec3(p.x - s.x * reach, 0.0, p.z - s.z * reach)
        })
        .filter_map(|p| camera.project(p))
        .collect();
    stage.flat(Owner::Air, hull(ground), light.shadow_colour());
}
