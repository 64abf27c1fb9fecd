// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Grids of cells, and objects in their units.

use crate::Object;
use crate::heads::levels;
use crate::modelinfo::ModelInfo;

/// One grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Of its first cell, among all.
    pub(super) first: usize,
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Pixels of the model's picture a cell.
    pub(super) cell: [f32; 2],
}

/// An object in cells of a grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) centre: [f32; 2],
    pub(super) size: [f32; 2],
}

/// YOLOX's, one for each stride.
pub(super) fn grids(info: &ModelInfo) -> Vec<Grid> {
    let mut first = 0;
    let grid = |(stride, columns, rows): (u32, usize, usize)| {
        let grid = Grid {
            first,
            columns,
            rows,
            cell: [stride as f32; 2],
        };
        first += columns * rows;
        grid
    };
    levels(info).into_iter().map(grid).collect()
}

impl Grid {
    /// Column and row of a cell.
    pub(super) fn corner(&self, cell: usize) -> [f32; 2] {
        let within = cell - self.first;
        [within % self.columns, within / self.columns].map(|c| c as f32)
    }

    pub(super) fn place(&self, object: &Object) -> Placed {
        let [x, y, w, h] = object.box_;
        let cells = |[x, y]: [f32; 2]| [x / self.cell[0], y / self.cell[1]];
        Placed {
            centre: cells([x + w / 2.0, y + h / 2.0]),
            size: cells([w, h]),
        }
    }

    /// The cells whose middle lies in an object's box.
    pub(super) fn within(&self, object: &Placed) -> impl Iterator<Item = usize> + use<> {
        let span = |i: usize, n: usize| {
            let low = object.centre[i] - object.size[i] / 2.0 - 0.5;
            let high = object.centre[i] + object.size[i] / 2.0 - 0.5;
            let from = low.ceil().max(0.0) as usize;
            from..((high.floor() + 1.0).max(0.0) as usize).min(n)
        };
        let (rows, columns) = (span(1, self.rows), span(0, self.columns));
        let (first, width) = (self.first, self.columns);
        rows.flat_map(move |row| {
            columns
                .clone()
                .map(move |column| first + row * width + column)
        })
    }
}
