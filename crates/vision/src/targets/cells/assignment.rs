// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which cells are to find an object, and which may stay as they are.

use super::grid::{Grid, Placed};
use super::{BEFORE_CLASSES, BESIDE, Cells, LEAST};
use crate::Object;
use crate::heads::sigmoid;
use crate::modelinfo::HeadKind;
use crate::nms::iou;

/// An object is for the first grid on which it is no larger than so many cells, the root of its area.
const LARGEST: f32 = 5.0;
/// A cell finds an object that its box overlaps by so much (intersection over union); the best so many are to.
const FOUND: f32 = 0.5;
const FINDERS: usize = 4;
/// What a cell says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// In pixels of the model's picture.
    pub(super) corners: [f32; 4],
    objectness: f32,
    /// As the head has it.
    score: f32,
}

impl Cells {
    /// Cells that need not change where an object is: that say next to nothing inside its box, or find it.
    pub(super) fn left_alone<'a>(
        &self,
        object: &Object,
        objects: &'a [&Object],
        said: &'a [Said],
    ) -> impl Iterator<Item = usize> + use<'a> {
        let threshold = self.info.head.score_threshold;
        let corners = object.corners();
        let mut cells: Vec<usize> = self
            .grids
            .iter()
            .flat_map(|g| g.within(&g.place(object)))
            .filter(|cell| said[*cell].score < threshold)
            .collect();
        let finds = |s: &Said| s.objectness >= LEAST && iou(s.corners, corners) >= FOUND;
        cells.extend((0..said.len()).filter(|cell| finds(&said[*cell])));
        // What is said of one object may be a wrong box of another.
        cells.into_iter().filter(move |cell| {
            let s = &said[*cell];
            s.score < threshold || objects.iter().any(|o| iou(s.corners, o.corners()) >= FOUND)
        })
    }

    /// What a cell of an answer says.
    pub(super) fn said(&self, values: &[f32], cell: usize) -> Said {
        let number = |attribute: usize| values[self.at(cell, attribute)];
        let grid = self.grid_with(cell);
        let [column, row] = grid.corner(cell);
        let first = self.first_of_box();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| number(first + i));
        let [x, y, w, h] = match self.info.head.kind {
            HeadKind::FastestDet => [
                column + a.tanh(),
                row + b.tanh(),
                sigmoid(c) * grid.columns as f32,
                sigmoid(d) * grid.rows as f32,
            ],
            _ => [column + a, row + b, c.exp(), d.exp()],
        };
        let [across, down] = grid.cell;
        let (x, w, y, h) = (x * across, w * across, y * down, h * down);
        let objectness = number(self.objectness());
        let class = (BEFORE_CLASSES..self.attributes)
            .map(number)
            .fold(0.0, f32::max);
        let [a, b] = match self.info.head.kind {
            HeadKind::FastestDet => self.info.head.score_power,
            _ => [1.0; 2],
        };
        Said {
            corners: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0],
            objectness,
            score: objectness.powf(a) * class.powf(b),
        }
    }

    /// Whether it is an object of this model's, in its picture.
    pub(super) fn is_sound(&self, object: &Object) -> bool {
        let [x, y, w, h] = object.box_;
        let picture = [self.info.input.width as f32, self.info.input.height as f32];
        let centre = [x + w / 2.0, y + h / 2.0];
        let inside = (0..2).all(|i| centre[i] >= 0.0 && centre[i] < picture[i]);
        let class = object.class as usize;
        inside && w > 0.0 && h > 0.0 && class < self.attributes - BEFORE_CLASSES
    }

    pub(super) fn grid_of(&self, object: &Object) -> &Grid {
        let size = (object.box_[2] * object.box_[3]).sqrt();
        let fits = |g: &&Grid| size <= LARGEST * (g.cell[0] * g.cell[1]).sqrt();
        let last = self
            .grids
            .last()
            .unwrap_or_else(|| unreachable!("there is one"));
        self.grids.iter().find(fits).unwrap_or(last)
    }

    /// The cells that are to find an object: the best of those that do, else those around its centre.
    pub(super) fn finding(&self, object: &Object, said: &[Said]) -> Vec<usize> {
        let corners = object.corners();
        let good = |cell: usize| {
            let s = &said[cell];
            let overlap = iou(s.corners, corners);
            (s.objectness >= LEAST && overlap >= FOUND).then_some((s.objectness * overlap, cell))
        };
        let mut found: Vec<(f32, usize)> = (0..said.len()).filter_map(good).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        match found.is_empty() {
            true => self.around(object),
            false => found
                .into_iter()
                .take(FINDERS)
                .map(|(_, cell)| cell)
                .collect(),
        }
    }

    /// The cells around an object's centre, on the grid for its size.
    pub(super) fn around(&self, object: &Object) -> Vec<usize> {
        let of_corners = self.info.head.kind == HeadKind::FastestDet;
        let grid = self.grid_of(object);
        let Placed { centre, size } = grid.place(object);
        let [x, y] = centre;
        let own = [x as usize, y as usize];
        let near = |column: usize, row: usize| match of_corners {
            true => (x - column as f32).abs() < BESIDE && (y - row as f32).abs() < BESIDE,
            false => {
                let off = [x - column as f32 - 0.5, y - row as f32 - 0.5];
                (0..2).all(|i| off[i].abs() <= f32::min(1.0, size[i] / 2.0))
            }
        };
        let span = |at: usize, n: usize| at.saturating_sub(1)..(at + 2).min(n);
        let cells = span(own[1], grid.rows)
            .flat_map(|row| span(own[0], grid.columns).map(move |column| (column, row)));
        cells
            .filter(|(column, row)| [*column, *row] == own || near(*column, *row))
            .map(|(column, row)| grid.first + row * grid.columns + column)
            .collect()
    }

    pub(super) fn grid_with(&self, cell: usize) -> &Grid {
        let holds = |g: &&Grid| cell < g.first + g.columns * g.rows;
        let last = self
            .grids
            .last()
            .unwrap_or_else(|| unreachable!("there is one"));
        self.grids.iter().find(holds).unwrap_or(last)
    }
}
