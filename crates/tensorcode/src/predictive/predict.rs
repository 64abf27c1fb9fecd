// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Predictions of levels: from the levels around, or from a reference.

use super::plane::{BLOCK, Motion, Plane, Rect};

/// Values of a block, row by row, each row [`BLOCK`] long.
pub(super) type Values<T> = [T; BLOCK * BLOCK];

/// What becomes of each value: as `map`, but of as many at once as the processor can.
#[inline(always)]
pub(super) fn each<T: Copy, U: Copy + Default>(
    values: &Values<T>,
    mut becomes: impl FnMut(T) -> U,
) -> Values<U> {
    let mut out = [U::default(); BLOCK * BLOCK];
    for (out, value) in out.iter_mut().zip(values) {
        *out = becomes(*value);
    }
    out
}

/// The block of the channel that begins at `base`; nothing beyond the edge of the picture.
#[inline(always)]
pub(super) fn block_of<T: Copy + Default>(
    all: &[T],
    plane: &Plane,
    base: usize,
    rect: Rect,
) -> Values<T> {
    let mut block = [T::default(); BLOCK * BLOCK];
    let start = base + rect.y * plane.width + rect.x;
    let rows = block.as_chunks_mut::<BLOCK>().0.iter_mut();
    for (row, line) in rows.zip(all[start..].chunks(plane.width)).take(rect.height) {
        match line.first_chunk() {
            Some(whole) if rect.width == BLOCK => *row = *whole,
            _ => row[..rect.width].copy_from_slice(&line[..rect.width]),
        }
    }
    block
}

/// The levels of a block and those around it that it is predicted from: a row above, a column to the left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    levels: [i16; SIDE * SIDE],
}

const SIDE: usize = BLOCK + 1;

impl Surroundings {
    #[inline]
    pub(super) fn new(levels: &[i16], plane: &Plane, base: usize, rect: Rect) -> Self {
        let mut around = Self {
            levels: [0; SIDE * SIDE],
        };
        let start = base + rect.y * plane.width + rect.x;
        if rect.y > 0 {
            let above = start - plane.width;
            let left = usize::from(rect.x > 0);
            around.levels[1 - left..=rect.width]
                .copy_from_slice(&levels[above - left..above + rect.width]);
        }
        if rect.x > 0 {
            for j in 0..rect.height {
                around.levels[(j + 1) * SIDE] = levels[start + j * plane.width - 1];
            }
        }
        around
    }

    /// The median of left, above, and left + above − corner: an edge is followed, a slope continued (the predictor of
    /// LOCO-I: Weinberger, Seroussi, Sapiro, IEEE Trans. Image Processing 9.8, 2000; JPEG-LS, ITU-T T.87). At the edge only
    /// what there is, and 0 where there is nothing: zeros stand there, and of two that are alike the median is the third.
    #[inline(always)]
    pub(super) fn median(&self, i: usize, j: usize) -> i32 {
        let at = j * SIDE + i;
        let [corner, north, west] = [at, at + 1, at + SIDE].map(|at| i32::from(self.levels[at]));
        median(west, north, corner)
    }

    /// The corner, and the row above.
    pub(super) fn above(&self) -> (i32, [i32; BLOCK]) {
        let north = std::array::from_fn(|i| i32::from(self.levels[i + 1]));
        (i32::from(self.levels[0]), north)
    }

    /// The column to the left.
    pub(super) fn left(&self) -> [i32; BLOCK] {
        std::array::from_fn(|j| i32::from(self.levels[(j + 1) * SIDE]))
    }

    #[inline(always)]
    pub(super) fn set(&mut self, i: usize, j: usize, level: i16) {
        self.levels[(j + 1) * SIDE + i + 1] = level;
    }

    /// The block as it is where nothing is added. Beyond the edge of the picture it is of no meaning.
    pub(super) fn filled(mut self) -> Values<i16> {
        for j in 0..BLOCK {
            for i in 0..BLOCK {
                let level = self.median(i, j);
                self.set(i, j, level as i16);
            }
        }
        self.block()
    }

