// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An adaptive binary range coder (G. N. N. Martin, *Range encoding*, 1979; carries as in LZMA's, but with a window of
//! 64 bits, which is refilled four bytes at a time and so leaves the inner loop without a branch that is hard to predict).
//!
//! [`Coder`] is the same walk for both directions, so that whatever is written with it can be read by the same code.

/// Probabilities have so many bits.
const PRECISION: u32 = 16;
/// No answer is ever thought less likely than one in 2048: a wrong guess then costs 11 bits at most.
const LEAST: u16 = 1 << 5;
/// Below this the range is refilled.
const REFILL: u64 = 1 << 32;

/// How likely a bit is set, learned from those that came before: at first as their mean, later as a moving average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bit {
    /// Of the bit being set, in 1/65536.
    set: u16,
    seen: u8,
}

/// Weight of a new bit is 2^-RATE: close to 1/(n+1.5) for the n-th, until the memory is long enough.
const RATE: [u8; 64] = {
    let mut rates = [SLOWEST; 64];
    let mut n = 0;
    while n < 64 {
        rates[n] = match n {
            0 => 1,
            1..=3 => 2,
            4..=9 => 3,
            10..=22 => 4,
            23..=49 => 5,
            _ => SLOWEST,
        };
        n += 1;
    }
    rates
};
const SLOWEST: u8 = 6;

impl Bit {
    /// `likely`: of being set, in 1/65536.
    pub(crate) const fn new(likely: u16) -> Self {
        Self {
            set: likely,
            seen: 0,
        }
    }

    #[inline(always)]
    fn learn(&mut self, bit: bool) {
        let rate = RATE[usize::from(self.seen & 63)];
        self.seen += u8::from(self.seen < 63);
        if bit {
            self.set += (u16::MAX - self.set) >> rate;
        } else {
            self.set -= self.set >> rate;
        }
        self.set = self.set.clamp(LEAST, u16::MAX - LEAST);
    }
}

/// One side of the code. `bit` is what to write; a reader pays no heed to it and returns what it read.
pub(crate) trait Coder {
    fn bit(&mut self, context: &mut Bit, bit: bool) -> bool;

    /// `count` bits (at most 16) that are as likely set as not, the highest first.
    fn plain(&mut self, bits: u32, count: u32) -> u32;
}

/// Bits to bytes.
#[derive(Debug)]
pub(crate) struct Writer {
    low: u64,
    range: u64,
    out: Vec<u8>,
    /// Where this writer's own bytes begin.
    start: usize,
}

impl Writer {
    /// Appends to `out`.
    pub(crate) fn new(out: Vec<u8>) -> Self {
        Self {
            low: 0,
            range: u64::MAX,
            start: out.len(),
            out,
        }
    }

    #[inline(always)]
    fn narrow(&mut self, upper: bool, bound: u64) {
        if upper {
            self.range = bound;
        } else {
            let (low, carry) = self.low.overflowing_add(bound);
            self.low = low;
            self.range -= bound;
            if carry {
                self.carry();
            }
        }
        if self.range < REFILL {
            self.out
                .extend_from_slice(&((self.low >> 32) as u32).to_be_bytes());
            self.low <<= 32;
            self.range <<= 32;
        }
    }

    #[cold]
    fn carry(&mut self) {
        for byte in self.out[self.start..].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }

    /// Ends with as few bytes as tell the range from others; a reader takes what is missing for zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let high = self.low.checked_add(self.range - 1);
        for bytes in 0..=8u32 {
            let rest = u64::MAX.checked_shr(8 * bytes).unwrap_or(0);
            // The least number not below `low` that ends in zeros.
            let (number, carry) = match self.low & rest {
                0 => (self.low, false),
                _ => (self.low | rest).overflowing_add(1),
            };
            let inside = match high {
                Some(high) => !carry && number <= high,
                None => !carry || number <= self.low.wrapping_add(self.range - 1),
            };
            if inside {
                if carry {
                    self.carry();
                }
                self.out
                    .extend_from_slice(&number.to_be_bytes()[..bytes as usize]);
                break;
            }
        }
        while self.out.len() > self.start && self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

impl Coder for Writer {
    #[inline(always)]
    fn bit(&mut self, context: &mut Bit, bit: bool) -> bool {
        let bound = (self.range >> PRECISION) * u64::from(context.set);
        self.narrow(bit, bound);
        context.learn(bit);
        bit
    }

