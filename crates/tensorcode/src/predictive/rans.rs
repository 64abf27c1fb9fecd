// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A range variant of asymmetric numeral systems (J. Duda, *Asymmetric numeral systems*, arXiv:1311.2540, 2013): the
//! whole band is one number, and a reader takes a symbol off it with one multiplication and no division.
//!
//! A writer has to begin with the last symbol, while models learn from the first on. So it notes what each symbol's share
//! was when it was said, and makes the number at the end.
//!
//! [`Coder`] is the same walk for both directions, so that whatever is written with it can be read by the same code.

use super::models::{Bit, Share, Symbols, TOTAL};

/// Shares are parts of `1 << PRECISION`.
pub(super) const PRECISION: u32 = TOTAL.trailing_zeros();
/// Bits that move between the number and the bytes at once.
const WORD: u32 = 16;
/// Below this a reader takes the next word.
const LEAST: u32 = 1 << WORD;

/// One side of the code. What is to be written is handed in; a reader pays no heed to it and returns what it read.
pub(super) trait Coder {
    fn share(&mut self, model: &impl Model, symbol: usize) -> usize;

    #[inline(always)]
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool {
        let bit = self.share(model, usize::from(bit)) == 1;
        model.learn(bit);
        bit
    }

    #[inline(always)]
    fn symbol(&mut self, model: &mut Symbols, symbol: usize) -> usize {
        let symbol = self.share(model, symbol);
        model.learn(symbol);
        symbol
    }

    /// `count` bits (at most 15) that are as likely set as not.
    #[inline]
    fn plain(&mut self, bits: u32, count: u32) -> u32 {
        self.share(&Plain(count), bits as usize) as u32
    }
}

/// Cuts the numbers below [`TOTAL`] into one stretch for each symbol.
pub(super) trait Model {
    fn of_symbol(&self, symbol: usize) -> Share;
    fn at(&self, slot: u32) -> (usize, Share);
}

struct Plain(u32);

impl Model for Plain {
    #[inline(always)]
    fn of_symbol(&self, symbol: usize) -> Share {
        let size = TOTAL >> self.0;
        Share {
            start: symbol as u32 * size,
            size,
        }
    }

    #[inline(always)]
    fn at(&self, slot: u32) -> (usize, Share) {
        let symbol = (slot >> (PRECISION - self.0)) as usize;
        (symbol, self.of_symbol(symbol))
    }
}

/// Symbols to bytes.
#[derive(Debug, Default)]
pub(super) struct Writer {
    said: Vec<(u16, u16)>,
    /// Room for those of a number.
    words: Vec<u16>,
}

impl Writer {
    /// The bytes of one number.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut number = self.start();
        number.add_all(&self.said, &mut self.words);
        self.end(number)
    }

    /// Those of two, made in turns: each step waits for the one before of the same number, and meanwhile there is something to do.
    pub(super) fn finish_both(&mut self, other: &mut Self) -> [Vec<u8>; 2] {
        let mut numbers = [self.start(), other.start()];
        let both = self.said.len().min(other.said.len());
        let rest = [self.said.len(), other.said.len()].map(|said| said - both);
        for (a, b) in self.said[rest[0]..]
            .iter()
            .zip(&other.said[rest[1]..])
            .rev()
        {
            numbers[0].add(*a, &mut self.words);
            numbers[1].add(*b, &mut other.words);
        }
        numbers[0].add_all(&self.said[..rest[0]], &mut self.words);
        numbers[1].add_all(&other.said[..rest[1]], &mut other.words);
        [self.end(numbers[0]), other.end(numbers[1])]
    }

    fn start(&mut self) -> Number {
        let room = self.words.len().max(self.said.len());
        self.words.resize(room, 0);
        Number { low: 1, words: 0 }
    }

    /// Is ready for the next.
    fn end(&mut self, number: Number) -> Vec<u8> {
        self.said.clear();
        let low = number.low.to_le_bytes();
        if number.words == 0 {
            let len = (u32::BITS - number.low.leading_zeros()).div_ceil(8);
            return low[..len as usize].to_vec();
        }
        let words = self.words[..number.words].iter().rev();
        let words = words.flat_map(|word| word.to_le_bytes());
        low.into_iter().chain(words).collect()
    }
}

/// A number under way.
#[derive(Clone, Copy)]
struct Number {
    /// What is still to be added to.
    low: u32,
    /// So many words of it are done.
    words: usize,
}

impl Number {
    /// The last first.
    fn add_all(&mut self, said: &[(u16, u16)], words: &mut [u16]) {
        for said in said.iter().rev() {
            self.add(*said, words);
        }
    }

    #[inline(always)]
    fn add(&mut self, (start, size): (u16, u16), words: &mut [u16]) {
        let (start, size) = (u32::from(start), u32::from(size));
        // It does not depend on the number, so it is ready when its turn comes.
        let inverse = Inverse::of(size);
        // Room for what the symbol adds: size << (32 − PRECISION), without an overflow. Which symbols need it nobody can foretell, so it takes no branch.
        let full = self.low >> (u32::BITS - PRECISION) >= size;
        words[self.words] = self.low as u16;
        self.words += usize::from(full);
        let low = if full { self.low >> WORD } else { self.low };
        // The quotient moved up, and the remainder.
        self.low = low + inverse.times(low) * (TOTAL - size) + start;
    }
}

/// Division by the same number again and again takes one multiplication each (T. Granlund, P. Montgomery, *Division by invariant
/// integers using multiplication*, PLDI 1994).
#[derive(Clone, Copy)]
struct Inverse(u64);