    pub(super) fn block(&self) -> Values<i16> {
        std::array::from_fn(|k| self.levels[(k / BLOCK + 1) * SIDE + k % BLOCK + 1])
    }
}

#[inline(always)]
pub(super) fn median(west: i32, north: i32, corner: i32) -> i32 {
    (west + north - corner)
        .max(west.min(north))
        .min(west.max(north))
}

/// The block of one channel of the reference that the motion points at; beyond the edge, what is at the edge.
#[inline]
pub(super) fn moved(
    reference: &[i16],
    plane: &Plane,
    base: usize,
    rect: Rect,
    motion: Motion,
) -> Values<i16> {
    let (x, y) = (
        rect.x as isize + isize::from(motion.dx),
        rect.y as isize + isize::from(motion.dy),
    );
    let (right, bottom) = (plane.width as isize - 1, plane.height as isize - 1);
    let inside = x >= 0
        && y >= 0
        && x + rect.width as isize - 1 <= right
        && y + rect.height as isize - 1 <= bottom;
    if inside {
        let (x, y) = (x as usize, y as usize);
        return block_of(reference, plane, base, Rect { x, y, ..rect });
    }
    let mut values = [0; BLOCK * BLOCK];
    for (j, row) in values.chunks_exact_mut(BLOCK).take(rect.height).enumerate() {
        let line = base + (y + j as isize).clamp(0, bottom) as usize * plane.width;
        for (i, value) in row.iter_mut().take(rect.width).enumerate() {
            *value = reference[line + (x + i as isize).clamp(0, right) as usize];
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: Plane = Plane {
        channels: 1,
        height: 6,
        width: 6,
    };

    #[test]
    fn an_edge_is_followed_and_a_slope_continued() {
        let plane = Plane {
            channels: 1,
            height: 8,
            width: 8,
        };
        let median = |[corner, north, west]: [i16; 3]| {
            let mut levels = [0; 64];
            (levels[27], levels[28], levels[35]) = (corner, north, west);
            Surroundings::new(&levels, &plane, 0, plane.block(1, 1)).median(0, 0)
        };
        assert_eq!(median([0, 9, 0]), 9);
        assert_eq!(median([0, 0, 9]), 9);
        assert_eq!(median([5, 6, 7]), 7);
        assert_eq!(median([5, 7, 4]), 6);
        let first = Surroundings::new(&[7; 64], &plane, 0, plane.block(0, 0));
        assert_eq!(first.median(0, 0), 0);
    }

    #[test]
    fn where_nothing_is_added_what_is_around_goes_on() {
        let plane = Plane {
            channels: 1,
            height: 6,
            width: 6,
        };
        let mut levels = [0; 36];
        for y in 0..6 {
            for x in 0..6 {
                levels[y * 6 + x] = if x < 4 && y < 4 { 5 } else { -1 };
            }
        }
        let rect = plane.block(1, 1);
        let around = Surroundings::new(&levels, &plane, 0, rect);
        let filled = around.filled();
        assert_eq!(
            (filled[0], filled[1], filled[4], filled[5]),
            (-1, -1, -1, -1)
        );
    }

    #[test]
    fn a_block_moves_within_the_picture_and_stops_at_its_edge() {
        let reference: Vec<i16> = (0..36).collect();
        let block = PLANE.block(0, 0);
        let by = |dx, dy| moved(&reference, &PLANE, 0, block, Motion { dx, dy });
        assert_eq!(by(0, 0)[..5], [0, 1, 2, 3, 6]);
        assert_eq!(by(2, 1)[..5], [8, 9, 10, 11, 14]);
        assert_eq!(by(-1, 0)[..5], [0, 0, 1, 2, 6]);
        assert_eq!(by(-8, -8)[..5], [0, 0, 0, 0, 0]);
        assert_eq!(by(7, 7)[..5], [35, 35, 35, 35, 35]);
        let corner = PLANE.block(1, 1);
        assert_eq!(
            moved(&reference, &PLANE, 0, corner, Motion::NONE)[..5],
            [28, 29, 0, 0, 34]
        );
    }
}
