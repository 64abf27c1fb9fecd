// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What each bit of a band depends on, and how residuals become bits.
//!
//! A residual is likely where its neighbours had one, where the channels before had one at the same place (an edge or
//! a moving thing shows in many channels), and where the prediction is not zero (behind a ReLU the background is).

use super::plane::{Mode, Motion};
use crate::range::{Bit, Coder};

/// Nothing is known at the start of a band: it must be readable without those before it.
const UNKNOWN: Bit = Bit::new(1 << 15);
/// Residuals above are written as this and an exponential Golomb code of the rest.
const UNARY: u32 = 15;
/// Bits of the longest rest: levels have 16 bits.
const LONGEST: u32 = 17;

/// Magnitudes of the residuals to the left, above, above to the left, above to the right.
pub(super) type Around = [u8; 4];

pub(super) struct Contexts {
    skip: [Bit; 9],
    fresh: [Bit; 9],
    still: [Bit; 3],
    follows: [Bit; 2],
    /// By prediction, how many blocks of the channel had residuals lately, how many neighbours have, how busy it is.
    coded: [[[[Bit; BUSY]; 3]; 2]; 2],
    /// By prediction, what is around, how busy it is, and the predicted level.
    zero: [[[[Bit; 3]; BUSY]; AROUND]; 2],
    negative: [[Bit; 3]; 2],
    more: [[[Bit; UNARY as usize - 1]; 4]; 2],
    /// Of the blocks of this channel, how many had residuals: a moving average, 128 for all.
    lively: u32,
}

const BUSY: usize = 8;
const AROUND: usize = 8;

impl Contexts {
    pub(super) fn new() -> Self {
        Self {
            skip: [UNKNOWN; 9],
            fresh: [UNKNOWN; 9],
            still: [UNKNOWN; 3],
            follows: [UNKNOWN; 2],
            coded: [[[[UNKNOWN; BUSY]; 3]; 2]; 2],
            zero: [[[[UNKNOWN; 3]; BUSY]; AROUND]; 2],
            negative: [[UNKNOWN; 3]; 2],
            more: [[[UNKNOWN; UNARY as usize - 1]; 4]; 2],
            lively: 0,
        }
    }

    pub(super) fn start_channel(&mut self) {
        self.lively = 0;
    }

    /// How a block is predicted, given how those to its left and above are.
    pub(super) fn mode<C: Coder>(
        &mut self,
        coder: &mut C,
        mode: Mode,
        west: Mode,
        north: Mode,
    ) -> Mode {
        let kind = |mode| match mode {
            Mode::Skip => 0,
            Mode::Difference(_) => 1,
            Mode::Fresh => 2,
        };
        let context = kind(west) * 3 + kind(north);
        if coder.bit(&mut self.skip[context], mode == Mode::Skip) {
            return Mode::Skip;
        }
        if coder.bit(&mut self.fresh[context], mode == Mode::Fresh) {
            return Mode::Fresh;
        }
        Mode::Difference(self.motion(coder, mode.motion(), west.motion(), north.motion()))
    }

    fn motion<C: Coder>(
        &mut self,
        coder: &mut C,
        motion: Motion,
        west: Motion,
        north: Motion,
    ) -> Motion {
        let (moves_west, moves_north) = (west != Motion::NONE, north != Motion::NONE);
        let still = &mut self.still[usize::from(moves_west) + usize::from(moves_north)];
        if coder.bit(still, motion == Motion::NONE) {
            return Motion::NONE;
        }
        if moves_west && coder.bit(&mut self.follows[0], motion == west) {
            return west;
        }
        if moves_north && north != west && coder.bit(&mut self.follows[1], motion == north) {
            return north;
        }
        let mut part = |d: i8| coder.plain((d + Motion::RANGE) as u32, 4) as i8 - Motion::RANGE;
        Motion {
            dx: part(motion.dx),
            dy: part(motion.dy),
        }
    }

    /// Whether a block of one channel has residuals. `neighbours`: how many of the two at its left and above have.
    #[inline]
    pub(super) fn coded<C: Coder>(
        &mut self,
        coder: &mut C,
        coded: bool,
        fresh: bool,
        neighbours: usize,
        busy: u8,
    ) -> bool {
        let lively = usize::from(self.lively >= 32);
        let context = &mut self.coded[usize::from(fresh)][lively][neighbours][busy_class(busy)];
        let coded = coder.bit(context, coded);
        self.lively = self.lively * 7 / 8 + 16 * u32::from(coded);
        coded
    }