    #[inline]
    fn plain(&mut self, bits: u32, count: u32) -> u32 {
        for i in (0..count).rev() {
            self.narrow(bits >> i & 1 == 1, self.range >> 1);
        }
        bits
    }
}

/// Bytes to bits. Past its end it reads zeros.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// Distance of the number from the low end of the range.
    number: u64,
    range: u64,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Self {
            number: 0,
            range: u64::MAX,
            bytes,
        };
        reader.number = u64::from(reader.next()) << 32 | u64::from(reader.next());
        reader
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        match self.bytes.split_first_chunk() {
            Some((four, rest)) => {
                self.bytes = rest;
                u32::from_be_bytes(*four)
            }
            None => self.last(),
        }
    }

    #[cold]
    fn last(&mut self) -> u32 {
        let mut four = [0; 4];
        four[..self.bytes.len()].copy_from_slice(self.bytes);
        self.bytes = &[];
        u32::from_be_bytes(four)
    }

    #[inline(always)]
    fn narrow(&mut self, bound: u64) -> bool {
        let upper = self.number < bound;
        if upper {
            self.range = bound;
        } else {
            self.number -= bound;
            self.range -= bound;
        }
        if self.range < REFILL {
            self.range <<= 32;
            self.number = self.number << 32 | u64::from(self.next());
        }
        upper
    }
}

impl Coder for Reader<'_> {
    #[inline(always)]
    fn bit(&mut self, context: &mut Bit, _: bool) -> bool {
        let bound = (self.range >> PRECISION) * u64::from(context.set);
        let bit = self.narrow(bound);
        context.learn(bit);
        bit
    }

    #[inline]
    fn plain(&mut self, _: u32, count: u32) -> u32 {
        (0..count).fold(0, |bits, _| {
            let half = self.range >> 1;
            bits << 1 | u32::from(self.narrow(half))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            bits in proptest::collection::vec((0usize..4, proptest::bool::weighted(0.1), any::<u16>()), 0..3000),
            before in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut writer = Writer::new(before.clone());
            let mut contexts = [Bit::new(1 << 15); 3];
            for (context, bit, plain) in &bits {
                match contexts.get_mut(*context) {
                    Some(context) => {
                        writer.bit(context, *bit);
                    }
                    None => {
                        writer.plain(u32::from(*plain), 16);
                    }
                }
            }
            let bytes = writer.finish();
            prop_assert_eq!(&bytes[..before.len()], &before);
            let mut reader = Reader::new(&bytes[before.len()..]);
            let mut contexts = [Bit::new(1 << 15); 3];
            for (context, bit, plain) in &bits {
                match contexts.get_mut(*context) {
                    Some(context) => prop_assert_eq!(reader.bit(context, false), *bit),
                    None => prop_assert_eq!(reader.plain(0, 16), u32::from(*plain)),
                }
            }
        }

        #[test]
        fn noise_reads_as_something(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            let mut context = Bit::new(1 << 15);
            for _ in 0..2000 {
                reader.bit(&mut context, false);
                reader.plain(0, 3);
            }
        }
    }

    #[test]
    fn a_rare_bit_costs_what_it_should() {
        // One in 64: an entropy of 0.116 bits each.
        let mut writer = Writer::new(vec![]);
        let mut context = Bit::new(1 << 15);
        for i in 0..64_000u32 {
            writer.bit(&mut context, i.wrapping_mul(2_654_435_761) >> 26 == 0);
        }
        let bits = writer.finish().len() as f64 * 8.0 / 64_000.0;
        assert!((0.115..0.130).contains(&bits), "{bits}");
    }

    #[test]
    fn carries_pass_through_bytes_that_are_full() {
        // The unlikelier bit again and again drives the low end up to where it carries.
        for n in 0..400 {
            let mut writer = Writer::new(vec![]);
            let mut contexts = [Bit::new(65_000), Bit::new(900)];
            for i in 0..n {
                writer.bit(&mut contexts[i % 2], i % 2 == 1 || i % 7 == 0);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            let mut contexts = [Bit::new(65_000), Bit::new(900)];
            for i in 0..n {
                assert_eq!(
                    reader.bit(&mut contexts[i % 2], false),
                    i % 2 == 1 || i % 7 == 0
                );
            }
        }
    }
}
