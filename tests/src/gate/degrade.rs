// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures made worse, as cameras and weather do: what drives a student into mistakes on a video whose clean frames
//! say what is there.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A kind of degradation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Clean,
    Dark,
    Blur,
    Noise,
    Occluded,
    LowContrast,
    Coarse,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Clean,
        Self::Dark,
        Self::Blur,
        Self::Noise,
        Self::Occluded,
        Self::LowContrast,
        Self::Coarse,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Dark => "dark",
            Self::Blur => "blurred",
            Self::Noise => "noisy",
            Self::Occluded => "occluded",
            Self::LowContrast => "low contrast",
            Self::Coarse => "coarse",
        }
    }

    /// Degrades an RGB picture without padding, by 0 (hardly) to 1 (badly). `seed` draws the noise of this picture and,
    /// the same for all pictures of a clip in `clip_seed`, where the occluders hang.
    pub fn apply(
        self,
        rgb: &mut [u8],
        [width, height]: [usize; 2],
        strength: f32,
        clip_seed: u64,
        frame: u64,
    ) {
        let mut noise = ChaCha8Rng::seed_from_u64(clip_seed ^ frame.wrapping_mul(0x9e37_79b9));
        let diagonal = (width as f32).hypot(height as f32);
        match self {
            Self::Clean => {}
            // Less light, and the sensor's noise that comes with it.
            Self::Dark => {
                let gain = 0.35 - 0.29 * strength;
                add_noise(rgb, 2.0 + 4.0 * strength, &mut noise);
                each(rgb, |v| v * gain);
            }
            Self::Blur => blur(rgb, width, (diagonal * (0.003 + 0.012 * strength)) as usize),
            Self::Noise => add_noise(rgb, 15.0 + 65.0 * strength, &mut noise),
            Self::Occluded => occlude(rgb, [width, height], strength, clip_seed),
            Self::LowContrast => {
                let gain = 0.35 - 0.28 * strength;
                each(rgb, |v| 128.0 + (v - 128.0) * gain);
                add_noise(rgb, 2.0, &mut noise);
            }
            Self::Coarse => mosaic(rgb, width, (diagonal * (0.005 + 0.02 * strength)) as usize),
        }
    }
}

fn each(rgb: &mut [u8], f: impl Fn(f32) -> f32) {
    for v in rgb {
        *v = f(f32::from(*v)).round().clamp(0.0, 255.0) as u8;
    }
}

fn add_noise(rgb: &mut [u8], deviation: f32, random: &mut ChaCha8Rng) {
    for v in rgb {
        // The sum of three is near enough to a normal distribution; its variance is 1/4.
        let sum: f32 = (0..3).map(|_| random.random::<f32>()).sum();
        *v = (f32::from(*v) + (sum - 1.5) * 2.0 * deviation).clamp(0.0, 255.0) as u8;
    }
}

/// Three box filters in each direction, which is near a Gaussian.
fn blur(rgb: &mut [u8], width: usize, radius: usize) {
    let height = rgb.len() / (width * 3);
    let mut line = Vec::new();
    for _ in 0..3 {
        for y in 0..height {
            box_filter(rgb, y * width * 3, 3, width, radius, &mut line);
        }
        for x in 0..width {
            box_filter(rgb, x * 3, width * 3, height, radius, &mut line);
        }
    }
}

/// Means over `radius` pixels to each side along one line, all three channels.
fn box_filter(
    rgb: &mut [u8],
    start: usize,
    step: usize,
    n: usize,
    radius: usize,
    line: &mut Vec<u8>,
) {
    for channel in 0..3 {
        line.clear();
        line.extend((0..n).map(|i| rgb[start + channel + i * step]));
        let at = |i: isize| u32::from(line[i.clamp(0, n as isize - 1) as usize]);
        let r = radius as isize;
        let mut sum: u32 = (-r..=r).map(at).sum();
        for i in 0..n as isize {
            rgb[start + channel + i as usize * step] = (sum / (2 * radius as u32 + 1)) as u8;
            sum = sum + at(i + r + 1) - at(i - r);
        }
    }
}

/// Posts and boards before the camera that hide a part of the picture, the same in all frames of a clip.
fn occlude(rgb: &mut [u8], [width, height]: [usize; 2], strength: f32, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..8 {
        let [w, h] = [width, height].map(|side| {
            let share = random.random_range(0.04..0.12) + 0.14 * strength;
            ((side as f32 * share) as usize).clamp(1, side)
        });
        let (x, y) = (
            random.random_range(0..=width - w),
            random.random_range(0..=height - h),
        );
        let colour: [u8; 3] = random.random();
        for row in y..y + h {
            let start = (row * width + x) * 3;
            for pixel in rgb[start..start + w * 3].chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }
}

/// Squares of one colour each: a sensor of far fewer pixels.
fn mosaic(rgb: &mut [u8], width: usize, side: usize) {
    let side = side.max(1);
    let height = rgb.len() / (width * 3);
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            let centre =
                (left + side / 2).min(width - 1) + (top + side / 2).min(height - 1) * width;
            let colour = [0, 1, 2].map(|c| rgb[centre * 3 + c]);
            for y in top..(top + side).min(height) {
                for x in left..(left + side).min(width) {
                    let at = (y * width + x) * 3;
                    rgb[at..at + 3].copy_from_slice(&colour);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_but_clean_changes_the_picture_and_more_strength_changes_it_more() {
        let (width, height) = (480, 320);
        let picture: Vec<u8> = (0..width * height)
            .flat_map(|i| {
                [
                    (i % width * 2) as u8,
                    (i / width * 3) as u8,
                    (i % 7 * 30) as u8,
                ]
            })
            .collect();
        let change = |kind: Kind, strength: f32| {
            let mut copy = picture.clone();
            kind.apply(&mut copy, [width, height], strength, 3, 5);
            let pairs = copy.iter().zip(&picture);
            pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
        };
        for kind in Kind::ALL {
            let (little, much) = (change(kind, 0.0), change(kind, 1.0));
            match kind {
                Kind::Clean => assert_eq!((little, much), (0, 0)),
                _ => assert!(0 < little && little < much, "{kind:?} {little} {much}"),
            }
        }
    }

    #[test]
    fn the_same_seeds_give_the_same_picture() {
        let degraded = |frame| {
            let mut copy = vec![100u8; 30 * 20 * 3];
            Kind::Noise.apply(&mut copy, [30, 20], 0.5, 1, frame);
            copy
        };
        assert_eq!(degraded(4), degraded(4));
        assert_ne!(degraded(4), degraded(5));
    }
}
