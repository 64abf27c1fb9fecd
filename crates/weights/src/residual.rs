// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How differences become bits, in an adaptive range coder; the same walk for both directions.

use crate::range::{Bit, Coder};

const UNKNOWN: Bit = Bit::new(1 << 15);
/// How busy the elements before were, in powers of two.
const BUSY: usize = 12;
/// Magnitudes above are written as this and an exponential Golomb code of the rest.
const UNARY: usize = 14;
/// Bits of the longest rest.
const LONGEST: usize = 54;

/// Differences between levels of a grid: mostly small, and alike among neighbours.
pub(crate) struct Levels {
    zero: [Bit; BUSY],
    more: [[Bit; UNARY - 1]; BUSY],
    length: [Bit; LONGEST],
    /// Moving average of the magnitudes, in 1/64.
    average: u64,
}

impl Levels {
    pub(crate) fn new() -> Self {
        Self {
            zero: [UNKNOWN; BUSY],
            more: [[UNKNOWN; UNARY - 1]; BUSY],
            length: [UNKNOWN; LONGEST],
            average: 0,
        }
    }

    /// The elements of another tensor follow.
    pub(crate) fn start_tensor(&mut self) {
        self.average = 0;
    }

    pub(crate) fn code(&mut self, coder: &mut impl Coder, value: i64) -> i64 {
        let busy = (u64::BITS - self.average.leading_zeros()) as usize;
        let busy = busy.min(BUSY - 1);
        let magnitude = self.magnitude(coder, busy, value.unsigned_abs());
        self.average = (self.average * 15 + magnitude.min(1 << 16) * 64 + 8) / 16;
        if magnitude == 0 {
            return 0;
        }
        let negative = coder.plain(u32::from(value < 0), 1) == 1;
        let magnitude = magnitude.min(i64::MAX as u64) as i64;
        if negative { -magnitude } else { magnitude }
    }

    fn magnitude(&mut self, coder: &mut impl Coder, busy: usize, value: u64) -> u64 {
        if coder.bit(&mut self.zero[busy], value == 0) {
            return 0;
        }
        for (i, context) in self.more[busy].iter_mut().enumerate() {
            let here = i as u64 + 1;
            if !coder.bit(context, value > here) {
                return here;
            }
        }
        let least = UNARY as u64;
        least + self.rest(coder, value.saturating_sub(least))
    }

    fn rest(&mut self, coder: &mut impl Coder, value: u64) -> u64 {
        let value = value.min((1 << LONGEST) - 2) + 1;
        let wanted = (u64::BITS - 1 - value.leading_zeros()) as usize;
        let mut length = 0;
        while length < LONGEST - 1 && coder.bit(&mut self.length[length], length < wanted) {
            length += 1;
        }
        ((1 << length) | plain(coder, value, length as u32)) - 1
    }
}

/// Differences between bit patterns, for values that must come out exactly: only how long they are can be learned.
pub(crate) struct Patterns {
    length: [Bit; 128],
}

impl Patterns {
    pub(crate) fn new() -> Self {
        Self {
            length: [UNKNOWN; 128],
        }
    }

    /// `value`: a difference of two patterns, as a number with sign.
    pub(crate) fn code(&mut self, coder: &mut impl Coder, value: i64) -> i64 {
        // Signs alternate, so that small differences of both signs are short.
        let folded = (value << 1 ^ value >> 63) as u64;
        let wanted = u64::BITS - folded.leading_zeros();
        let mut node = 1;
        for i in (0..7).rev() {
            let bit = coder.bit(&mut self.length[node], wanted >> i & 1 == 1);
            node = node << 1 | usize::from(bit);
        }
        let length = (node as u32 & 127).min(u64::BITS);
        let folded = match length.checked_sub(1) {
            None => 0,
            Some(below) => 1 << below | plain(coder, folded, below),
        };
        (folded >> 1) as i64 ^ -((folded & 1) as i64)
    }
}

/// The lowest `count` bits.
fn plain(coder: &mut impl Coder, value: u64, count: u32) -> u64 {
    let mut read = 0;
    let mut left = count;
    while left > 0 {
        let now = left.min(16);
        left -= now;
        let bits = (value >> left) as u32 & ((1 << now) - 1);
        read = read << now | u64::from(coder.plain(bits, now));
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{Reader, Writer};
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = Vec<i64>> {
        let most = crate::grid::MOST;
        let number = prop_oneof![Just(0i64), -3..4i64, -100..100i64, -most * 2..=most * 2];
        proptest::collection::vec(number, 0..500)
    }

    proptest! {
        #[test]
        fn levels_come_back(numbers in numbers()) {
            let mut writer = Writer::new(Vec::new());
            let mut levels = Levels::new();
            for n in &numbers {
                prop_assert_eq!(levels.code(&mut writer, *n), *n);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            let mut levels = Levels::new();
            for n in numbers {
                prop_assert_eq!(levels.code(&mut reader, 0), n);
            }
        }

        #[test]
        fn patterns_come_back(numbers in proptest::collection::vec(any::<i64>(), 0..300)) {
            let mut writer = Writer::new(Vec::new());
            let mut patterns = Patterns::new();
            for n in &numbers {
                patterns.code(&mut writer, *n);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            let mut patterns = Patterns::new();
            for n in numbers {
                prop_assert_eq!(patterns.code(&mut reader, 0), n);
            }
        }
    }
}
