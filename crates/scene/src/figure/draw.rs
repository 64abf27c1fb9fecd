// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A clothed body as shaded polygons.

use super::skeleton::{HEAD, Skeleton};
use crate::dice::Dice;
use crate::geometry::{Camera, Pixel, Vec3, hull, vec3};
use crate::light::{Light, Rgb, tone};
use crate::stage::{Fill, Owner, Stage};
use std::f32::consts::TAU;

/// What a person wears and looks like.
#[derive(Clone, Debug)]
pub struct Clothes {
    pub skin: Rgb,
    pub hair: Rgb,
    pub shirt: Rgb,
    pub trousers: Rgb,
    pub shoes: Rgb,
    pub short_sleeves: bool,
    pub shorts: bool,
    /// A coat or skirt that hides the hips and thighs.
    pub coat: bool,
    pub long_hair: bool,
    /// Girth relative to slim.
    pub build: f32,
}

const SKINS: [Rgb; 5] = [
    [0.93, 0.78, 0.68],
    [0.86, 0.68, 0.55],
    [0.72, 0.53, 0.40],
    [0.52, 0.37, 0.27],
    [0.37, 0.26, 0.20],
];
const HAIRS: [Rgb; 5] = [
    [0.10, 0.08, 0.07],
    [0.24, 0.16, 0.10],
    [0.42, 0.28, 0.16],
    [0.70, 0.58, 0.36],
    [0.60, 0.60, 0.60],
];
const BRIGHT: [Rgb; 9] = [
    [0.80, 0.16, 0.16],
    [0.14, 0.34, 0.68],
    [0.95, 0.80, 0.25],
    [0.16, 0.52, 0.30],
    [0.93, 0.93, 0.90],
    [0.90, 0.45, 0.16],
    [0.45, 0.24, 0.55],
    [0.35, 0.70, 0.80],
    [0.88, 0.55, 0.62],
];
const BOTTOMS: [Rgb; 5] = [
    [0.18, 0.24, 0.40],
    [0.14, 0.14, 0.17],
    [0.45, 0.38, 0.28],
    [0.32, 0.34, 0.36],
    [0.25, 0.32, 0.22],
];

impl Clothes {
    /// Drawn from `dice`; `palette` as in the domain setting, `coats` the share of coats.
    pub fn random(dice: &mut Dice, palette: f32, coats: f32) -> Self {
        let mut shirt = *dice.pick(&BRIGHT);
        let mut trousers = *dice.pick(&BOTTOMS);
        if palette >= 1.0 {
            let grey = if palette >= 2.0 {
                dice.range(0.08, 0.24)
            } else {
                dice.range(0.25, 0.75)
            };
            shirt = [
                grey,
                grey * dice.range(0.95, 1.05),
                grey * dice.range(0.9, 1.15),
            ];
            trousers = tone(trousers, if palette >= 2.0 { 0.6 } else { 1.0 });
        }
        Self {
            skin: *dice.pick(&SKINS),
            hair: *dice.pick(&HAIRS),
            shirt,
            trousers,
            shoes: tone([0.5, 0.45, 0.4], dice.range(0.2, 1.6)),
            short_sleeves: dice.chance(0.5),
            shorts: dice.chance(0.25),
            coat: dice.chance(coats * 0.7),
            long_hair: dice.chance(0.4),
            build: dice.range(0.92, 1.2),
        }
    }
}

/// A piece of the body: the hull of balls, each a place and a radius in body heights.
struct Limb {
    balls: Vec<(Vec3, f32)>,
    /// Its long axis, across which it is shaded.
    axis: [Vec3; 2],
    colour: Rgb,
    /// Joints that lie in this limb.
    joints: u32,
    /// Metres by which it counts as nearer than its middle, for limbs that touch.
    nearer: f32,
}

impl Limb {
    /// A thick line.
    fn line(ends: [Vec3; 2], radii: [f32; 2], colour: Rgb, joints: u32, nearer: f32) -> Self {
        let balls = vec![(ends[0], radii[0]), (ends[1], radii[1])];
        Self {
            balls,
            axis: ends,
            colour,
            joints,
            nearer,
        }
    }
}

const fn bits<const N: usize>(joints: [usize; N]) -> u32 {
    let mut mask = 0;
    let mut i = 0;
    while i < N {
        mask |= 1 << joints[i];
        i += 1;
    }
    mask
}

/// Draws a person with the joints' visibility bits set.
pub fn draw(
    stage: &mut Stage,
    owner: Owner,
    camera: &Camera,
    light: &Light,
    body: &Skeleton,
    clothes: &Clothes,
) {
    let mut limbs = Vec::with_capacity(24);
    for side in 0..2 {
        leg(&mut limbs, body, clothes, side);
        arm(&mut limbs, body, clothes, side);
    }
    trunk(&mut limbs, camera, body, clothes);
    limbs.sort_by(|a, b| key(camera, b).total_cmp(&key(camera, a)));
    let head_at = camera.depth(body.head);
    let mut head_drawn = false;
    for limb in &limbs {
        if !head_drawn && key(camera, limb) < head_at - 0.16 {
            head(stage, owner, camera, light, body, clothes);
            head_drawn = true;
        }
        draw_limb(stage, owner, camera, light, body.height, limb);
    }
    if !head_drawn {
        head(stage, owner, camera, light, body, clothes);
    }
}

