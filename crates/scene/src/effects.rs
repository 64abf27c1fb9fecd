// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What weather, lens and sensor do to the finished picture.

use crate::dice::Dice;
use crate::domain::Domain;
use crate::light::Light;
use crate::stage::{Owner, Stage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// Noise comes from a table this long, entered at another place for every row of every frame.
const NOISE_TABLE: usize = 1 << 16;

/// Applies lens and sensor to RGBA pictures of one size.
pub struct Effects {
    width: usize,
    height: usize,
    seed: u64,
    /// Normally distributed with standard deviation 32.
    noise: Vec<i8>,
    row: Vec<u8>,
}

impl Effects {
    pub fn new(width: u32, height: u32, seed: u64) -> Self {
        let mut dice = Dice::new(seed, &[0x4E01]);
        let noise = (0..NOISE_TABLE)
            .map(|_| (dice.normal() * 32.0).clamp(-127.0, 127.0) as i8)
            .collect();
        Self {
            width: width as usize,
            height: height as usize,
            seed,
            noise,
            row: Vec::new(),
        }
    }

    /// Blur, noise and compression, in the order in which a camera adds them.
    pub fn apply(&mut self, picture: &mut [u8], domain: &Domain, frame: u64) {
        let radius = domain.get("blur") * self.height as f32 / 360.0;
        if radius >= 0.3 {
            self.blur(picture, radius);
        }
        let sigma = domain.get("noise");
        if sigma > 0.0 {
            self.add_noise(picture, sigma, frame);
        }
        let strength = domain.get("compression");
        if strength > 0.0 {
            self.compress(picture, (100.0 - strength).clamp(1.0, 100.0) as u8);
        }
    }

    fn add_noise(&mut self, picture: &mut [u8], sigma: f32, frame: u64) {
        // 8 fractional bits; the table has standard deviation 32.
        let gain = (sigma * 256.0 / 32.0) as i32;
        let mut dice = Dice::new(self.seed, &[0x4E02, frame]);
        for row in picture.chunks_exact_mut(self.width * 4) {
            let mut at = dice.below(NOISE_TABLE);
            for pixel in row.chunks_exact_mut(4) {
                for value in &mut pixel[..3] {
                    let change = (i32::from(self.noise[at & (NOISE_TABLE - 1)]) * gain) >> 8;
                    *value = (i32::from(*value) + change).clamp(0, 255) as u8;
                    at += 1;
                }
            }
        }
    }

    /// Two passes of a box filter in each direction, which is nearly a Gaussian.
    fn blur(&mut self, picture: &mut [u8], radius: f32) {
        let reach = (radius.round() as usize).clamp(1, self.width.min(self.height) / 4);
        for _ in 0..2 {
            for y in 0..self.height {
                self.blur_line(picture, y * self.width * 4, 4, self.width, reach);
            }
            for x in 0..self.width {
                self.blur_line(picture, x * 4, self.width * 4, self.height, reach);
            }
        }
    }

    fn blur_line(
        &mut self,
        picture: &mut [u8],
        start: usize,
        step: usize,
        count: usize,
        reach: usize,
    ) {
        self.row.clear();
        self.row.extend((0..count).flat_map(|i| {
            let at = start + i * step;
            [picture[at], picture[at + 1], picture[at + 2]]
        }));
        let last = count - 1;
        let size = (2 * reach + 1) as u32;
        for channel in 0..3 {
            let value = |i: usize| u32::from(self.row[i.min(last) * 3 + channel]);
            let mut sum = value(0) * (reach as u32 + 1) + (1..=reach).map(value).sum::<u32>();
            for i in 0..count {
                picture[start + i * step + channel] = ((sum + size / 2) / size) as u8;
                sum += value(i + reach + 1);
                sum -= value(i.saturating_sub(reach));
            }
        }
    }

    /// JPEG and back. A picture that the codec refuses stays as it is: it has been drawn all the same.
    fn compress(&mut self, picture: &mut [u8], quality: u8) {
        let (width, height) = (self.width as u16, self.height as u16);
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        if encoder
            .encode(picture, width, height, ColorType::Rgba)
            .is_err()
        {
            return;
        }
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGBA);
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(&bytes), options);
        if let Ok(decoded) = decoder.decode()
            && decoded.len() == picture.len()
        {
            picture.copy_from_slice(&decoded);
        }
    }
}

/// Rain streaks in front of everything.
pub fn rain(
    stage: &mut Stage,
    domain: &Domain,
    light: &Light,
    seed: u64,
    frame: u64,
    width: u32,
    height: u32,
) {
    let amount = domain.get("rain");
    if amount <= 0.0 {
        return;
    }
    let (w, h) = (width as f32, height as f32);
    let mut dice = Dice::new(seed, &[0x4E03, frame]);
    let [r, g, b] = light.haze_colour.map(|v| v * 1.1 + 0.05);
    for _ in 0..(amount * 130.0) as usize {
        let (x, y) = (dice.range(-0.1, 1.1) * w, dice.range(-0.15, 1.0) * h);
        // Near drops are long, wide and faint; all lean the same way with the wind.
        let near = dice.unit();
        let length = h * (0.03 + 0.09 * near);
        let thick = h * (0.0012 + 0.0022 * near);
        let slant = length * 0.16;
        let streak = vec![
            [x, y],
            [x + thick, y],
            [x + thick - slant, y + length],
            [x - slant, y + length],
        ];
        stage.flat(Owner::Air, streak, [r, g, b, 0.30 - 0.12 * near]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize) -> Vec<u8> {
        [128, 128, 128, 255].repeat(width * height)
    }

    fn spread(picture: &[u8]) -> f32 {
        let values: Vec<f32> = picture
            .chunks_exact(4)
            .map(|p| f32::from(p[0]) - 128.0)
            .collect();
        (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
    }

    #[test]
    fn noise_has_the_asked_strength() {
        let mut picture = grey(320, 180);
        let domain = "day noise=10".parse().unwrap();
        Effects::new(320, 180, 1).apply(&mut picture, &domain, 0);
        assert!(
            (spread(&picture) - 10.0).abs() < 0.5,
            "{}",
            spread(&picture)
        );
    }

    #[test]
    fn blur_keeps_brightness_and_takes_contrast() {
        let mut picture = grey(320, 180);
        for (i, p) in picture.chunks_exact_mut(4).enumerate() {
            p[..3].fill(if i % 2 == 0 { 108 } else { 148 });
        }
        let domain = "day noise=0 blur=4".parse().unwrap();
        Effects::new(320, 180, 1).apply(&mut picture, &domain, 0);
        assert!(spread(&picture) < 6.0, "{}", spread(&picture));
        let mean = picture
            .chunks_exact(4)
            .map(|p| f64::from(p[0]))
            .sum::<f64>()
            / (320.0 * 180.0);
        assert!((mean - 128.0).abs() < 1.5, "{mean}");
    }

    #[test]
    fn compression_changes_the_picture_but_not_its_size() {
        let mut picture = grey(64, 48);
        picture[0] = 255;
        picture[400] = 0;
        let before = picture.clone();
        let domain = "day noise=0 compression=95".parse().unwrap();
        Effects::new(64, 48, 1).apply(&mut picture, &domain, 0);
        assert_eq!(picture.len(), before.len());
        assert_ne!(picture, before);
        assert!(picture.chunks_exact(4).all(|p| p[3] == 255));
    }
}
