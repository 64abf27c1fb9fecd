// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What each symbol of a band depends on, and how residuals become symbols.
//!
//! A residual is large where its neighbours are, where the channels before had large ones at the same place (an edge or a
//! moving thing shows in many channels), and where the prediction is not zero (behind a ReLU the background is).

use super::models::{Bit, SYMBOLS, Symbols, TOTAL};
use super::plane::{Mode, Motion};
use super::rans::Coder;

const UNKNOWN: Bit = Bit::new((TOTAL / 2) as u16);
/// Residuals below are a symbol, sign included.
const NEAR: i32 = 8;
/// What stands for all others.
const FAR: usize = SYMBOLS - 1;

/// What a residual is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the levels around foretell.
    Fresh,
    /// A level of the reference.
    Difference,
    /// A coefficient: how the block differs from the reference's, taken apart by frequency.
    Transform,
}

#[derive(Clone)]
pub(super) struct Contexts {
    skip: [Bit; 9],
    fresh: [Bit; 9],
    still: [Bit; 3],
    follows: [Bit; 2],
    /// By kind, how many blocks of the channel had residuals lately, how many neighbours have, how busy it is.
    coded: [[[[Bit; BUSY]; 3]; 2]; 3],
    /// By kind, activity and hint.
    near: [[[Symbols; 4]; CLASSES]; 3],
    /// By activity.
    far: [Symbols; CLASSES],
    /// Of the blocks of this channel, how many had residuals: a moving average, 128 for all.
    lively: u32,
}

const BUSY: usize = 8;
const CLASSES: usize = 14;

impl Contexts {
    pub(super) fn new() -> Self {
        let near = std::array::from_fn(|class| [Symbols::new(mean_of_class(class)); 4]);
        Self {
            skip: [UNKNOWN; 9],
            fresh: [UNKNOWN; 9],
            still: [UNKNOWN; 3],
            follows: [UNKNOWN; 2],
            coded: [[[[UNKNOWN; BUSY]; 3]; 2]; 3],
            near: [near; 3],
            far: [Symbols::new([1, 1]); CLASSES],
            lively: 0,
        }
    }

    pub(super) fn bits(&self) -> impl Iterator<Item = &Bit> {
        let coded = self.coded.as_flattened().as_flattened().as_flattened();
        let modes = self.skip.iter().chain(&self.fresh);
        modes.chain(&self.still).chain(&self.follows).chain(coded)
    }

    pub(super) fn bits_mut(&mut self) -> impl Iterator<Item = &mut Bit> {
        let coded = self.coded.as_flattened_mut().as_flattened_mut();
        let modes = self.skip.iter_mut().chain(&mut self.fresh);
        let motion = self.still.iter_mut().chain(&mut self.follows);
        modes.chain(motion).chain(coded.as_flattened_mut())
    }

    pub(super) fn symbols(&self) -> impl Iterator<Item = &Symbols> {
        self.near
            .as_flattened()
            .as_flattened()
            .iter()
            .chain(&self.far)
    }

    pub(super) fn symbols_mut(&mut self) -> impl Iterator<Item = &mut Symbols> {
        let near = self.near.as_flattened_mut().as_flattened_mut();
        near.iter_mut().chain(&mut self.far)
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
        kind: Kind,
        neighbours: usize,
        busy: u8,
    ) -> bool {
        let lively = usize::from(self.lively >= 32);
        let model = &mut self.coded[kind as usize][lively][neighbours][busy_class(busy)];
        let coded = coder.bit(model, coded);
        self.lively = self.lively * 7 / 8 + 16 * u32::from(coded);
        coded
    }

