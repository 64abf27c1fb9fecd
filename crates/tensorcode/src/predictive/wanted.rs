// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What an encoder wants to say of a block: its residuals, if they are worth their bits.

use super::plane::{BLOCK, Plane, Rect};
use super::predict::{Surroundings, Values, block_of, each, median};
use super::transform::forward;

/// What an encoder wants to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Values of the whole tensor, in levels.
    pub values: &'a [f32],
    pub quanta_per_level: f32,
    /// What a bit is worth, in squared quanta.
    pub lambda: f32,
}

/// A residual this much nearer to zero than to one is zero: it costs bits, and being wrong by a little more than half a
/// step costs little.
pub(super) const DEAD: f32 = 0.15;

/// Parts of a level that fresh values are compared in: levels are below 2^15, and so many of them still count one by one in a float.
const FINE: i32 = 1 << 7;

/// Rounds to the nearest whole number, for magnitudes below 2^22, in plain SIMD code everywhere.
#[inline(always)]
pub(super) fn round(value: f32) -> f32 {
    value + WHOLE - WHOLE
}

/// Of this size floats are whole numbers.
const WHOLE: f32 = 12_582_912.0;

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

/// A block's residuals, what they take away of the squared error, and for how many bits.
struct Bargain {
    residuals: Values<i32>,
    gain: f32,
    bits: f32,
}

impl Bargain {
    /// `off`: how far the values are from their predictions, in quanta.
    #[inline]
    fn of(off: &Values<f32>) -> Self {
        Self::with(off, each(off, residual))
    }

    #[inline]
    fn with(off: &Values<f32>, residuals: Values<i32>) -> Self {
        let (mut gains, mut bits) = ([0.0; BLOCK * BLOCK], [0.0; BLOCK * BLOCK]);
        for k in 0..BLOCK * BLOCK {
            let far = off[k].abs();
            let whole = residuals[k].abs() as f32;
            // What is left of far² − (far − whole)².
            gains[k] = whole * (2.0 * far - whole);
            bits[k] = bits_of(whole);
        }
        Self {
            residuals,
            gain: gains.iter().sum(),
            bits: bits.iter().sum(),
        }
    }

    /// The residuals, if they are worth their bits. One bit more says that there are any.
    fn accepted(self, lambda: f32) -> Option<Values<i32>> {
        (self.gain > lambda * (self.bits + 1.0)).then_some(self.residuals)
    }
}

/// The residual of a value that is `off` from its prediction.
#[inline(always)]
fn residual(off: f32) -> i32 {
    let magnitude = whole((off.abs() - DEAD).max(0.0));
    if off < 0.0 { -magnitude } else { magnitude }
}

/// As [`round`], and a number of its own.
#[inline(always)]
pub(super) fn whole(value: f32) -> i32 {
    // The bits of the sum count on from those of WHOLE.
    (value + WHOLE).to_bits() as i32 - WHOLE.to_bits() as i32
}

/// A block from what is around it: what is added to each prediction, and the levels that come of it.
pub(super) struct Fresh {
    pub residuals: Values<i32>,
    pub levels: Values<i16>,
}

impl Wanted<'_> {
    /// Whole quanta to be added to what the reference has.
    pub(super) fn difference(
        &self,
        plane: &Plane,
        from: &Values<i16>,
        base: usize,
        rect: Rect,
    ) -> Option<Values<i32>> {
        let off = self.off_from(plane, from, base, rect);
        let bound = 0.5 + DEAD;
        is_far(&off, bound)
            .then(|| Bargain::of(&off))?
            .accepted(self.lambda)
    }

    /// The same by frequency.
    pub(super) fn transform(
        &self,
        plane: &Plane,
        from: &Values<i16>,
        base: usize,
        rect: Rect,
    ) -> Option<Values<i32>> {
        let off = self.off_from(plane, from, base, rect);
        // A coefficient is at most four times as far off as the pixels are.
        let bound = (0.5 + DEAD) / 4.0;
        is_far(&off, bound)
            .then(|| Bargain::of(&forward(&off)))?
            .accepted(self.lambda)
    }

    /// Whole quanta to be added to what the levels around foretell.
    ///
    /// Each value leans on the one before it, so it is the way from one to the next that takes time: in whole numbers, and without memory in between, it is
    /// short.
    pub(super) fn fresh(
        &self,
        plane: &Plane,
        around: &Surroundings,
        base: usize,
        rect: Rect,
        quantum: i32,
    ) -> Option<Fresh> {
        let values = block_of(self.values, plane, base, rect);
        let values = each(&values, |value| whole(value * FINE as f32));
        // A power of two, as the scale makes it.
        let fine_bits = FINE.trailing_zeros() + quantum.trailing_zeros();
        let bias = ((0.5 - DEAD) * (FINE * quantum) as f32) as i32;
        // So much more for what is below zero: it is rounded toward zero by as much.
        let below = (FINE * quantum - 1) - 2 * bias;
        let (mut off, mut residuals) = ([0; BLOCK * BLOCK], [0; BLOCK * BLOCK]);
        let mut levels = [0; BLOCK * BLOCK];
        let (mut corner, mut above) = around.above();
        (corner, above) = (corner * FINE, above.map(|level| level * FINE));
        for (j, left) in around.left().into_iter().enumerate() {
            let left = left * FINE;
            let mut west = left;
            for (i, north) in above.iter_mut().enumerate() {
                let k = j * BLOCK + i;
                let predicted = median(west, *north, corner);
                off[k] = values[k] - predicted;
                let rounded = off[k] + bias + ((off[k] >> 31) & below);
                residuals[k] = rounded >> fine_bits;
                // Less than a quantum from the value, so that nothing needs to be clamped.
                west = predicted + (residuals[k] << fine_bits);
                (corner, *north) = (*north, west);
                levels[k] = west;
            }
            corner = left;
        }
        if rect.width * rect.height < BLOCK * BLOCK {
            clear_beyond(rect, &mut off);
            clear_beyond(rect, &mut residuals);
        }
        let quanta = self.quanta_per_level / FINE as f32;
        let off = each(&off, |off| off as f32 * quanta);
        let residuals = Bargain::with(&off, residuals).accepted(self.lambda)?;
        Some(Fresh {
            residuals,
            levels: each(&levels, |level| (level / FINE) as i16),
        })
    }

    /// How far the values are from the reference's, in quanta; 0 beyond the picture's edge.
    #[inline]
    pub(super) fn off_from(
        &self,
        plane: &Plane,
        from: &Values<i16>,
        base: usize,
        rect: Rect,
    ) -> Values<f32> {
        let mut off = block_of(self.values, plane, base, rect);
        for (off, from) in off.iter_mut().zip(from) {
            *off = (*off - f32::from(*from)) * self.quanta_per_level;
        }
        off
    }
}

fn clear_beyond(rect: Rect, block: &mut Values<i32>) {
    for (k, value) in block.iter_mut().enumerate() {
        if k % BLOCK >= rect.width || k / BLOCK >= rect.height {
            *value = 0;
        }
    }
}

/// Whether any value is far enough from its prediction to be worth a residual.
#[inline]
fn is_far(off: &Values<f32>, bound: f32) -> bool {
    off.iter().fold(0f32, |most, off| most.max(off.abs())) > bound
}

#[inline(always)]
pub(super) fn level(predicted: i32, residual: i32) -> i16 {
    (predicted + residual).clamp(-i32::from(i16::MAX), i32::from(i16::MAX)) as i16
}
