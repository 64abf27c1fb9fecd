// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The light of a domain: what a surface's colour becomes on the way to the camera.

use crate::domain::Domain;
use crate::geometry::{Vec3, lerp, vec3};
use crate::stage::Rgba;

/// A surface's own colour, 0–1 each.
pub type Rgb = [f32; 3];

/// Light from everywhere, light from the sun, and the air between.
#[derive(Clone, Debug)]
pub struct Light {
    ambient: Rgb,
    sun: Rgb,
    /// Towards the sun.
    pub towards_sun: Vec3,
    /// How dark cast shadows are, 0–1.
    pub shadow: f32,
    /// Strength of shadows as the domain sets it, 1 unless changed.
    pub shadows: f32,
    haze: f32,
    pub haze_colour: Rgb,
    /// 0 by day, 1 when lamps and headlights are the only light.
    pub lamps: f32,
}

impl Light {
    pub fn of(domain: &Domain) -> Self {
        let day = domain.get("daylight");
        let warmth = domain.get("warmth");
        let sun = domain.get("sun");
        let tint = [
            1.0 + 0.22 * warmth,
            1.0 + 0.02 * warmth,
            1.0 - 0.22 * warmth,
        ];
        let each = |level: f32| tint.map(|t| t * level);
        // An overcast sky takes the sun's part, so a dull day is flat rather than dark.
        let strength = day * sun;
        let ambient = lerp(0.13, 0.66, day) + (day - strength) * 0.22;
        Self {
            ambient: each(ambient),
            sun: each(0.42 * strength),
            towards_sun: vec3(-0.55, 0.75, -0.35).unit(),
            shadow: (0.12 + 0.38 * strength) * domain.get("shadows"),
            shadows: domain.get("shadows"),
            haze: domain.get("haze").powi(2) * 0.045 + 0.0008,
            haze_colour: each(lerp(0.07, 0.80, day)),
            lamps: ((0.45 - day) / 0.3).clamp(0.0, 1.0),
        }
    }

    /// A lit face `depth` metres away.
    pub fn face(&self, colour: Rgb, normal: Vec3, depth: f32) -> Rgba {
        let sun = normal.dot(self.towards_sun).max(0.0);
        // Faces turned down or away from the sky get less of its light too.
        let sky = 0.72 + 0.28 * normal.y;
        self.through_air(
            std::array::from_fn(|i| colour[i] * (self.ambient[i] * sky + self.sun[i] * sun)),
            depth,
        )
    }

    /// A thing without a definite normal, `depth` metres away.
    pub fn thing(&self, colour: Rgb, depth: f32) -> Rgba {
        self.through_air(
            std::array::from_fn(|i| colour[i] * (self.ambient[i] + self.sun[i] * 0.55)),
            depth,
        )
    }

    /// Something that shines by itself.
    pub fn through_air(&self, colour: Rgb, depth: f32) -> Rgba {
        let t = 1.0 - (-self.haze * depth.max(0.0)).exp();
        let [r, g, b] = std::array::from_fn(|i| lerp(colour[i], self.haze_colour[i], t));
        [r, g, b, 1.0]
    }

    /// The share of a light that gets through `depth` metres of air.
    pub fn clear(&self, depth: f32) -> f32 {
        (-self.haze * depth.max(0.0)).exp()
    }

    /// The colour of a cast shadow.
    pub fn shadow_colour(&self) -> Rgba {
        [0.03, 0.03, 0.06, self.shadow]
    }
}

/// `colour` made lighter (`k` > 1) or darker.
pub fn tone(colour: Rgb, k: f32) -> Rgb {
    colour.map(|v| v * k)
}

/// A mix of two colours.
pub fn blend(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|i| lerp(a[i], b[i], t))
}
