// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What blocks that were lost most likely are: they go on as they did in the frame before. (Their neighbours in this frame may be of
//! something else.)

use std::ops::Range;

use super::band::Setting;
use super::plane::Motion;
use super::predict::moved;

impl Setting<'_> {
    /// Sets the levels of rows of blocks, which are those of the reference before. `motions`: of all blocks of the reference.
    pub(super) fn conceal(&self, rows: Range<usize>, motions: &[Motion], levels: &mut [i16]) {
        let Some(reference) = self.reference else {
            return;
        };
        let plane = &self.plane;
        let columns = plane.block_columns();
        let blocks = rows.start * columns..rows.end * columns;
        for block in blocks {
            let Some(motion) = motions.get(block).filter(|m| **m != Motion::NONE) else {
                continue;
            };
            let rect = plane.block(block / columns, block % columns);
            for (channel, levels) in levels.chunks_exact_mut(plane.area()).enumerate() {
                let values = moved(reference, plane, channel * plane.area(), rect, *motion);
                rect.put(&values, levels, plane.width);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictive::plane::Plane;

    #[test]
    fn lost_blocks_move_as_they_did_and_no_others() {
        let plane = Plane::of(&[2, 12, 4]);
        let reference: Vec<i16> = (0..plane.len()).map(|i| (i % 4) as i16).collect();
        let setting = Setting {
            plane,
            reference: Some(&reference),
            transformed: &[false; 2],
            quantum: 1,
        };
        let mut levels = reference.clone();
        let right = Motion { dx: -1, dy: 0 };
        setting.conceal(1..3, &[right, right, Motion::NONE], &mut levels);
        for channel in levels.chunks(48) {
            for (y, line) in channel.chunks(4).enumerate() {
                let expected = match y / 4 {
                    1 => [0, 0, 1, 2],
                    _ => [0, 1, 2, 3],
                };
                assert_eq!(line, expected, "line {y}");
            }
        }
    }
}
