// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which bytes of something have come.

use std::ops::Range;

/// Gaps that are kept apart. More than a window of packets can make, so that only a peer that wants to cost memory does.
const MOST: usize = 4096;

/// There are more gaps than [`MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyGaps;

/// Ranges in ascending order, none of which touches another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<usize>>);

impl Ranges {
    /// What has come already counts once.
    ///
    /// # Errors
    /// When it makes one gap too many; nothing has changed then.
    pub fn add(&mut self, new: Range<usize>) -> Result<(), TooManyGaps> {
        if new.is_empty() {
            return Ok(());
        }
        // Those that it touches become one with it.
        let first = self.0.partition_point(|r| r.end < new.start);
        let past = first + self.0[first..].partition_point(|r| r.start <= new.end);
        match self.0[first..past] {
            [] if self.0.len() == MOST => return Err(TooManyGaps),
            [] => self.0.insert(first, new),
            [ref old, ..] => {
                let (start, end) = (old.start.min(new.start), self.0[past - 1].end.max(new.end));
                self.0[first] = start..end;
                self.0.drain(first + 1..past);
            }
        }
        Ok(())
    }

    /// How many of the first bytes have come without a gap.
    pub fn prefix(&self) -> usize {
        self.0.first().filter(|r| r.start == 0).map_or(0, |r| r.end)
    }

    /// The range that ends there.
    pub fn run(&self, end: usize) -> Option<Range<usize>> {
        let at = self.0.binary_search_by_key(&end, |r| r.end).ok()?;
        self.0.get(at).cloned()
    }

    /// How many bytes of these have come.
    pub fn within(&self, all: Range<usize>) -> usize {
        let clipped = |r: &Range<usize>| r.end.min(all.end).saturating_sub(r.start.max(all.start));
        self.0.iter().map(clipped).sum()
    }

    /// Whether they are all of so many bytes.
    pub fn are_all(&self, len: usize) -> bool {
        self.prefix() >= len
    }

    /// What so many bytes lack.
    pub fn missing(&self, len: usize) -> Vec<Range<usize>> {
        let before = || self.0.iter().take_while(|r| r.start < len);
        let ends = before().map(|r| r.end);
        let starts = before().map(|r| r.start).chain([len]);
        std::iter::once(0)
            .chain(ends)
            .zip(starts)
            .map(|(from, to)| from..to)
            .filter(|gap| gap.start < gap.end)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn what_comes_in_order_is_one_range() {
        let mut ranges = Ranges::default();
        assert!(!ranges.are_all(1) && ranges.are_all(0));
        for i in 0..10 {
            ranges.add(i * 7..(i + 1) * 7).unwrap();
        }
        assert_eq!(ranges.0, [Range { start: 0, end: 70 }]);
        assert!(ranges.are_all(70) && !ranges.are_all(71));
        assert_eq!(ranges.missing(72), [Range { start: 70, end: 72 }]);
    }

    #[test]
    fn gaps_are_bounded_and_can_still_be_filled() {
        let mut ranges = Ranges::default();
        for i in 0..MOST {
            ranges.add(2 * i..2 * i + 1).unwrap();
        }
        let before = ranges.clone();
        assert_eq!(ranges.add(2 * MOST..2 * MOST + 1), Err(TooManyGaps));
        assert_eq!(ranges, before);
        ranges.add(1..2).unwrap();
        ranges.add(2 * MOST..2 * MOST + 1).unwrap();
    }

    proptest! {
        #[test]
        fn they_are_what_was_added(pieces in vec((0usize..120, 0usize..30), 0..40)) {
            let mut there = [false; 160];
            let mut ranges = Ranges::default();
            for (start, len) in pieces {
                ranges.add(start..start + len).unwrap();
                there[start..start + len].fill(true);
                prop_assert!(ranges.0.windows(2).all(|w| w[0].end < w[1].start));
            }
            let count = |all: &[bool]| all.iter().filter(|t| **t).count();
            prop_assert_eq!(ranges.within(0..160), count(&there));
            prop_assert_eq!(ranges.within(30..70), count(&there[30..70]));
            let prefix = there.iter().take_while(|t| **t).count();
            prop_assert_eq!(ranges.prefix(), prefix);
            for range in &ranges.0 {
                prop_assert_eq!(ranges.run(range.end), Some(range.clone()));
                prop_assert_eq!(ranges.run(range.end - 1).is_some(), false);
            }
            let mut lacks = [false; 160];
            prop_assert!(ranges.missing(90).iter().all(|gap| gap.end <= 90));
            for gap in ranges.missing(160) {
                lacks[gap].fill(true);
            }
            prop_assert!(there.iter().zip(lacks).all(|(there, lacks)| *there != lacks));
            prop_assert_eq!(ranges.are_all(160), there.iter().all(|t| *t));
        }
    }
}
