// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What was coded of a band so far, as far as the next symbols depend on it: magnitudes of residuals, block by block.

use std::ops::Range;

use super::plane::{BLOCK, Plane};
use super::predict::{Values, each};

/// Larger magnitudes are not told apart.
const NEAR_MOST: u8 = 31;
const BUSY_MOST: u8 = 15;

const NOTHING: Values<u8> = [0; BLOCK * BLOCK];

pub(super) struct Seen {
    /// Of this channel, two rows in turn, each with a border of nothing at both sides.
    near: [Vec<Values<u8>>; 2],
    /// Fading sum over the channels before, at each place.
    busy: Vec<Values<u8>>,
    /// The same of whole blocks.
    busy_blocks: Vec<u8>,
    /// Whether the block above has residuals, in each column; and the block to the left.
    coded: Vec<bool>,
    coded_before: bool,
    columns: usize,
}

/// Magnitudes in and around a block: a row above, a column to the left, and one more to the right.
pub(super) type Window = [u8; WINDOW * (BLOCK + 1)];
pub(super) const WINDOW: usize = BLOCK + 2;

/// A block of this channel, by its row in the band and its column.
#[derive(Clone, Copy)]
pub(super) struct At {
    row: usize,
    block: usize,
    column: usize,
}

impl Seen {
    pub(super) fn new(plane: &Plane, rows: &Range<usize>) -> Self {
        let columns = plane.block_columns();
        let near = || vec![NOTHING; columns + 2];
        Self {
            near: [near(), near()],
            busy: vec![NOTHING; rows.len() * columns],
            busy_blocks: vec![0; rows.len() * columns],
            coded: vec![false; columns],
            coded_before: false,
            columns,
        }
    }

    pub(super) fn start_channel(&mut self) {
        self.near.iter_mut().for_each(|row| row.fill(NOTHING));
        self.coded.fill(false);
    }

    /// The next block.
    pub(super) fn at(&mut self, row: usize, column: usize) -> At {
        if column == 0 {
            self.coded_before = false;
            self.near[row % 2].fill(NOTHING);
        }
        At {
            row,
            block: row * self.columns + column,
            column,
        }
    }

    /// How many of the blocks to the left and above have residuals.
    pub(super) fn neighbours(&self, at: At) -> usize {
        usize::from(self.coded_before) + usize::from(self.coded[at.column])
    }

    pub(super) fn busy_block(&self, at: At) -> u8 {
        self.busy_blocks[at.block]
    }

    pub(super) fn busy(&self, at: At) -> Values<u8> {
        self.busy[at.block]
    }

    /// What is around a block of pixels. The block itself is still to come.
    #[inline]
    pub(super) fn window(&self, at: At) -> Window {
        let mut window = [0; WINDOW * (BLOCK + 1)];
        let above = &self.near[(at.row + 1) % 2][at.column..at.column + 3];
        let left = &self.near[at.row % 2][at.column];
        const LAST: usize = BLOCK * (BLOCK - 1);
        window[0] = above[0][LAST + BLOCK - 1];
        window[1..=BLOCK].copy_from_slice(&above[1][LAST..]);
        window[BLOCK + 1] = above[2][LAST];
        for j in 0..BLOCK {
            window[(j + 1) * WINDOW] = left[j * BLOCK + BLOCK - 1];
        }
        window
    }

    /// The magnitudes of the blocks to the left and above, summed place by place.
    #[inline]
    pub(super) fn alike(&self, at: At) -> Values<u8> {
        let left = &self.near[at.row % 2][at.column];
        let above = &self.near[(at.row + 1) % 2][at.column + 1];
        std::array::from_fn(|k| left[k] + above[k])
    }

    /// A skipped block leaves what was there before.
    pub(super) fn skip(&mut self, at: At) {
        self.coded_before = false;
        self.coded[at.column] = false;
    }

    /// Remembers the block's residuals.
    #[inline]
    pub(super) fn add(&mut self, at: At, residuals: &Values<i32>) {
        let magnitudes = each(residuals, magnitude);
        self.near[at.row % 2][at.column + 1] = magnitudes;
        let mut sum = 0;
        for (busy, magnitude) in self.busy[at.block].iter_mut().zip(magnitudes) {
            let magnitude = magnitude.min(BUSY_MOST);
            *busy = faded(*busy) + 4 * magnitude;
            sum += u16::from(magnitude);
        }
        let busy = &mut self.busy_blocks[at.block];
        *busy = faded(*busy) + 4 * sum.min(BUSY_MOST.into()) as u8;
        self.coded_before = true;
        self.coded[at.column] = true;
    }

    /// Remembers that the block has none.
    #[inline]
    pub(super) fn add_none(&mut self, at: At) {
        let whole = &mut self.busy_blocks[at.block];
        // No place of a block is busier than the block.
        if *whole > 0 {
            *whole = faded(*whole);
            self.busy[at.block] = each(&self.busy[at.block], faded);
        }
        self.coded_before = false;
        self.coded[at.column] = false;
    }
}

/// Of a residual, as far as it is told apart from others.
#[inline(always)]
pub(super) fn magnitude(residual: i32) -> u8 {
    residual.unsigned_abs().min(NEAR_MOST.into()) as u8
}

/// Three quarters, rounded down.
#[inline(always)]
fn faded(busy: u8) -> u8 {
    busy - busy.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: Plane = Plane {
        channels: 2,
        height: 8,
        width: 8,
    };

    fn numbered(first: i32) -> Values<i32> {
        std::array::from_fn(|k| first + k as i32)
    }

    #[test]
    fn a_window_shows_what_is_above_and_to_the_left() {
        let mut seen = Seen::new(&PLANE, &(0..2));
        seen.start_channel();
        for (column, first) in [(0, 1), (1, -15)] {
            let at = seen.at(0, column);
            assert_eq!(seen.neighbours(at), column);
            seen.add(at, &numbered(first));
        }
        let at = seen.at(1, 0);
        let window = seen.window(at);
        assert_eq!(window[..WINDOW], [0, 13, 14, 15, 16, 3]);
        assert!(window[WINDOW..].iter().all(|m| *m == 0));
        seen.add(at, &numbered(4));
        let at = seen.at(1, 1);
        let window = seen.window(at);
        assert_eq!(window[..WINDOW], [16, 3, 2, 1, 0, 0]);
        assert_eq!(window[WINDOW..2 * WINDOW], [7, 0, 0, 0, 0, 0]);
        assert_eq!(seen.alike(at)[..2], [15 + 4, 14 + 5]);
        assert_eq!(seen.neighbours(at), 2);
    }

    #[test]
    fn what_is_not_seen_again_fades_and_a_new_channel_begins_with_nothing() {
        let mut seen = Seen::new(&PLANE, &(0..1));
        seen.start_channel();
        let at = seen.at(0, 0);
        seen.add(at, &numbered(-8));
        assert_eq!(
            (seen.busy(at)[0], seen.busy(at)[8], seen.busy_block(at)),
            (32, 0, 60)
        );
        for _ in 0..20 {
            seen.start_channel();
            let at = seen.at(0, 0);
            assert!(seen.busy(at).iter().all(|b| *b <= seen.busy_block(at)));
            assert_eq!(seen.window(at), [0; 30]);
            seen.add_none(at);
        }
        assert_eq!((seen.busy(at)[0], seen.busy_block(at)), (0, 0));
    }
}
