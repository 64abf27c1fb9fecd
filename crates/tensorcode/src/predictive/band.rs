// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A band: some rows of blocks of a tensor, through all channels, coded without looking at any other band. So a band is
//! of use although others are lost, and bands can be decoded at the same time.
//!
//! First come the modes of all its blocks, then, channel by channel, the residuals of the blocks that have any.

use std::ops::Range;

use super::contexts::Contexts;
use super::plane::{BLOCK, Mode, Plane, Rect};
use super::predict::{Values, median, moved};
use crate::range::Coder;

/// What a band is coded against.
#[derive(Clone, Debug)]
pub(super) struct Band<'a> {
    pub plane: Plane,
    /// Rows of blocks.
    pub rows: Range<usize>,
    /// Levels of the whole tensor that the receiver has. Without them every block is [`Mode::Fresh`].
    pub reference: Option<&'a [i16]>,
}

/// What an encoder wants to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Values of the whole tensor, in steps.
    pub values: &'a [f32],
    /// What a bit is worth, in squared steps.
    pub lambda: f32,
}

/// A residual this much nearer to zero than to one is zero: it costs bits, and being wrong by a little more than half a
/// step costs little.
pub(super) const DEAD: f32 = 0.15;

/// Rounds to the nearest whole number, for magnitudes below 2^22, in plain SIMD code everywhere.
#[inline(always)]
pub(super) fn round(value: f32) -> f32 {
    const WHOLE: f32 = 12_582_912.0;
    value + WHOLE - WHOLE
}

impl Band<'_> {
    /// Writes (with `wanted`) or reads the band. `modes` and `levels` are those of the whole tensor; a writer finds its
    /// modes there, and both leave the band's modes and levels as a reader has them.
    pub(super) fn code<C: Coder>(
        &self,
        coder: &mut C,
        wanted: Option<Wanted<'_>>,
        modes: &mut [Mode],
        levels: &mut [i16],
    ) {
        let mut contexts = Contexts::new();
        if self.reference.is_some() {
            self.modes(coder, &mut contexts, modes);
        } else {
            let columns = self.plane.block_columns();
            modes[self.rows.start * columns..self.rows.end * columns].fill(Mode::Fresh);
        }
        let pixels = self.plane.pixel_rows(&self.rows);
        let mut walk = Walk {
            coder,
            contexts,
            band: self,
            wanted,
            levels,
            top: pixels.start,
            near: vec![0; (pixels.len() + 1) * (self.plane.width + 2)],
            busy: vec![0; pixels.len() * self.plane.width],
            busy_blocks: vec![0; self.rows.len() * self.plane.block_columns()],
            coded_above: vec![false; self.plane.block_columns()],
        };
        for channel in 0..self.plane.channels {
            walk.channel(channel, modes);
        }
    }

    /// The band as it was in the reference, for one that has not arrived; without a reference it stays as it is.
    pub(super) fn repeat(&self, levels: &mut [i16]) {
        let Some(reference) = self.reference else {
            return;
        };
        let pixels = self.plane.pixel_rows(&self.rows);
        let lines = pixels.start * self.plane.width..pixels.end * self.plane.width;
        let channels = levels.chunks_exact_mut(self.plane.area());
        for (to, from) in channels.zip(reference.chunks_exact(self.plane.area())) {
            to[lines.clone()].copy_from_slice(&from[lines.clone()]);
        }
    }

    fn modes<C: Coder>(&self, coder: &mut C, contexts: &mut Contexts, modes: &mut [Mode]) {
        let columns = self.plane.block_columns();
        for row in self.rows.clone() {
            for column in 0..columns {
                let at = row * columns + column;
                let west = if column > 0 {
                    modes[at - 1]
                } else {
                    Mode::Skip
                };
                let north = if row > self.rows.start {
                    modes[at - columns]
                } else {
                    west
                };
                modes[at] = contexts.mode(coder, modes[at], west, north);
            }
        }
    }
}

