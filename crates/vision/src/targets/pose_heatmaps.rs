// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A person's keypoints, each as the peak of a heatmap of its own.

use super::Maps;
use super::grid::Grid;
use crate::Object;

/// Width of a bump, in cells.
const SIGMA: f32 = 0.8;
/// Keypoints that score less are not there.
const SEEN: f32 = 0.3;

/// Of the largest person; one whose keypoints are not as many as the model's is none.
pub(super) fn draw(grid: &Grid, count: usize, objects: &[Object]) -> Maps {
    let cells = grid.cells();
    let mut maps = Maps {
        heatmap: vec![0.0; count * cells],
        offset: vec![0.0; 2 * count * cells],
        ..Maps::default()
    };
    let area = |o: &&Object| o.box_[2] * o.box_[3];
    let people = objects.iter().filter(|o| o.keypoints.len() == count);
    let Some(person) = people.max_by(|a, b| area(a).total_cmp(&area(b))) else {
        return maps;
    };
    for (k, &[x, y, score]) in person.keypoints.iter().enumerate() {
        let point = grid.point([x, y]);
        let Some(top) = grid.cell_of(point).filter(|_| score >= SEEN) else {
            continue;
        };
        for covered in grid.bump(point, [SIGMA; 2], top) {
            maps.heatmap[k * cells + covered.index] = covered.height;
            for (axis, (at, middle)) in point.iter().zip(covered.centre).enumerate() {
                let channel = 2 * k + axis;
                maps.offset[channel * cells + covered.index] = at - middle;
            }
        }
    }
    maps
}
