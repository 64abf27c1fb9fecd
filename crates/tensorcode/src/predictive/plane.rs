// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How a tensor is looked at: as a stack of pictures, cut into square blocks that reach through the whole stack.

use std::ops::Range;

use super::predict::Values;

/// Side of a block.
pub(super) const BLOCK: usize = 4;

/// A tensor as `channels` pictures of `height × width`, row by row, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

/// The channels of a tensor of this shape.
pub(crate) fn channels(shape: &[usize]) -> usize {
    Plane::of(shape).channels
}

/// The part of a picture that a block covers; at the right and lower edge less than [`BLOCK`] squared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Plane {
    /// The last two dimensions are the picture, whatever stands before them is the stack. That is how ONNX lays out
    /// what convolutions give (N, C, H, W); of a sequence (N, tokens, features) one picture is made.
    pub(super) fn of(shape: &[usize]) -> Self {
        let (width, rest) = shape.split_last().map_or((1, shape), |(w, r)| (*w, r));
        let (height, rest) = rest.split_last().map_or((1, rest), |(h, r)| (*h, r));
        Self {
            channels: rest.iter().product(),
            height,
            width,
        }
    }

    pub(super) fn area(&self) -> usize {
        self.height * self.width
    }

    pub(super) fn len(&self) -> usize {
        self.channels * self.area()
    }

    pub(super) fn block_rows(&self) -> usize {
        self.height.div_ceil(BLOCK)
    }

    pub(super) fn block_columns(&self) -> usize {
        self.width.div_ceil(BLOCK)
    }

    pub(super) fn blocks(&self) -> usize {
        self.block_rows() * self.block_columns()
    }

    /// The part of each channel that these rows of blocks cover.
    pub(super) fn lines(&self, rows: &Range<usize>) -> Range<usize> {
        let end = (rows.end * BLOCK).min(self.height);
        rows.start * BLOCK * self.width..end * self.width
    }

    pub(super) fn block(&self, row: usize, column: usize) -> Rect {
        let (x, y) = (column * BLOCK, row * BLOCK);
        Rect {
            x,
            y,
            width: BLOCK.min(self.width - x),
            height: BLOCK.min(self.height - y),
        }
    }
}

impl Rect {
    /// Sets its values in a channel whose rows are so wide.
    #[inline]
    pub(super) fn put(self, values: &Values<i16>, channel: &mut [i16], width: usize) {
        let rows = values.as_chunks::<BLOCK>().0;
        for (j, row) in rows.iter().enumerate().take(self.height) {
            let start = (self.y + j) * width + self.x;
            match channel[start..start + self.width].as_chunks_mut() {
                // A whole row is no call of a function.
                ([whole], _) => *whole = *row,
                (_, part) => part.copy_from_slice(&row[..self.width]),
            }
        }
    }
}

/// Where a block's values are predicted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is what it was in the reference: nothing follows.
    Skip,
    /// From the reference, moved by so many columns and rows.
    Difference(Motion),
    /// From the values to its left and above it, whatever came before.
    #[default]
    Fresh,
}

/// `−RANGE..RANGE` each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Motion {
    pub dx: i8,
    pub dy: i8,
}

impl Motion {
    pub(super) const RANGE: i8 = 8;
    pub(super) const NONE: Self = Self { dx: 0, dy: 0 };

    pub(super) fn is_possible(self) -> bool {
        let range = -Self::RANGE..Self::RANGE;
        range.contains(&self.dx) && range.contains(&self.dy)
    }

    /// What has moved so far in the last `spanned` frames goes so far in `frames` (below 0: comes from there), in whole pixels.
    pub(super) fn going_on(self, frames: i64, spanned: u64) -> Self {
        let part = |d: i8| {
            let far = f32::from(d) * frames as f32 / spanned.max(1) as f32;
            let (least, most) = (-Self::RANGE, Self::RANGE - 1);
            far.round().clamp(least.into(), most.into()) as i8
        };
        Self {
            dx: part(self.dx),
            dy: part(self.dy),
        }
    }
}

impl Mode {
    /// What neighbours take their own motion from.
    pub(super) fn motion(self) -> Motion {
        match self {
            Self::Difference(motion) => motion,
            Self::Skip | Self::Fresh => Motion::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_dimensions_are_the_picture() {
        let plane = |shape: &[usize]| {
            let p = Plane::of(shape);
            (p.channels, p.height, p.width)
        };
        assert_eq!(plane(&[]), (1, 1, 1));
        assert_eq!(plane(&[7]), (1, 1, 7));
        assert_eq!(plane(&[2, 7]), (1, 2, 7));
        assert_eq!(plane(&[1, 32, 52, 50]), (32, 52, 50));
        assert_eq!(plane(&[2, 3, 4, 5]), (6, 4, 5));
    }

    #[test]
    fn what_moves_goes_on_as_far_as_there_is_time() {
        let motion = Motion { dx: 3, dy: -5 };
        assert_eq!(motion.going_on(1, 1), motion);
        assert_eq!(motion.going_on(1, 3), Motion { dx: 1, dy: -2 });
        assert_eq!(motion.going_on(-2, 2), Motion { dx: -3, dy: 5 });
        assert_eq!(motion.going_on(i64::MAX, 0), Motion { dx: 7, dy: -8 });
        assert_eq!(motion.going_on(1, u64::MAX), Motion::NONE);
    }

    #[test]
    fn blocks_cover_the_picture_once() {
        let plane = Plane::of(&[1, 9, 6]);
        let mut seen = vec![0; plane.area()];
        for row in 0..plane.block_rows() {
            for column in 0..plane.block_columns() {
                let b = plane.block(row, column);
                for y in b.y..b.y + b.height {
                    for x in b.x..b.x + b.width {
                        seen[y * plane.width + x] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|n| *n == 1));
        assert_eq!(plane.blocks(), 6);
    }
}
