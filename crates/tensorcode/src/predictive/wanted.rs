// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What an encoder wants to say of a block: its residuals, if they are worth their bits.

use super::plane::{BLOCK, Plane, Rect};
use super::predict::{Surroundings, Values};
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
        let mut residuals = [0; BLOCK * BLOCK];
        let (mut gains, mut bits) = ([0.0; BLOCK * BLOCK], [0.0; BLOCK * BLOCK]);
        for k in 0..BLOCK * BLOCK {
            let far = off[k].abs();
            let (whole, residual) = residual(off[k]);
            // What is left of far² − (far − whole)².
            gains[k] = whole * (2.0 * far - whole);
            bits[k] = bits_of(whole);
            residuals[k] = residual;
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

/// The residual of a value that is `off` from its prediction: its magnitude, and itself.
#[inline(always)]
fn residual(off: f32) -> (f32, i32) {
    // As in `round`; the bits of the sum count on from those of WHOLE.
    let sum = (off.abs() - DEAD).max(0.0) + WHOLE;
    let magnitude = sum.to_bits() as i32 - WHOLE.to_bits() as i32;
    (sum - WHOLE, if off < 0.0 { -magnitude } else { magnitude })
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
    pub(super) fn fresh(
        &self,
        plane: &Plane,
        mut around: Surroundings,
        base: usize,
        rect: Rect,
        quantum: i32,
    ) -> Option<Values<i32>> {
        let mut off = [0.0; BLOCK * BLOCK];
        for j in 0..rect.height {
            let start = base + (rect.y + j) * plane.width + rect.x;
            for (i, value) in self.values[start..start + rect.width].iter().enumerate() {
                let predicted = around.median(i, j);
                let distance = (value - predicted as f32) * self.quanta_per_level;
                off[j * BLOCK + i] = distance;
                around.set(i, j, level(predicted, residual(distance).1 * quantum));
            }
        }
        Bargain::of(&off).accepted(self.lambda)
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
        let mut off = [0.0; BLOCK * BLOCK];
        for (j, (off, from)) in off
            .chunks_exact_mut(BLOCK)
            .zip(from.chunks_exact(BLOCK))
            .enumerate()
            .take(rect.height)
        {
            let start = base + (rect.y + j) * plane.width + rect.x;
            let values = &self.values[start..start + rect.width];
            for ((off, value), from) in off.iter_mut().zip(values).zip(from) {
                *off = (value - f32::from(*from)) * self.quanta_per_level;
            }
        }
        off
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
