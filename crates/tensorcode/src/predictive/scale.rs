// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The step of a tensor: one for all its channels, from statistics of the stream itself.
//!
//! A step that follows each channel's own size costs several times the bytes: what is weak in a layer mostly matters little to
//! the next, and is then paid for all the same. Steps that follow how much the outputs depend on a channel are another matter:
//! see [`Sensitivity`](crate::Sensitivity).

use super::steps::factor;
use crate::affine::range;

/// Relative steps are this at 3 bits and half of it for each bit more: 2^bits levels then span eight times the root mean
/// square, which is what most layers' values reach.
const AT_THREE_BITS: f32 = 1.0;

/// Levels stay below this, so that none is clipped.
const MOST: f32 = 32_000.0;

/// Levels in a step, where there is room for so many.
const FINEST: u8 = 8;

/// The scale is kept until the root mean square has changed by more than this factor: a new step makes every value of the
/// reference a little wrong.
const DRIFT: f32 = 1.25;

/// The step that depth `bits` stands for, as a share of the root mean square.
pub(super) fn relative_step(bits: u8) -> f32 {
    AT_THREE_BITS * 2f32.powi(3 - i32::from(bits))
}

/// A step so small leaves no room for levels within it.
const FLOOR: f32 = f32::MIN_POSITIVE * FINEST as f32;

/// What residuals are multiples of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantum {
    /// Of a level, in the tensor's unit.
    pub step: f32,
    /// Levels in a quantum: a block by frequency does not fall on whole quanta.
    pub levels: u8,
}

/// Remembers the scale of one tensor of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scale(f32);

impl Scale {
    /// The quantum for these values; `None` when one of them is not finite or larger than can be quantised. `coarser`: by
    /// how many half octaves the channels' steps are above it; empty where by none.
    pub(super) fn quantum(
        &mut self,
        values: &[f32],
        relative: f32,
        coarser: &[i8],
    ) -> Option<Quantum> {
        let largest = largest(values, coarser)?;
        let rms = root_mean_square(values);
        if !rms.is_finite() {
            return None;
        }
        let kept = self.0 / DRIFT..self.0 * DRIFT;
        if !kept.contains(&rms) {
            self.0 = rms;
        }
        let step = (self.0 * relative).max(largest / MOST);
        // Of all zeros any step will do.
        let step = if step > FLOOR { step } else { 1.0 };
        let mut levels = FINEST;
        while levels > 1 && largest / step * f32::from(levels) > MOST {
            levels /= 2;
        }
        Some(Quantum {
            // Exact, because `levels` is a power of two.
            step: step / f32::from(levels),
            levels,
        })
    }
}

/// The largest magnitude, in each channel by its step; `None` when a value is not finite.
fn largest(values: &[f32], coarser: &[i8]) -> Option<f32> {
    let most = |values: &[f32]| range(values).map(|(low, high)| low.abs().max(high.abs()));
    if coarser.is_empty() {
        return most(values);
    }
    let channels = values.chunks_exact(values.len() / coarser.len());
    let mut each = channels
        .zip(coarser)
        .map(|(c, k)| Some(most(c)? / factor(*k)));
    each.try_fold(0.0, |largest, here| Some(f32::max(largest, here?)))
}

fn root_mean_square(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut total = 0f64;
    // Sums of few thousand squares lose nothing that matters in f32.
    for chunks in chunks.chunks(4096) {
        for chunk in chunks {
            for (sum, v) in sums.iter_mut().zip(chunk) {
                *sum += v * v;
            }
        }
        total += sums.iter().map(|s| f64::from(*s)).sum::<f64>();
        sums = [0.0; LANES];
    }
    total += rest
        .iter()
        .map(|v| f64::from(*v) * f64::from(*v))
        .sum::<f64>();
    (total / values.len().max(1) as f64).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_more_halves_the_step() {
        assert_eq!(relative_step(3), 1.0);
        assert_eq!(relative_step(8), 1.0 / 32.0);
        let values = [3.0, -4.0, 0.0, 5.0];
        let rms = (50f32 / 4.0).sqrt();
        assert_eq!(
            Scale::default().quantum(&values, 0.5, &[]),
            Some(Quantum {
                step: rms * 0.0625,
                levels: 8
            })
        );
    }

    #[test]
    fn a_scale_is_kept_while_the_stream_changes_little() {
        let mut scale = Scale::default();
        let first = scale.quantum(&[1.0; 40], 0.1, &[]);
        assert_eq!(scale.quantum(&[1.2; 40], 0.1, &[]), first);
        assert_ne!(scale.quantum(&[1.3; 40], 0.1, &[]), first);
    }

    #[test]
    fn no_level_is_clipped_and_what_is_not_finite_has_no_step() {
        let mut values = [0.0; 10_000];
        values[77] = 1e6;
        let quantum = Scale::default().quantum(&values, 0.01, &[]).unwrap();
        assert!(quantum.levels == 2 && 1e6 / quantum.step <= 32_001.0);
        assert_eq!(
            Scale::default()
                .quantum(&[0.0; 5], 0.1, &[])
                .map(|q| q.step),
            Some(0.125)
        );
        assert_eq!(Scale::default().quantum(&[f32::NAN], 0.1, &[]), None);
        let mut large = Scale::default();
        assert!(
            large
                .quantum(&[1e25; 50], 0.1, &[])
                .is_none_or(|q| q.step.is_finite())
        );
    }
}
