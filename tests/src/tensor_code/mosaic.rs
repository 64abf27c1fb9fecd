// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The channels of a tensor side by side as one grey picture, as in the literature on coding features with picture
//! codecs.
//!
//! One range serves the whole tensor, and channels lie edge to edge: a range for each channel cost most codecs 3–130 %
//! more bytes at equal output error, even with the ranges themselves not counted (walker-student and FastestDet, three
//! cuts each; a few cuts of FastestDet gained 4–10 %, PNG and JPEG mostly), and tiles widened to whole blocks of 8 or 16
//! pixels up to 50 % more. The range is kept from frame to frame as long as it fits, so that what stands still also does
//! so for a codec that predicts.

use anyhow::{Result, ensure};
use splitinfer_tensor::Tensor;

use super::framing::{Scale, channels, range};

/// Where the channels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    channels: usize,
    rows: usize,
    columns: usize,
    /// Channels side by side.
    across: usize,
    pub width: usize,
    pub height: usize,
}

impl Grid {
    /// As square as it goes; both sides rounded up to a multiple of `align`.
    pub fn new(shape: &[usize], align: usize) -> Self {
        let [channels, rows, columns] = channels(shape);
        let area = (channels * rows * columns) as f64;
        let across = (area.sqrt() / columns.max(1) as f64).round() as usize;
        let across = across.clamp(1, channels.max(1));
        let down = channels.div_ceil(across);
        Self {
            channels,
            rows,
            columns,
            across,
            width: (across * columns).next_multiple_of(align),
            height: (down * rows).next_multiple_of(align),
        }
    }

    fn place(self, channel: usize, row: usize) -> usize {
        let y = channel / self.across * self.rows + row;
        y * self.width + channel % self.across * self.columns
    }

    /// The picture of a tensor; `fill` where no channel lies.
    fn tile(self, values: &[f32], scale: Scale) -> Vec<u8> {
        let mut out = vec![scale.level(0.0); self.width * self.height];
        for (i, line) in values.chunks(self.columns.max(1)).enumerate() {
            let at = self.place(i / self.rows, i % self.rows);
            for (pixel, value) in out[at..].iter_mut().zip(line) {
                *pixel = scale.level(*value);
            }
        }
        out
    }

    fn untile(self, pixels: &[u8], scale: Scale) -> Vec<f32> {
        let lines = (0..self.channels).flat_map(|c| (0..self.rows).map(move |r| (c, r)));
        lines
            .flat_map(|(c, r)| {
                let at = self.place(c, r);
                pixels[at..at + self.columns].iter()
            })
            .map(|p| scale.value(*p))
            .collect()
    }
}

/// Tensor to picture and back, with the range that goes with it.
#[derive(Clone)]
pub struct Mosaic {
    pub grid: Grid,
    /// The last level: 255 at 8 bits.
    last: f32,
    /// What the encoder uses.
    range: Option<[f32; 2]>,
}

impl Mosaic {
    pub fn new(shape: &[usize], align: usize, last: f32) -> Self {
        Self {
            grid: Grid::new(shape, align),
            last,
            range: None,
        }
    }

    /// The picture, and the range that the receiver has to know.
    pub fn picture(&mut self, tensor: &Tensor) -> (Vec<u8>, [f32; 2]) {
        let values = tensor.to_f32_vec();
        let range = kept(self.range, range(&values));
        self.range = Some(range);
        (self.grid.tile(&values, Scale::new(range, self.last)), range)
    }

    /// # Errors
    /// When the picture is not of the mosaic's size.
    pub fn values(&self, pixels: &[u8], range: [f32; 2]) -> Result<Vec<f32>> {
        ensure!(
            pixels.len() == self.grid.width * self.grid.height,
            "the mosaic came back with {} pixels instead of {}×{}",
            pixels.len(),
            self.grid.width,
            self.grid.height
        );
        Ok(self.grid.untile(pixels, Scale::new(range, self.last)))
    }
}

/// The range before, if the values are within it and fill three quarters of it; else theirs and a twentieth more on
/// each side, except where that crosses zero.
fn kept(before: Option<[f32; 2]>, [low, high]: [f32; 2]) -> [f32; 2] {
    if let Some(range) = before
        && low >= range[0]
        && high <= range[1]
        && (high - low) >= 0.75 * (range[1] - range[0])
    {
        return range;
    }
    let more = (high - low) / 20.0;
    let low = if low == 0.0 { 0.0 } else { low - more };
    [low, high + more]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_side_by_side_and_come_back() {
        // Five channels of 2×3: about √30 / 3 ≈ 2 across, so 3 rows of tiles, 6×6 pixels.
        let grid = Grid::new(&[1, 5, 2, 3], 1);
        assert_eq!((grid.across, grid.width, grid.height), (2, 6, 6));
        let values: Vec<f32> = (0..30).map(|v| v as f32).collect();
        let scale = Scale::new([0.0, 255.0], 255.0);
        let pixels = grid.tile(&values, scale);
        assert_eq!(pixels[..6], [0, 1, 2, 6, 7, 8]);
        assert_eq!(pixels[6..12], [3, 4, 5, 9, 10, 11]);
        assert_eq!(pixels[24..30], [24, 25, 26, 0, 0, 0]);
        assert_eq!(grid.untile(&pixels, scale), values);
    }

    #[test]
    fn sides_are_rounded_up_and_the_values_still_come_back() {
        let shape = [1, 5, 3, 3];
        let mut mosaic = Mosaic::new(&shape, 16, 255.0);
        assert_eq!((mosaic.grid.width, mosaic.grid.height), (16, 16));
        let values: Vec<f32> = (0..45).map(|v| v as f32 / 10.0).collect();
        let tensor = Tensor::new(shape.to_vec(), values.clone()).unwrap();
        let (pixels, range) = mosaic.picture(&tensor);
        let back = mosaic.values(&pixels, range).unwrap();
        let step = (range[1] - range[0]) / 255.0;
        assert!(
            values
                .iter()
                .zip(&back)
                .all(|(a, b)| (a - b).abs() <= 0.51 * step)
        );
        assert!(mosaic.values(&pixels[1..], range).is_err());
    }

    #[test]
    fn a_range_is_kept_while_it_fits() {
        assert_eq!(kept(None, [0.0, 20.0]), [0.0, 21.0]);
        assert_eq!(kept(Some([0.0, 21.0]), [1.0, 20.5]), [0.0, 21.0]);
        assert_eq!(kept(Some([0.0, 21.0]), [0.0, 10.0]), [0.0, 10.5]);
        assert_eq!(kept(Some([0.0, 21.0]), [-2.0, 20.0]), [-3.1, 21.1]);
    }
}
