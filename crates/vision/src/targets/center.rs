// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Boxes as peaks of a heatmap for each class, as in "Objects as Points" (arXiv:1904.07850).

use super::Maps;
use super::grid::Grid;
use crate::Object;
use crate::modelinfo::ModelInfo;

/// A bump is as wide as a seventh of the box, and not less than half a cell.
const WIDTH: f32 = 1.0 / 7.0;
const NARROWEST: f32 = 0.5;
/// Distances to edges are not less than this, in cells: of cells beside the box, too.
const SHORTEST: f32 = 0.05;

pub(super) fn draw(info: &ModelInfo, grid: &Grid, classes: usize, objects: &[Object]) -> Maps {
    let cells = grid.cells();
    let mut maps = Maps {
        heatmap: vec![0.0; classes * cells],
        edges: vec![0.0; 4 * cells],
        size: vec![0.0; 2 * cells],
        offset: vec![0.0; 2 * cells],
    };
    // Which object a cell belongs to: the one whose bump is the highest there.
    let mut highest = vec![0.0; cells];
    for object in objects {
        let class = (object.class + info.head.first_class) as usize;
        let [x0, y0, x1, y1] = object.corners();
        let ([x0, y0], [x1, y1]) = (grid.point([x0, y0]), grid.point([x1, y1]));
        let (size, centre) = ([x1 - x0, y1 - y0], [(x0 + x1) / 2.0, (y0 + y1) / 2.0]);
        let sound = class < classes && size.iter().all(|s| *s > 0.0);
        let Some(top) = grid.cell_of(centre).filter(|_| sound) else {
            continue;
        };
        let around = [top[0] as f32 + 0.5, top[1] as f32 + 0.5];
        let sigma = size.map(|s| (s * WIDTH).max(NARROWEST));
        for covered in grid.bump(around, sigma, top) {
            let i = covered.index;
            let heat = &mut maps.heatmap[class * cells + i];
            *heat = heat.max(covered.height);
            if covered.height <= highest[i] {
                continue;
            }
            highest[i] = covered.height;
            let [x, y] = covered.centre;
            let edges = [x - x0, y - y0, x1 - x, y1 - y];
            for (channel, edge) in edges.into_iter().enumerate() {
                maps.edges[channel * cells + i] = edge.max(SHORTEST);
            }
            for axis in 0..2 {
                maps.size[axis * cells + i] = size[axis];
                // From the cell's corner.
                maps.offset[axis * cells + i] = centre[axis] - (covered.centre[axis] - 0.5);
            }
        }
    }
    maps
}