    /// The difference of a level to its prediction.
    #[inline(always)]
    pub(super) fn residual<C: Coder>(
        &mut self,
        coder: &mut C,
        residual: i32,
        fresh: bool,
        predicted: i32,
        around: Around,
        busy: u8,
    ) -> i32 {
        let fresh = usize::from(fresh);
        let around = around_class(around);
        let predicted = predicted.unsigned_abs().min(2) as usize;
        if coder.bit(
            &mut self.zero[fresh][around][busy_class(busy)][predicted],
            residual == 0,
        ) {
            return 0;
        }
        let negative = coder.bit(&mut self.negative[fresh][predicted], residual < 0);
        let magnitude = magnitude(
            coder,
            &mut self.more[fresh][around / 2],
            residual.unsigned_abs(),
        );
        if negative { -magnitude } else { magnitude }
    }
}

/// A magnitude of at least 1.
#[inline]
fn magnitude<C: Coder>(coder: &mut C, more: &mut [Bit; UNARY as usize - 1], magnitude: u32) -> i32 {
    for (reached, context) in (1..).zip(more) {
        if !coder.bit(context, magnitude > reached) {
            return reached as i32;
        }
    }
    // A writer only comes here with a magnitude of at least UNARY.
    (UNARY - 1 + golomb(coder, magnitude.saturating_sub(UNARY - 1).max(1))) as i32
}

/// Exponential Golomb code of a number of at least 1.
#[cold]
fn golomb<C: Coder>(coder: &mut C, number: u32) -> u32 {
    let digits = number.ilog2();
    let mut count = 0;
    while count < LONGEST && coder.plain(u32::from(count < digits), 1) == 1 {
        count += 1;
    }
    1 << count | coder.plain(number & ((1 << count) - 1), count)
}

#[inline(always)]
fn around_class([west, north, north_west, north_east]: Around) -> usize {
    const CLASS: [u8; 24] = [
        0, 1, 2, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7,
    ];
    let sum = 2 * (usize::from(west) + usize::from(north))
        + usize::from(north_west)
        + usize::from(north_east);
    usize::from(CLASS[sum.min(CLASS.len() - 1)])
}

#[inline(always)]
fn busy_class(busy: u8) -> usize {
    const CLASS: [u8; 64] = {
        let mut class = [7; 64];
        let mut busy = 0;
        while busy < 61 {
            class[busy] = match busy {
                0 => 0,
                1..=3 => 1,
                4..=7 => 2,
                8..=13 => 3,
                14..=22 => 4,
                23..=36 => 5,
                _ => 6,
            };
            busy += 1;
        }
        class
    };
    usize::from(CLASS[usize::from(busy.min(63))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{Reader, Writer};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_residual_comes_back(residuals in proptest::collection::vec(prop_oneof![-20i32..20, -65_534i32..65_535], 1..50)) {
            let mut writer = Writer::new(vec![]);
            let mut contexts = Contexts::new();
            for r in &residuals {
                contexts.residual(&mut writer, *r, true, 0, [1, 0, 0, 2], 3);
            }
            let bytes = writer.finish();
            let (mut reader, mut contexts) = (Reader::new(&bytes), Contexts::new());
            for r in &residuals {
                prop_assert_eq!(contexts.residual(&mut reader, 0, true, 0, [1, 0, 0, 2], 3), *r);
            }
        }

        #[test]
        fn any_mode_comes_back(modes in proptest::collection::vec((0u8..3, -8i8..8, -8i8..8), 1..50)) {
            let mode = |(kind, dx, dy): &(u8, i8, i8)| match kind {
                0 => Mode::Skip,
                1 => Mode::Fresh,
                _ => Mode::Difference(Motion { dx: *dx, dy: *dy }),
            };
            let mut writer = Writer::new(vec![]);
            let mut contexts = Contexts::new();
            let modes: Vec<Mode> = modes.iter().map(mode).collect();
            let around = |i: usize| (modes[i.saturating_sub(1)], modes[i / 2]);
            for (i, mode) in modes.iter().enumerate() {
                contexts.mode(&mut writer, *mode, around(i).0, around(i).1);
            }
            let bytes = writer.finish();
            let (mut reader, mut contexts) = (Reader::new(&bytes), Contexts::new());
            for (i, mode) in modes.iter().enumerate() {
                prop_assert_eq!(contexts.mode(&mut reader, Mode::Fresh, around(i).0, around(i).1), *mode);
            }
        }
    }
}