impl Inverse {
    /// So many digits are enough, and the product stays below 2^64, because what is divided is less than size << (32 − PRECISION): the
    /// inverse is too large by 1 at most, and the quotient therefore by less than size · 2^(32 − PRECISION) / 2^DIGITS, which is no more than 1 / size.
    const DIGITS: u32 = 32 + PRECISION;
    /// Of this size an f64 is a whole number, and its bits count on with it.
    const WHOLE: f64 = (1u64 << (f64::MANTISSA_DIGITS - 1)) as f64;

    /// `size`: 1 to [`TOTAL`].
    #[inline(always)]
    fn of(size: u32) -> Self {
        let inverse = (1u64 << Self::DIGITS) as f64 / f64::from(size);
        // To the whole number that is no larger, or just below one: of the 53 digits of an f64 at most 47 are above the point, and what is
        // below it is 0 or at least 1 / size.
        let whole = inverse + (Self::WHOLE - 0.5);
        Self(whole.to_bits() - Self::WHOLE.to_bits() + 1)
    }

    /// The number divided by the size, rounded down.
    #[inline(always)]
    fn times(self, number: u32) -> u32 {
        ((u64::from(number) * self.0) >> Self::DIGITS) as u32
    }
}

impl Coder for Writer {
    #[inline(always)]
    fn share(&mut self, model: &impl Model, symbol: usize) -> usize {
        let Share { start, size } = model.of_symbol(symbol);
        self.said.push((start as u16, size as u16));
        symbol
    }
}

/// Bytes to symbols. Whatever the bytes are, it reads something.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    number: u32,
    words: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut number = [0; 4];
        let (first, words) = bytes.split_at(bytes.len().min(number.len()));
        number[..first.len()].copy_from_slice(first);
        Self {
            number: u32::from_le_bytes(number),
            words,
        }
    }
}

impl Coder for Reader<'_> {
    #[inline(always)]
    fn share(&mut self, model: &impl Model, _: usize) -> usize {
        let slot = self.number & (TOTAL - 1);
        let (symbol, Share { start, size }) = model.at(slot);
        self.number = size * (self.number >> PRECISION) + slot - start;
        if self.number < LEAST
            && let Some((word, rest)) = self.words.split_first_chunk()
        {
            self.number = self.number << WORD | u32::from(u16::from_le_bytes(*word));
            self.words = rest;
        }
        symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(said: &[(u8, u16)]) -> Vec<u8> {
        let mut writer = Writer::default();
        walk(&mut writer, said);
        writer.finish()
    }

    /// What comes out on the other side.
    fn walk<C: Coder>(coder: &mut C, said: &[(u8, u16)]) -> Vec<u16> {
        let mut bits = [Bit::new(1 << 14), Bit::new(300)];
        let mut symbols = Symbols::new([2, 1]);
        let one = |&(kind, value): &(u8, u16)| match kind {
            0 | 1 => u16::from(coder.bit(&mut bits[usize::from(kind)], value % 2 == 1)),
            2 => coder.symbol(&mut symbols, usize::from(value % 16)) as u16,
            _ => coder.plain(u32::from(value) >> 1, 15) as u16,
        };
        said.iter().map(one).collect()
    }

    fn meant(said: &[(u8, u16)]) -> Vec<u16> {
        let one = |&(kind, value): &(u8, u16)| match kind {
            0 | 1 => value % 2,
            2 => value % 16,
            _ => value >> 1,
        };
        said.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(said in proptest::collection::vec((0u8..4, any::<u16>()), 0..3000)) {
            let bytes = write(&said);
            prop_assert_eq!(walk(&mut Reader::new(&bytes), &said), meant(&said));
        }

        #[test]
        fn two_at_once_are_as_one_by_one(
            said in proptest::collection::vec((0u8..4, any::<u16>()), 0..300),
            other in proptest::collection::vec((0u8..4, any::<u16>()), 0..300),
        ) {
            let mut writers = [Writer::default(), Writer::default()];
            // Again, with what the first time has left behind.
            for _ in 0..2 {
                let [a, b] = &mut writers;
                walk(a, &said);
                walk(b, &other);
                prop_assert_eq!(a.finish_both(b), [write(&said), write(&other)]);
            }
        }

        #[test]
        fn noise_reads_as_something(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            said in proptest::collection::vec((0u8..4, any::<u16>()), 2000),
        ) {
            walk(&mut Reader::new(&bytes), &said);
        }
    }

    #[test]
    fn an_inverse_divides_exactly() {
        for size in 1..=TOTAL {
            let inverse = Inverse::of(size);
            let end = u64::from(size) << (32 - PRECISION);
            // On both sides of multiples, where a quotient changes: the first, the last, and some between.
            let multiples = [1, 2, 3, 1000, 65_535, 131_071, 131_072].map(|m| m * u64::from(size));
            let numbers = multiples.into_iter().flat_map(|m| [m - 1, m]);
            for number in numbers.filter(|n| *n < end) {
                let number = number as u32;
                assert_eq!(inverse.times(number), number / size, "{number} / {size}");
            }
        }
    }

    #[test]
    fn a_rare_bit_costs_what_it_should() {
        // One in 64: an entropy of 0.116 bits each.
        let mut writer = Writer::default();
        let mut model = Bit::new(1 << 14);
        for i in 0..64_000u32 {
            writer.bit(&mut model, i.wrapping_mul(2_654_435_761) >> 26 == 0);
        }
        let bytes = writer.finish();
        let bits = bytes.len() as f64 * 8.0 / 64_000.0;
        assert!((0.115..0.130).contains(&bits), "{bits}");
    }

    #[test]
    fn what_goes_without_saying_takes_a_byte() {
        let mut writer = Writer::default();
        let mut model = Bit::new(8);
        for _ in 0..200 {
            writer.bit(&mut model, false);
        }
        let bytes = writer.finish();
        assert!(bytes.len() <= 1, "{bytes:?}");
    }
}
