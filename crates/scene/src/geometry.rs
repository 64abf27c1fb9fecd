// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Points, planes and the pinhole camera. World axes: x right, y up, z away; lengths in metres.

use std::ops::{Add, Mul, Sub};

/// A point of the picture in pixels, x right and y down, the top left corner at (0, 0).
pub type Pixel = [f32; 2];

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vec3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

pub const fn vec3(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3 { x, y, z }
}

impl Add for Vec3 {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        vec3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for Vec3 {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        vec3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for Vec3 {
    type Output = Self;
    fn mul(self, k: f32) -> Self {
        vec3(self.x * k, self.y * k, self.z * k)
    }
}

impl Vec3 {
    pub fn dot(self, o: Self) -> f32 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    pub fn cross(self, o: Self) -> Self {
        vec3(
            self.y * o.z - self.z * o.y,
            self.z * o.x - self.x * o.z,
            self.x * o.y - self.y * o.x,
        )
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// The same direction with length 1; zero stays zero.
    pub fn unit(self) -> Self {
        let length = self.length();
        if length > 0.0 {
            self * (1.0 / length)
        } else {
            self
        }
    }

    pub fn lerp(self, o: Self, t: f32) -> Self {
        self + (o - self) * t
    }
}

pub fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Hermite step: 0 below `low`, 1 above `high`, smooth between.
pub fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Where a thing stands and which way it faces: yaw 0 looks along +z, positive yaw turns to +x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stand {
    pub origin: Vec3,
    pub yaw: f32,
}

impl Stand {
    pub fn at(x: f32, z: f32, yaw: f32) -> Self {
        Self {
            origin: vec3(x, 0.0, z),
            yaw,
        }
    }

    /// From the thing's own axes (x to its right, z ahead) to the world's.
    pub fn to_world(self, local: Vec3) -> Vec3 {
        self.origin + self.turn(local)
    }

    /// Rotation alone, for directions.
    pub fn turn(self, v: Vec3) -> Vec3 {
        let (sin, cos) = self.yaw.sin_cos();
        vec3(v.x * cos + v.z * sin, v.y, v.z * cos - v.x * sin)
    }
}

/// A pinhole camera without roll.
#[derive(Clone, Copy, Debug)]
pub struct Camera {
    pub position: Vec3,
    right: Vec3,
    up: Vec3,
    forward: Vec3,
    focal: f32,
    centre: Pixel,
}

/// Nearest distance that is drawn, in metres.
const NEAR: f32 = 0.4;

impl Camera {
    /// `yaw` turns to +x and `pitch` down, in radians; `field` is the vertical field of view in radians;
    /// the picture is `width` × `height` pixels.
    pub fn new(position: Vec3, yaw: f32, pitch: f32, field: f32, width: u32, height: u32) -> Self {
        let (sy, cy) = yaw.sin_cos();
        let (sp, cp) = pitch.sin_cos();
        Self {
            position,
            right: vec3(cy, 0.0, -sy),
            up: vec3(sy * sp, cp, cy * sp),
            forward: vec3(sy * cp, -sp, cy * cp),
            focal: height as f32 * 0.5 / (field * 0.5).tan(),
            centre: [width as f32 * 0.5, height as f32 * 0.5],
        }
    }

    /// Distance along the optical axis in metres.
    pub fn depth(&self, p: Vec3) -> f32 {
        (p - self.position).dot(self.forward)
    }

    /// Pixels a metre takes at `depth`.
    pub fn scale(&self, depth: f32) -> f32 {
        self.focal / depth.max(NEAR)
    }

    /// The pixel of a point; `None` behind the near plane.
    pub fn project(&self, p: Vec3) -> Option<Pixel> {
        (self.depth(p) >= NEAR).then(|| self.project_unchecked(p))
    }

    fn project_unchecked(&self, p: Vec3) -> Pixel {
        let d = p - self.position;
        let scale = self.scale(d.dot(self.forward));
        [
            self.centre[0] + d.dot(self.right) * scale,
            self.centre[1] - d.dot(self.up) * scale,
        ]
    }

