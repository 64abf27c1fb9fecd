// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The step of each channel of a tensor: one for all, or finer where the model's outputs depend more on the channel.

use std::f32::consts::SQRT_2;
use std::sync::Arc;

/// Half octaves that a channel's step may be above or below the tensor's.
pub(super) const FURTHEST: i8 = 32;

/// What a level is worth in each channel, in the tensor's own unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    pub base: f32,
    /// Of each channel, by how many half octaves its step is above `base`. Empty where all are alike.
    pub coarser: Arc<[i8]>,
}

impl Steps {
    pub(super) fn of(&self, channel: usize) -> f32 {
        match self.coarser.get(channel) {
            Some(half_octaves) => self.base * factor(*half_octaves),
            None => self.base,
        }
    }

    /// The channels' steps, each with its channel's part of `all`.
    pub(super) fn with<'a, T>(
        &'a self,
        all: &'a [T],
        area: usize,
    ) -> impl Iterator<Item = (f32, &'a [T])> {
        // Where all are alike, the tensor is one channel.
        let part = match self.coarser.is_empty() {
            true => all.len(),
            false => area,
        };
        let parts = all.chunks_exact(part.max(1)).enumerate();
        parts.map(|(channel, part)| (self.of(channel), part))
    }

    /// Whether every level of every channel is a usable number.
    pub(super) fn are_usable(&self) -> bool {
        let usable = |step: f32| step > 0.0 && (step * f32::from(i16::MAX)).is_finite();
        let each = self.coarser.iter();
        let within = each.clone().all(|c| (-FURTHEST..=FURTHEST).contains(c));
        usable(self.base) && within && each.enumerate().all(|(c, _)| usable(self.of(c)))
    }
}

/// √2 to this power: a power of two, times √2 as an `f32` where it is odd.
pub(super) fn factor(half_octaves: i8) -> f32 {
    let whole = 2f32.powi(i32::from(half_octaves.div_euclid(2)));
    match half_octaves.rem_euclid(2) {
        0 => whole,
        _ => whole * SQRT_2,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn steps(base: f32, coarser: &[i8]) -> Steps {
        Steps {
            base,
            coarser: coarser.into(),
        }
    }

    #[test]
    fn two_half_octaves_double_a_step() {
        let steps = steps(0.75, &[0, 2, -2, 1, -1]);
        let each: Vec<f32> = (0..5).map(|c| steps.of(c)).collect();
        assert_eq!(each, [0.75, 1.5, 0.375, 0.75 * SQRT_2, 0.375 * SQRT_2]);
        let parts: Vec<_> = steps.with(&[1, 2, 3, 4, 5], 1).collect();
        assert_eq!(parts[1], (1.5, &[2][..]));
    }

    #[test]
    fn where_all_are_alike_the_tensor_is_one_part() {
        let steps = steps(0.5, &[]);
        assert_eq!(
            steps.with(&[1, 2, 3], 1).collect::<Vec<_>>(),
            [(0.5, &[1, 2, 3][..])]
        );
        assert_eq!(steps.of(7), 0.5);
    }

    #[test]
    fn steps_that_are_no_numbers_or_too_far_apart_are_not_usable() {
        assert!(steps(1.0, &[32, -32]).are_usable());
        assert!(!steps(1.0, &[33]).are_usable());
        assert!(!steps(0.0, &[]).are_usable());
        assert!(!steps(1e34, &[16]).are_usable());
        assert!(!steps(f32::NAN, &[0]).are_usable());
        assert!(!steps(f32::from_bits(1), &[-4]).are_usable());
    }
}