struct Walk<'a, C> {
    coder: &'a mut C,
    contexts: Contexts,
    band: &'a Band<'a>,
    wanted: Option<Wanted<'a>>,
    levels: &'a mut [i16],
    /// First row of pixels.
    top: usize,
    /// Magnitudes of this channel's residuals, with a border of zeros above and at both sides.
    near: Vec<u8>,
    /// Fading sum of the residuals' magnitudes in the channels before, of each pixel and of each block.
    busy: Vec<u8>,
    busy_blocks: Vec<u8>,
    /// Of the block above, in each column.
    coded_above: Vec<bool>,
}

impl<C: Coder> Walk<'_, C> {
    fn channel(&mut self, channel: usize, modes: &[Mode]) {
        let plane = &self.band.plane;
        let base = channel * plane.area();
        self.contexts.start_channel();
        self.near.fill(0);
        self.coded_above.fill(false);
        let columns = plane.block_columns();
        for row in self.band.rows.clone() {
            let mut coded_before = false;
            for column in 0..columns {
                let rect = plane.block(row, column);
                coded_before = match (modes[row * columns + column], self.band.reference) {
                    (Mode::Skip, Some(reference)) => {
                        copy(self.levels, reference, plane, base, rect);
                        false
                    }
                    (Mode::Difference(motion), Some(reference)) => {
                        let from = moved(reference, plane, base, rect, motion);
                        self.block(Some(&from), base, rect, (row, column), coded_before)
                    }
                    _ => self.block(None, base, rect, (row, column), coded_before),
                };
                self.coded_above[column] = coded_before;
            }
        }
    }

    /// One channel of a block; whether it has residuals. `from`: what it is predicted from, unless from around it.
    fn block(
        &mut self,
        from: Option<&Values<i16>>,
        base: usize,
        rect: Rect,
        place: (usize, usize),
        coded_before: bool,
    ) -> bool {
        let (row, column) = place;
        let at = (row - self.band.rows.start) * self.band.plane.block_columns() + column;
        let residuals = self.residuals(from, base, rect);
        let neighbours = usize::from(coded_before) + usize::from(self.coded_above[column]);
        let coded = residuals.is_some();
        let coded = self.contexts.coded(
            self.coder,
            coded,
            from.is_none(),
            neighbours,
            self.busy_blocks[at],
        );
        let sum = if coded {
            self.coded(from, base, rect, &residuals.unwrap_or_default())
        } else {
            self.predicted(from, base, rect);
            0
        };
        let busy = &mut self.busy_blocks[at];
        *busy = (u32::from(*busy) * 3 / 4 + sum.min(15) * 4) as u8;
        coded
    }

    #[inline(always)]
    fn predict(
        &self,
        from: Option<&Values<i16>>,
        base: usize,
        rect: Rect,
        i: usize,
        j: usize,
    ) -> i32 {
        match from {
            Some(values) => i32::from(values[j * BLOCK + i]),
            None => median(
                self.levels,
                &self.band.plane,
                base,
                rect.x + i,
                rect.y + j,
                self.top,
            ),
        }
    }

    /// What a writer has to say about the block, if it is worth its bits. A reader has nothing to say.
    fn residuals(
        &mut self,
        from: Option<&Values<i16>>,
        base: usize,
        rect: Rect,
    ) -> Option<Values<i32>> {
        let wanted = self.wanted?;
        if let Some(from) = from
            && self.is_near(wanted.values, from, base, rect)
        {
            return None;
        }
        let mut residuals = [0; BLOCK * BLOCK];
        let (mut gain, mut bits) = (0.0, 1.0);
        for j in 0..rect.height {
            for i in 0..rect.width {
                let at = base + (rect.y + j) * self.band.plane.width + rect.x + i;
                let predicted = self.predict(from, base, rect, i, j);
                let off = wanted.values[at] - predicted as f32;
                let magnitude = round((off.abs() - DEAD).max(0.0));
                if magnitude > 0.0 {
                    let rest = off.abs() - magnitude;
                    gain += off * off - rest * rest;
                    bits += bits_of(magnitude);
                }
                let residual = magnitude.copysign(off) as i32;
                residuals[j * BLOCK + i] = residual;
                if from.is_none() {
                    self.levels[at] = level(predicted, residual);
                }
            }
        }
        (gain > wanted.lambda * bits).then_some(residuals)
    }

    /// Whether no value is far enough from its prediction to be worth a residual.
    fn is_near(&self, values: &[f32], from: &Values<i16>, base: usize, rect: Rect) -> bool {
        let width = self.band.plane.width;
        let mut furthest = 0f32;
        for (j, from) in from.chunks_exact(BLOCK).take(rect.height).enumerate() {
            let start = base + (rect.y + j) * width + rect.x;
            for (v, f) in values[start..start + rect.width].iter().zip(from) {
                furthest = furthest.max((v - f32::from(*f)).abs());
            }
        }
        furthest <= 0.5 + DEAD
    }

    /// Writes or reads residuals; the sum of their magnitudes.
    fn coded(
        &mut self,
        from: Option<&Values<i16>>,
        base: usize,
        rect: Rect,
        residuals: &Values<i32>,
    ) -> u32 {
        let width = self.band.plane.width;
        let stride = width + 2;
        let mut sum = 0;
        for j in 0..rect.height {
            let y = rect.y + j - self.top;
            for i in 0..rect.width {
                let x = rect.x + i;
                let at = (y + 1) * stride + x + 1;
                // Inside the block, the one above to the right is known; beyond its edge only in the first row.
                let north_east = if j == 0 || i + 1 < rect.width {
                    self.near[at - stride + 1]
                } else {
                    0
                };
                let around = [
                    self.near[at - 1],
                    self.near[at - stride],
                    self.near[at - stride - 1],
                    north_east,
                ];
                let predicted = self.predict(from, base, rect, i, j);
                let busy = &mut self.busy[y * width + x];
                let residual = self.contexts.residual(
                    self.coder,
                    residuals[j * BLOCK + i],
                    from.is_none(),
                    predicted,
                    around,
                    *busy,
                );
                let magnitude = residual.unsigned_abs().min(15) as u8;
                self.near[at] = magnitude;
                *busy = (u32::from(*busy) * 3 / 4) as u8 + magnitude.min(7) * 4;
                sum += u32::from(magnitude);
                self.levels[base + (rect.y + j) * width + x] = level(predicted, residual);
            }
        }
        sum
    }

    /// The block as predicted.
    fn predicted(&mut self, from: Option<&Values<i16>>, base: usize, rect: Rect) {
        let width = self.band.plane.width;
        for j in 0..rect.height {
            for i in 0..rect.width {
                let predicted = self.predict(from, base, rect, i, j);
                self.levels[base + (rect.y + j) * width + rect.x + i] = level(predicted, 0);
                let busy = &mut self.busy[(rect.y + j - self.top) * width + rect.x + i];
                *busy = (u32::from(*busy) * 3 / 4) as u8;
            }
        }
    }
}

/// About how many bits a residual takes.
#[inline(always)]
pub(super) fn bits_of(magnitude: f32) -> f32 {
    // The bits of a float above 1, read as a number, are nearly its logarithm.
    let log2 = magnitude.to_bits() as f32 / (1u32 << 23) as f32 - 127.0;
    if magnitude > 0.0 {
        3.5 + 2.0 * log2
    } else {
        0.15
    }
}

#[inline(always)]
fn level(predicted: i32, residual: i32) -> i16 {
    (predicted + residual).clamp(-i32::from(i16::MAX), i32::from(i16::MAX)) as i16
}

fn copy(levels: &mut [i16], reference: &[i16], plane: &Plane, base: usize, rect: Rect) {
    for y in rect.y..rect.y + rect.height {
        let start = base + y * plane.width + rect.x;
        levels[start..start + rect.width].copy_from_slice(&reference[start..start + rect.width]);
    }
}