fn key(camera: &Camera, limb: &Limb) -> f32 {
    camera.depth(limb.axis[0].lerp(limb.axis[1], 0.5)) - limb.nearer
}

fn leg(limbs: &mut Vec<Limb>, body: &Skeleton, clothes: &Clothes, side: usize) {
    let [hip, knee, ankle] = [11, 13, 15].map(|j| body.joint(j + side));
    let girth = clothes.build;
    let shank = if clothes.shorts {
        clothes.skin
    } else {
        clothes.trousers
    };
    let widen = if clothes.shorts { 0.85 } else { 1.0 };
    let both = bits([13]) << side;
    limbs.push(Limb::line(
        [hip, knee],
        [0.052 * girth, 0.036 * girth],
        clothes.trousers,
        both | bits([11]) << side,
        0.0,
    ));
    limbs.push(Limb::line(
        [knee, ankle],
        [0.035 * widen, 0.023 * widen],
        shank,
        both | bits([15]) << side,
        0.004,
    ));
    let sole = |p: Vec3| p + vec3(0.0, 0.018 * body.height, 0.0);
    limbs.push(Limb::line(
        [sole(body.heels[side]), sole(body.toes[side])],
        [0.022, 0.016],
        clothes.shoes,
        bits([15]) << side,
        0.01,
    ));
}

fn arm(limbs: &mut Vec<Limb>, body: &Skeleton, clothes: &Clothes, side: usize) {
    let [shoulder, elbow, wrist] = [5, 7, 9].map(|j| body.joint(j + side));
    let fore = if clothes.short_sleeves && !clothes.coat {
        clothes.skin
    } else {
        clothes.shirt
    };
    let both = bits([7]) << side;
    limbs.push(Limb::line(
        [shoulder, elbow],
        [0.034 * clothes.build, 0.027],
        tone(clothes.shirt, 0.94),
        both | bits([5]) << side,
        0.0,
    ));
    limbs.push(Limb::line(
        [elbow, wrist],
        [0.025, 0.018],
        tone(fore, 0.96),
        both | bits([9]) << side,
        0.004,
    ));
    limbs.push(Limb::line(
        [wrist, body.hands[side]],
        [0.018, 0.016],
        clothes.skin,
        bits([9]) << side,
        0.008,
    ));
}

/// Chest and belly in one piece, the skirt of a coat, and the neck.
fn trunk(limbs: &mut Vec<Limb>, camera: &Camera, body: &Skeleton, clothes: &Clothes) {
    let middle = |a: usize, b: usize| body.joint(a).lerp(body.joint(b), 0.5);
    let (shoulders, hips) = (middle(5, 6), middle(11, 12));
    let joints = trunk_joints(camera, body);
    let raised = |p: Vec3, k: f32| p + vec3(0.0, k * body.height, 0.0);
    let (chest, belly) = (0.05 * clothes.build, 0.057 * clothes.build);
    let mut balls = Vec::with_capacity(4);
    for side in 0..2 {
        balls.push((
            raised(body.joint(5 + side).lerp(shoulders, 0.3), -0.022),
            chest,
        ));
        let hip = raised(body.joint(11 + side).lerp(hips, 0.1), 0.03);
        balls.push((hip, belly));
        if clothes.coat {
            let hem = body.joint(11 + side).lerp(body.joint(13 + side), 0.7);
            limbs.push(Limb::line(
                [hip, hem],
                [belly, belly * 1.05],
                clothes.shirt,
                joints,
                0.02,
            ));
        }
    }
    limbs.push(Limb {
        balls,
        axis: [shoulders, hips],
        colour: clothes.shirt,
        joints,
        nearer: 0.0,
    });
    let neck = body.head.lerp(shoulders, 0.45);
    limbs.push(Limb::line(
        [neck, shoulders],
        [0.026, 0.034],
        tone(clothes.skin, 0.9),
        joints,
        -0.02,
    ));
}

/// The trunk hides the shoulder and the hip on its far side, not those on the near one.
fn trunk_joints(camera: &Camera, body: &Skeleton) -> u32 {
    let mut joints = 0;
    for [left, right] in [[5, 6], [11, 12]] {
        for (j, other) in [(left, right), (right, left)] {
            if camera.depth(body.joint(j)) < camera.depth(body.joint(other)) + 0.12 {
                joints |= 1 << j;
            }
        }
    }
    joints
}

