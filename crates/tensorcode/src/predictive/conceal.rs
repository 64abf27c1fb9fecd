// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What stands in for blocks that were lost: those of the frame nearest to theirs, moved on as they had moved there. (What came of
//! their own frame may be of something else. And the frame that it is predicted from is older by as much as word of it takes to reach the sender.)

use std::borrow::Cow;
use std::ops::Range;

use super::plane::{Motion, Plane};
use super::predict::moved;
use super::reference::Coded;
use super::steps::Steps;

/// A tensor of a frame nearby, as it most likely goes on.
pub(super) struct StandIn<'a> {
    plane: Plane,
    levels: Cow<'a, [i16]>,
    motions: Vec<Motion>,
}

impl<'a> StandIn<'a> {
    /// `near`: the tensor, whose blocks have moved in as many frames as the second number says. It is as many frames as the first
    /// says before the one whose blocks were lost, and that one is in such steps.
    pub(super) fn new(near: &'a Coded, steps: &Steps, (frames, spanned): (i64, u64)) -> Self {
        let motions = near.motions.iter();
        let motions = motions.map(|motion| motion.going_on(frames, spanned));
        Self {
            plane: Plane::of(&near.shape),
            levels: near.in_steps_of(steps),
            motions: motions.collect(),
        }
    }

    /// Sets the levels of rows of blocks of the whole tensor.
    pub(super) fn put_into(&self, rows: Range<usize>, levels: &mut [i16]) {
        let plane = &self.plane;
        let columns = plane.block_columns();
        for block in rows.start * columns..rows.end * columns {
            let motion = self.motions.get(block).copied().unwrap_or(Motion::NONE);
            let rect = plane.block(block / columns, block % columns);
            for (channel, levels) in levels.chunks_exact_mut(plane.area()).enumerate() {
                let base = channel * plane.area();
                let values = moved(&self.levels, plane, base, rect, motion);
                rect.put(&values, levels, plane.width);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use splitinfer_tensor::DType;

    use super::super::steps::tests::steps;
    use super::*;

    #[test]
    fn lost_blocks_move_on_and_no_others() {
        let shape = vec![2, 12, 4];
        let plane = Plane::of(&shape);
        let levels: Vec<i16> = (0..plane.len()).map(|i| 2 * (i % 4) as i16).collect();
        let right = Motion { dx: -2, dy: 0 };
        let near = Coded {
            dtype: DType::F32,
            steps: steps(1.0, &[]),
            shape,
            levels,
            motions: vec![right, right, Motion::NONE],
            contexts: None,
        };
        let mut levels = vec![9; plane.len()];
        // A frame later: half of the way. In steps twice as large.
        let stand_in = StandIn::new(&near, &steps(2.0, &[]), (1, 2));
        stand_in.put_into(1..3, &mut levels);
        for channel in levels.chunks(48) {
            for (y, line) in channel.chunks(4).enumerate() {
                let expected = match y / 4 {
                    0 => [9; 4],
                    1 => [0, 0, 1, 2],
                    _ => [0, 1, 2, 3],
                };
                assert_eq!(line, expected, "line {y}");
            }
        }
    }
}
