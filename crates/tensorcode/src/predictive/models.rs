// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How likely a bit or a symbol is, learned from those that came before: quickly at first, later as a moving average.
//! Whole numbers only, so that both sides learn the same.

use wide::{CmpGt, i16x8};

use super::rans::Model;

/// Shares add up to this.
pub(super) const TOTAL: u32 = 1 << 15;

/// A symbol's stretch of the numbers below [`TOTAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub start: u32,
    pub size: u32,
}

/// Of two answers, how likely it is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bit {
    /// In parts of [`TOTAL`].
    set: u16,
    seen: u8,
}

/// No answer is thought less likely than this: it then costs 11 bits at most.
const LEAST_BIT: u16 = 1 << 4;

/// Weight of what is new is 2^-RATE: close to 1/(n + 1.5) for the n-th bit, until the memory is long enough.
const BIT_RATE: [u8; MEMORY] = {
    let mut rates = [7; MEMORY];
    let mut n = 0;
    while n < 100 {
        rates[n] = match n {
            0 => 1,
            1..=3 => 2,
            4..=9 => 3,
            10..=22 => 4,
            23..=49 => 5,
            _ => 6,
        };
        n += 1;
    }
    rates
};

/// So many are counted.
const MEMORY: usize = 128;

#[inline(always)]
fn rate(rates: &[u8; MEMORY], seen: &mut u8) -> u8 {
    let rate = rates[usize::from(*seen) & (MEMORY - 1)];
    *seen += u8::from(usize::from(*seen) < MEMORY - 1);
    rate
}

impl Bit {
    /// `likely`: of being set, in parts of [`TOTAL`].
    pub(super) const fn new(likely: u16) -> Self {
        Self {
            set: likely,
            seen: 0,
        }
    }

    #[inline(always)]
    pub(super) fn learn(&mut self, bit: bool) {
        let rate = rate(&BIT_RATE, &mut self.seen);
        if bit {
            self.set += (TOTAL as u16 - self.set) >> rate;
        } else {
            self.set -= self.set >> rate;
        }
        self.set = self.set.clamp(LEAST_BIT, TOTAL as u16 - LEAST_BIT);
    }

    /// Adds, weighted by what was seen since `start`, what was learned, and the weight.
    pub(super) fn add_to(&self, start: &Self, sums: &mut [u32; 2]) {
        let weight = u32::from(self.seen.saturating_sub(start.seen));
        *sums = [sums[0] + weight * u32::from(self.set), sums[1] + weight];
    }

    /// The mean of what was added; where nothing was, `start`.
    pub(super) fn mean(start: Self, [sum, weight]: &[u32; 2]) -> Self {
        match sum.checked_div(*weight) {
            Some(mean) => Self {
                set: mean as u16,
                seen: INHERITED,
            },
            None => start,
        }
    }
}

/// What was learned in an earlier frame counts as so much seen: enough to be believed, not too much to be changed.
const INHERITED: u8 = 64;

impl Bit {
    /// The likelier answer, and its share. It comes first: a number that says little else stays small.
    #[inline(always)]
    fn likelier(&self) -> (usize, u32) {
        let set = u32::from(self.set);
        match set >= TOTAL / 2 {
            true => (1, set),
            false => (0, TOTAL - set),
        }
    }

    #[inline(always)]
    fn share(is_first: bool, first: u32) -> Share {
        match is_first {
            true => Share {
                start: 0,
                size: first,
            },
            false => Share {
                start: first,
                size: TOTAL - first,
            },
        }
    }
}

impl Model for Bit {
    #[inline(always)]
    fn of_symbol(&self, symbol: usize) -> Share {
        let (likelier, first) = self.likelier();
        Self::share(symbol == likelier, first)
    }

    #[inline(always)]
    fn at(&self, slot: u32) -> (usize, Share) {
        let (likelier, first) = self.likelier();
        let is_first = slot < first;
        (
            usize::from(is_first) ^ likelier ^ 1,
            Self::share(is_first, first),
        )
    }
}

/// So many symbols there are.
pub(super) const SYMBOLS: usize = 16;
/// Each symbol has at least this share, whatever was learned.
const FLOOR: i16 = 4;
/// What is left to be learned.
const LEARNED: i16 = (TOTAL as i32 - SYMBOLS as i32 * FLOOR as i32) as i16;

/// Of sixteen symbols, how likely each is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Symbols {
    /// Share of all symbols below each, and of all symbols, without their floors.
    below: [i16; SYMBOLS + 1],
    seen: u8,
}

/// All shares but the last, which is always the whole: they learn at once.
type Lanes = [i16x8; 2];

/// What the shares below move toward when a symbol is seen: those of all above it to the whole, the others to nothing.
const TARGETS: [[[i16; 8]; 2]; SYMBOLS] = {
    let mut targets = [[[0; 8]; 2]; SYMBOLS];
    let mut seen = 0;
    while seen < SYMBOLS {
        let mut lane = seen + 1;
        while lane < SYMBOLS {
            targets[seen][lane / 8][lane % 8] = LEARNED;
            lane += 1;
        }
        seen += 1;
    }
    targets
};

/// What the floors of all symbols below add.
const FLOORS: Lanes = {
    let mut floors = [[0; 8]; 2];
    let mut lane = 0;
    while lane < SYMBOLS {
        floors[lane / 8][lane % 8] = lane as i16 * FLOOR;
        lane += 1;
    }
    [i16x8::new(floors[0]), i16x8::new(floors[1])]
};