fn draw_limb(
    stage: &mut Stage,
    owner: Owner,
    camera: &Camera,
    light: &Light,
    height: f32,
    limb: &Limb,
) {
    let [a, b] = limb.axis;
    let (Some(pa), Some(pb)) = (camera.project(a), camera.project(b)) else {
        return;
    };
    let depth = camera.depth(a.lerp(b, 0.5));
    let mut outline = Vec::with_capacity(limb.balls.len() * 24);
    for (p, radius) in &limb.balls {
        if let Some(pixel) = camera.project(*p) {
            outline.extend(circle(
                pixel,
                radius * height * camera.scale(camera.depth(*p)),
            ));
        }
    }
    let outline = hull(outline);
    let across = half_width(&outline, pa, pb);
    let middle = [(pa[0] + pb[0]) * 0.5, (pa[1] + pb[1]) * 0.5];
    let fill = if across[0].hypot(across[1]) < 1.5 {
        Fill::Flat(light.thing(limb.colour, depth))
    } else {
        Fill::Linear(
            [middle[0] + across[0], middle[1] + across[1]],
            [middle[0] - across[0], middle[1] - across[1]],
            light.thing(tone(limb.colour, 1.08), depth),
            light.thing(tone(limb.colour, 0.66), depth),
        )
    };
    stage.push_part(owner, outline, fill, limb.joints);
}

/// From the axis to the rim on the side of the light, which comes from the upper left: a gradient along
/// this line rounds the limb.
fn half_width(outline: &[Pixel], a: Pixel, b: Pixel) -> Pixel {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let length = dx.hypot(dy).max(1e-3);
    let mut across = [-dy / length, dx / length];
    if across[0] + across[1] * 0.6 > 0.0 {
        across = across.map(|v| -v);
    }
    let reach = |p: &Pixel| (p[0] - a[0]) * across[0] + (p[1] - a[1]) * across[1];
    let width = outline.iter().map(reach).fold(0.0, f32::max);
    across.map(|v| v * width)
}

/// Head, hair and face; only what the camera sees of the face.
fn head(
    stage: &mut Stage,
    owner: Owner,
    camera: &Camera,
    light: &Light,
    body: &Skeleton,
    clothes: &Clothes,
) {
    let Some(centre) = camera.project(body.head) else {
        return;
    };
    let depth = camera.depth(body.head);
    let r = HEAD * body.height * camera.scale(depth);
    let toward = (camera.position - body.head).unit();
    let mut visible = 0;
    for j in 0..5 {
        // The far side of the head hides what is on it.
        if (body.joint(j) - body.head).unit().dot(toward) > if j < 3 { 0.0 } else { -0.1 } {
            visible |= 1u32 << j;
        }
    }
    let skin = |k| light.thing(tone(clothes.skin, k), depth);
    let oval: Vec<Pixel> = circle(centre, r)
        .iter()
        .map(|p| [p[0], centre[1] + (p[1] - centre[1]) * 1.22])
        .collect();
    let [cx, cy] = centre;
    stage.push_part(
        owner,
        oval,
        Fill::Linear([cx - r, cy - r], [cx + r, cy + r], skin(1.06), skin(0.72)),
        visible,
    );
    // The nose stands out in profile.
    let facing = body.gaze.dot(toward);
    if let (Some(nose), true) = (camera.project(body.joint(0)), facing > -0.2) {
        stage.push_part(
            owner,
            circle(nose, r * 0.16),
            Fill::Flat(skin(0.86)),
            visible,
        );
    }
    hair(stage, owner, camera, light, body, clothes, visible);
    if r > 5.0 {
        for j in [1, 2] {
            if let (Some(p), true) = (camera.project(body.joint(j)), visible & (1 << j) != 0) {
                stage.push_part(
                    owner,
                    circle(p, r * 0.09),
                    Fill::Flat(light.thing([0.12, 0.1, 0.1], depth)),
                    visible,
                );
            }
        }
    }
}

/// A cap over the top and the back of the head: the larger part of it shows, the more the face turns away.
fn hair(
    stage: &mut Stage,
    owner: Owner,
    camera: &Camera,
    light: &Light,
    body: &Skeleton,
    clothes: &Clothes,
    visible: u32,
) {
    let depth = camera.depth(body.head);
    let size = HEAD * body.height;
    let back = body.gaze * (-0.42 * size);
    let colour = light.thing(clothes.hair, depth);
    let mut cap = |at: Vec3, radius: f32| {
        if let Some(p) = camera.project(at) {
            let r = radius * size * camera.scale(depth);
            stage.push_part(owner, circle(p, r), Fill::Flat(colour), visible);
        }
    };
    let facing = body.gaze.dot((camera.position - body.head).unit());
    let bare = facing.max(0.0);
    cap(
        body.head + back + vec3(0.0, (0.48 + 0.34 * bare) * size, 0.0),
        0.92 - 0.14 * bare,
    );
    if facing < -0.3 || (clothes.long_hair && facing < 0.45) {
        let drop = if clothes.long_hair { 0.55 } else { 0.05 };
        cap(body.head + back * 1.3 - vec3(0.0, drop * size, 0.0), 0.72);
    }
}

fn circle(centre: Pixel, radius: f32) -> Vec<Pixel> {
    // As many corners as the eye can tell at this size.
    let corners = ((radius * 1.5) as usize).clamp(8, 28);
    (0..corners)
        .map(|i| {
            let (sin, cos) = (i as f32 / corners as f32 * TAU).sin_cos();
            [centre[0] + cos * radius, centre[1] + sin * radius]
        })
        .collect()
}
