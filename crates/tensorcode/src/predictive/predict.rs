// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Predictions of levels: from the levels around, or from a reference.

use super::plane::{BLOCK, Motion, Plane, Rect};

/// Values of a block, row by row, each row [`BLOCK`] long.
pub(super) type Values<T> = [T; BLOCK * BLOCK];

/// The median of left, above, and left + above − corner: an edge is followed, a slope continued (the predictor of
/// LOCO-I: Weinberger, Seroussi, Sapiro, IEEE Trans. Image Processing 9.8, 2000; JPEG-LS, ITU-T T.87).
///
/// `top`: the first row that may be looked at.
#[inline(always)]
pub(super) fn median(
    levels: &[i16],
    plane: &Plane,
    base: usize,
    x: usize,
    y: usize,
    top: usize,
) -> i32 {
    let at = base + y * plane.width + x;
    let level = |back: usize| i32::from(levels[at - back]);
    match (x > 0, y > top) {
        (true, true) => {
            let (west, north) = (level(1), level(plane.width));
            let slope = west + north - level(plane.width + 1);
            slope.clamp(west.min(north), west.max(north))
        }
        (true, false) => level(1),
        (false, true) => level(plane.width),
        (false, false) => 0,
    }
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
    let mut values = [0; BLOCK * BLOCK];
    let (x, y) = (
        rect.x as isize + isize::from(motion.dx),
        rect.y as isize + isize::from(motion.dy),
    );
    let (right, bottom) = (plane.width as isize - 1, plane.height as isize - 1);
    let inside = x >= 0
        && y >= 0
        && x + rect.width as isize - 1 <= right
        && y + rect.height as isize - 1 <= bottom;
    for (j, row) in values.chunks_exact_mut(BLOCK).take(rect.height).enumerate() {
        let line = base + (y + j as isize).clamp(0, bottom) as usize * plane.width;
        if inside {
            let start = line + x as usize;
            row[..rect.width].copy_from_slice(&reference[start..start + rect.width]);
        } else {
            for (i, value) in row.iter_mut().take(rect.width).enumerate() {
                *value = reference[line + (x + i as isize).clamp(0, right) as usize];
            }
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
        let at = |levels: [i16; 4]| {
            let plane = Plane {
                channels: 1,
                height: 2,
                width: 2,
            };
            median(&levels, &plane, 0, 1, 1, 0)
        };
        // Corner, above; left.
        assert_eq!(at([0, 9, 0, 0]), 9);
        assert_eq!(at([0, 0, 9, 0]), 9);
        assert_eq!(at([5, 6, 7, 0]), 7);
        assert_eq!(at([5, 7, 4, 0]), 6);
        let plane = Plane {
            channels: 1,
            height: 2,
            width: 2,
        };
        assert_eq!(
            median(&[3, 4, 5, 0], &plane, 0, 1, 1, 1),
            5,
            "nothing is taken from above the band"
        );
        assert_eq!(median(&[3, 4, 5, 0], &plane, 0, 0, 0, 0), 0);
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
