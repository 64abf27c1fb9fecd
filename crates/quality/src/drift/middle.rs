// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where objects usually are, and how many there are on each side of that: where one part of the picture is not seen any more,
//! their number there falls to nothing while all together there are hardly fewer than chance makes them.

use super::moments::Moments;

/// Means from which the middle is known, and how many are remembered at most.
const LEARNT_FROM: f64 = 4.0;
const REMEMBERED: f64 = 30.0;

/// Left, right, above, below.
pub(super) const SIDES: usize = 4;

/// Where objects usually are: the mean of their places.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Middle([Moments; 2]);

impl Middle {
    /// From how much there is of objects, and where.
    pub(super) fn learn(&mut self, objects: impl Iterator<Item = (f64, [f64; 2])>) {
        let sums = objects.fold([0.0; 3], |[n, x, y], (much, place)| {
            [n + much, x + much * place[0], y + much * place[1]]
        });
        if sums[0] > 0.0 {
            self.0[0].add(sums[1] / sums[0], REMEMBERED);
            self.0[1].add(sums[2] / sums[0], REMEMBERED);
        }
    }

    /// How much there is of objects on each side; `None` while the middle is being learnt.
    pub(super) fn sides(
        &self,
        objects: impl Iterator<Item = (f64, [f64; 2])>,
    ) -> [Option<f64>; SIDES] {
        let [x, y] = self.0;
        if x.weight < LEARNT_FROM {
            return [None; SIDES];
        }
        let mut sides = [0.0; SIDES];
        for (much, place) in objects {
            sides[usize::from(place[0] > x.mean)] += much;
            sides[2 + usize::from(place[1] > y.mean)] += much;
        }
        sides.map(Some)
    }
}