/// As [`BIT_RATE`]; sixteen shares are not learned as quickly as one.
const SYMBOL_RATE: [u8; MEMORY] = {
    let mut rates = [7; MEMORY];
    let mut n = 0;
    while n < 96 {
        rates[n] = match n {
            0..=3 => 3,
            4..=11 => 4,
            12..=31 => 5,
            _ => 6,
        };
        n += 1;
    }
    rates
};

impl Symbols {
    /// Symbols are thought to follow a geometric law, two by two (a magnitude in both signs). The mean of the magnitudes is
    /// `mean[0] / mean[1]`. In whole numbers, so that all sides begin alike.
    pub(super) const fn new(mean: [u32; 2]) -> Self {
        let (fall, whole) = (mean[0], mean[0] + mean[1]);
        let mut below = [0; SYMBOLS + 1];
        let mut share = LEARNED as u32 * mean[1] / whole;
        below[1] = share as i16;
        let mut symbol = 2;
        while symbol < SYMBOLS {
            share = share * fall / whole;
            below[symbol] = below[symbol - 1] + (share / 2) as i16;
            below[symbol + 1] = below[symbol] + (share / 2) as i16;
            symbol += 2;
        }
        below[SYMBOLS] = LEARNED;
        Self { below, seen: 0 }
    }

    #[inline(always)]
    fn lanes(&self) -> Lanes {
        let (halves, _) = self.below.as_chunks();
        [i16x8::new(halves[0]), i16x8::new(halves[1])]
    }

    #[inline(always)]
    pub(super) fn learn(&mut self, symbol: usize) {
        let rate = rate(&SYMBOL_RATE, &mut self.seen);
        let lanes = self.lanes();
        let targets = &TARGETS[symbol & (SYMBOLS - 1)];
        let (halves, _) = self.below.as_chunks_mut();
        for ((half, lanes), target) in halves.iter_mut().zip(lanes).zip(targets) {
            *half = (lanes + ((i16x8::new(*target) - lanes) >> rate)).to_array();
        }
    }

    /// As [`Bit::add_to`]; the weight comes last.
    pub(super) fn add_to(&self, start: &Self, sums: &mut [u32; SYMBOLS + 1]) {
        let weight = u32::from(self.seen.saturating_sub(start.seen));
        // Most are not seen in a band.
        if weight > 0 {
            for (sum, below) in sums[..SYMBOLS].iter_mut().zip(self.below) {
                *sum += weight * below as u32;
            }
            sums[SYMBOLS] += weight;
        }
    }

    /// As [`Bit::mean`].
    pub(super) fn mean(start: Self, sums: &[u32; SYMBOLS + 1]) -> Self {
        let weight = sums[SYMBOLS];
        if weight == 0 {
            return start;
        }
        let mut below = start.below;
        for (below, sum) in below[..SYMBOLS].iter_mut().zip(sums) {
            // Several are divided at once, and exactly: a quotient of such numbers that is not whole is further from whole ones than an f64 rounds.
            *below = (f64::from(*sum) / f64::from(weight)) as i32 as i16;
        }
        Self {
            below,
            seen: INHERITED,
        }
    }
}

impl Model for Symbols {
    #[inline(always)]
    fn of_symbol(&self, symbol: usize) -> Share {
        let symbol = symbol & (SYMBOLS - 1);
        let below = |symbol: usize| (self.below[symbol] as u16) + FLOOR as u16 * symbol as u16;
        Share {
            start: below(symbol).into(),
            size: below(symbol + 1).wrapping_sub(below(symbol)).into(),
        }
    }

    #[inline(always)]
    fn at(&self, slot: u32) -> (usize, Share) {
        let slot = i16x8::splat(slot as i16);
        let lanes = self.lanes();
        let beyond = |half: usize| (lanes[half] + FLOORS[half]).cmp_gt(slot).move_mask() as u32;
        // The first symbol beyond; there is none before the first.
        let beyond = beyond(0) | beyond(1) << 8 | 1 << SYMBOLS;
        let symbol = beyond.trailing_zeros() as usize - 1;
        (symbol, self.of_symbol(symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sizes(model: &Symbols) -> Vec<u32> {
        (0..SYMBOLS).map(|s| model.of_symbol(s).size).collect()
    }

    proptest! {
        #[test]
        fn shares_stay_whole_and_every_slot_has_its_symbol(
            mean in [1u32..1000, 1u32..1000],
            seen in proptest::collection::vec(0..SYMBOLS, 0..400),
        ) {
            let mut model = Symbols::new(mean);
            for symbol in seen {
                model.learn(symbol);
            }
            prop_assert_eq!(sizes(&model).iter().sum::<u32>(), TOTAL);
            for symbol in 0..SYMBOLS {
                let share = model.of_symbol(symbol);
                prop_assert!(share.size >= FLOOR as u32);
                for slot in [share.start, share.start + share.size - 1] {
                    prop_assert_eq!(model.at(slot), (symbol, share));
                }
            }
        }
    }

    #[test]
    fn what_is_seen_often_becomes_likely() {
        let mut model = Symbols::new([1, 1]);
        for i in 0..500 {
            model.learn(if i % 10 == 0 { 2 } else { 9 });
        }
        let sizes = sizes(&model);
        assert!(
            sizes[9] > TOTAL * 8 / 10 && sizes[9] < TOTAL * 97 / 100,
            "{sizes:?}"
        );
        assert!(sizes[2] > TOTAL / 50, "{sizes:?}");
    }

    #[test]
    fn a_new_model_expects_small_magnitudes_in_both_signs() {
        let sizes = sizes(&Symbols::new([1, 1]));
        assert!(sizes[0] > TOTAL * 49 / 100 && sizes[0] < TOTAL * 51 / 100);
        assert!(sizes[1].abs_diff(sizes[2]) < 4 && sizes[1] > sizes[4] * 19 / 10);
    }
}