    /// A planar polygon, cut at the near plane, in pixels; empty when all of it is behind.
    pub fn polygon(&self, points: &[Vec3]) -> Vec<Pixel> {
        let mut out = Vec::with_capacity(points.len() + 2);
        for (i, &a) in points.iter().enumerate() {
            let b = points[(i + 1) % points.len()];
            let (da, db) = (self.depth(a), self.depth(b));
            if da >= NEAR {
                out.push(self.project_unchecked(a));
            }
            if (da >= NEAR) != (db >= NEAR) {
                out.push(self.project_unchecked(a.lerp(b, (NEAR - da) / (db - da))));
            }
        }
        out
    }

    /// Whether a face with this outward normal shows its front.
    pub fn sees(&self, point: Vec3, normal: Vec3) -> bool {
        normal.dot(self.position - point) > 0.0
    }

    /// The image row of the horizon.
    pub fn horizon(&self) -> f32 {
        self.centre[1] + self.focal * self.forward.y.asin().tan()
    }
}

/// Even–odd test of a point against a polygon.
pub fn contains(polygon: &[Pixel], p: Pixel) -> bool {
    let mut inside = false;
    let mut j = polygon.len().wrapping_sub(1);
    for i in 0..polygon.len() {
        let (a, b) = (polygon[i], polygon[j]);
        if (a[1] > p[1]) != (b[1] > p[1])
            && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0]
        {
            inside = !inside;
        }
        j = i;
    }
    inside
}

/// Convex hull (Andrew's monotone chain), counter-clockwise in mathematical axes.
pub fn hull(mut points: Vec<Pixel>) -> Vec<Pixel> {
    if points.len() < 3 {
        return points;
    }
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let turn = |o: Pixel, a: Pixel, b: Pixel| {
        (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])
    };
    let mut chain: Vec<Pixel> = Vec::with_capacity(points.len() * 2);
    for pass in 0..2 {
        let floor = chain.len();
        for &p in &points {
            while chain.len() >= floor + 2
                && turn(chain[chain.len() - 2], chain[chain.len() - 1], p) <= 0.0
            {
                chain.pop();
            }
            chain.push(p);
        }
        chain.pop();
        if pass == 0 {
            points.reverse();
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optical_axis_meets_the_picture_centre() {
        let camera = Camera::new(vec3(1.0, 5.0, -2.0), 0.4, 0.3, 0.8, 640, 360);
        let (sy, cy) = 0.4f32.sin_cos();
        let (sp, cp) = 0.3f32.sin_cos();
        let ahead = camera.position + vec3(sy * cp, -sp, cy * cp) * 10.0;
        let p = camera.project(ahead).unwrap();
        assert!(
            (p[0] - 320.0).abs() < 0.01 && (p[1] - 180.0).abs() < 0.01,
            "{p:?}"
        );
        assert!((camera.depth(ahead) - 10.0).abs() < 1e-4);
    }

    #[test]
    fn the_horizon_is_where_far_ground_vanishes() {
        let camera = Camera::new(vec3(0.0, 5.0, 0.0), 0.0, 0.2, 0.8, 640, 360);
        let far = camera.project(vec3(0.0, 0.0, 1e6)).unwrap();
        assert!(
            (camera.horizon() - far[1]).abs() < 0.1,
            "{} {}",
            camera.horizon(),
            far[1]
        );
    }

    #[test]
    fn polygons_are_cut_at_the_near_plane() {
        let camera = Camera::new(vec3(0.0, 1.0, 0.0), 0.0, 0.0, 0.8, 640, 360);
        let strip = [
            vec3(-1.0, 0.0, -5.0),
            vec3(1.0, 0.0, -5.0),
            vec3(1.0, 0.0, 5.0),
            vec3(-1.0, 0.0, 5.0),
        ];
        let cut = camera.polygon(&strip);
        assert_eq!(cut.len(), 4);
        assert!(cut.iter().flatten().all(|v| v.is_finite()));
        assert!(
            camera
                .polygon(&strip.map(|p| p - vec3(0.0, 0.0, 20.0)))
                .is_empty()
        );
    }

    #[test]
    fn a_hull_keeps_the_corners_and_drops_the_inside() {
        let h = hull(vec![
            [0.0, 0.0],
            [4.0, 0.0],
            [2.0, 1.0],
            [4.0, 3.0],
            [0.0, 3.0],
        ]);
        assert_eq!(h.len(), 4);
        assert!(contains(&h, [2.0, 1.0]) && !contains(&h, [5.0, 1.0]));
    }
}