    /// A residual. `hint`: how large the prediction is, or how high the frequency, 0 to 3; `activity`: of what is around
    /// and of what was here in other channels, 14 times the magnitude where all are alike.
    #[inline(always)]
    pub(super) fn residual<C: Coder>(
        &mut self,
        coder: &mut C,
        residual: i32,
        kind: Kind,
        hint: usize,
        activity: u32,
    ) -> i32 {
        let class = class(activity);
        let place = usize::try_from(residual + NEAR - 1);
        let symbol = place
            .ok()
            .and_then(|p| SYMBOL.get(p))
            .map_or(FAR, |s| usize::from(*s));
        let model = &mut self.near[kind as usize][class][hint & 3];
        match coder.symbol(model, symbol) {
            FAR => far(coder, &mut self.far[class], residual),
            symbol => i32::from(RESIDUAL[symbol & (SYMBOLS - 1)]),
        }
    }
}

/// The residuals that have a symbol of their own: 0, then 1, −1, 2, −2 …
const RESIDUAL: [i8; SYMBOLS] = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 0];

/// The symbols of the residuals from −7 to 7.
const SYMBOL: [u8; FAR] = {
    let mut symbols = [0; FAR];
    let mut symbol = 0;
    while symbol < FAR {
        symbols[(RESIDUAL[symbol] as i32 + NEAR - 1) as usize] = symbol as u8;
        symbol += 1;
    }
    symbols
};

/// A residual of a magnitude of at least [`NEAR`]: how many digits what is above has, then these and the sign.
#[cold]
fn far<C: Coder>(coder: &mut C, model: &mut Symbols, residual: i32) -> i32 {
    // A reader comes with anything; no writer has more than 16 digits.
    let above =
        (residual.unsigned_abs().max(NEAR as u32) - NEAR as u32 + 1).min(u32::from(u16::MAX));
    let digits = coder.symbol(model, above.ilog2() as usize) as u32;
    let above = 1 << digits | coder.plain(above & ((1 << digits) - 1), digits);
    let magnitude = above as i32 - 1 + NEAR;
    match coder.plain(u32::from(residual < 0), 1) {
        0 => magnitude,
        _ => -magnitude,
    }
}

/// Upper ends of the classes of activity, but the last.
const ENDS: [u32; CLASSES - 1] = [0, 2, 4, 7, 11, 16, 23, 33, 47, 67, 95, 135, 191];

#[inline(always)]
fn class(activity: u32) -> usize {
    const CLASS: [u8; 256] = {
        let mut class = [0; 256];
        let mut activity = 0;
        while activity < 256 {
            let mut c = 0;
            while c < CLASSES - 1 && activity as u32 > ENDS[c] {
                c += 1;
            }
            class[activity] = c as u8;
            activity += 1;
        }
        class
    };
    usize::from(CLASS[activity.min(255) as usize])
}

/// What a class stands for until something is learned: the mean of its ends.
fn mean_of_class(class: usize) -> [u32; 2] {
    let end = |c: usize| ENDS.get(c).copied().unwrap_or(240);
    match class {
        0 => [2, 25],
        _ => [end(class - 1) + end(class) + 1, 28],
    }
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
    use super::super::rans::{Reader, Writer};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_residual_comes_back(residuals in proptest::collection::vec(prop_oneof![-20i32..20, -65_534i32..65_535], 1..50)) {
            let place = |r: &i32| (Kind::Transform, r.unsigned_abs() as usize % 4, r.unsigned_abs() % 300);
            let (mut writer, mut contexts) = (Writer::default(), Contexts::new());
            for r in &residuals {
                let (kind, hint, activity) = place(r);
                contexts.residual(&mut writer, *r, kind, hint, activity);
            }
            let bytes = writer.finish();
            let (mut reader, mut contexts) = (Reader::new(&bytes), Contexts::new());
            for r in &residuals {
                let (kind, hint, activity) = place(r);
                prop_assert_eq!(contexts.residual(&mut reader, 0, kind, hint, activity), *r);
            }
        }

        #[test]
        fn any_mode_comes_back(modes in proptest::collection::vec((0u8..3, -8i8..8, -8i8..8), 1..50)) {
            let mode = |(kind, dx, dy): &(u8, i8, i8)| match kind {
                0 => Mode::Skip,
                1 => Mode::Fresh,
                _ => Mode::Difference(Motion { dx: *dx, dy: *dy }),
            };
            let (mut writer, mut contexts) = (Writer::default(), Contexts::new());
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
