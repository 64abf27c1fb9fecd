// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where a block of the reference went: down the slope from where its neighbours went.
//!
//! What a motion costs is compared in whole levels of a part of the channels, by a measure that grows as bits do: quickly for the first
//! quantum, slowly after it. What the best of them costs in truth is for its caller to find out.

use wide::{i16x8, i32x4};

use super::plane::{BLOCK, Motion, Plane, Rect};
use super::predict::{Values, block_of, moved};

/// One channel in so many is compared.
const SAMPLE: usize = 4;
/// Steps of the search after the best start.
const WALK: usize = 6;
/// The first quantum of a distance counts so much more than what follows.
const STEEP: i16 = 4;
/// What saying a motion is worth, in quanta of distance beyond the first.
const MOTION: i32 = 13;

/// Looks for motions in one tensor.
pub(super) struct Search<'a> {
    plane: &'a Plane,
    /// What is to be predicted, in whole levels.
    levels: &'a [i16],
    reference: &'a [i16],
    /// Levels in a quantum.
    quantum: i16,
    /// The channels of the block that are compared.
    block: Vec<Values<i16>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        plane: &'a Plane,
        levels: &'a [i16],
        reference: &'a [i16],
        quantum: i16,
    ) -> Self {
        Self {
            plane,
            levels,
            reference,
            quantum,
            block: Vec::with_capacity(plane.channels.div_ceil(SAMPLE)),
        }
    }

    /// The best motion that is found.
    pub(super) fn best(&mut self, rect: Rect, starts: [Motion; 3]) -> Motion {
        self.block.clear();
        for channel in (0..self.plane.channels).step_by(SAMPLE) {
            let base = channel * self.plane.area();
            let values = block_of(self.levels, self.plane, base, rect);
            self.block.push(values);
        }
        let mut best = (Motion::NONE, self.distance(rect, Motion::NONE, i64::MAX));
        for start in starts {
            self.improve(&mut best, rect, start);
        }
        for _ in 0..WALK {
            let at = best.0;
            for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
                let next = Motion {
                    dx: at.dx + dx,
                    dy: at.dy + dy,
                };
                if next.is_possible() {
                    self.improve(&mut best, rect, next);
                }
            }
            if best.0 == at {
                break;
            }
        }
        best.0
    }

    fn improve(&self, best: &mut (Motion, i64), rect: Rect, motion: Motion) {
        if motion != best.0 && motion != Motion::NONE {
            let distance = self.distance(rect, motion, best.1);
            if distance < best.1 {
                *best = (motion, distance);
            }
        }
    }

    /// How far the block is from where the motion points at. What exceeds `enough` need not be exact.
    fn distance(&self, rect: Rect, motion: Motion, enough: i64) -> i64 {
        let mut distance = match motion {
            Motion::NONE => 0,
            // What is compared stands for all channels, but a motion is said once.
            _ => i64::from(MOTION * i32::from(self.quantum)) / SAMPLE as i64,
        };
        for (channel, block) in self.block.iter().enumerate() {
            let base = channel * SAMPLE * self.plane.area();
            let from = moved(self.reference, self.plane, base, rect, motion);
            distance += i64::from(apart(block, &from, self.quantum));
            if distance > enough {
                break;
            }
        }
        distance
    }
}

/// How far two blocks are apart, in levels.
#[inline]
fn apart(a: &Values<i16>, b: &Values<i16>, quantum: i16) -> i32 {
    const HALF: usize = BLOCK * BLOCK / 2;
    let (a, b) = (a.as_chunks::<HALF>().0, b.as_chunks::<HALF>().0);
    let (steep, one) = (i16x8::splat(STEEP), i16x8::splat(1));
    let mut sum = i32x4::splat(0);
    for (a, b) in a.iter().zip(b) {
        let off = i16x8::new(*a).saturating_sub(i16x8::new(*b));
        let off = off.max(i16x8::splat(0).saturating_sub(off));
        sum += off.dot(one) + off.min(i16x8::splat(quantum)).dot(steep);
    }
    sum.to_array().iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_far_apart_as_their_values() {
        let mut other = [3; BLOCK * BLOCK];
        (other[1], other[9]) = (-7, 4);
        // The first quantum five times, what follows once.
        assert_eq!(apart(&[3; 16], &other, 8), 10 + 4 * 8 + 1 + 4);
        let far = [i16::MAX; 16];
        assert_eq!(apart(&far, &far.map(|v| -v), 1), 16 * (32_767 + 4));
    }
}
