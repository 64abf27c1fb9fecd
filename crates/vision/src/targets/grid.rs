// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The cells of a heatmap, and bumps on it.

use crate::modelinfo::{Activation, ModelInfo};

/// A bump ends where it is lower than this.
const LEAST: f32 = 0.02;
/// Logits of what is certainly there, or certainly not, are those of a probability this far from 1 or 0.
const CERTAIN: f32 = 2e-3;

/// Cells of a model's picture.
pub(super) struct Grid {
    pub(super) rows: usize,
    pub(super) columns: usize,
    cell: [f32; 2],
}

/// A cell that a bump covers.
pub(super) struct Covered {
    /// Row by row.
    pub(super) index: usize,
    /// Its centre, in cells.
    pub(super) centre: [f32; 2],
    /// 0 to 1, and 1 in the cell of the bump's centre.
    pub(super) height: f32,
}

impl Grid {
    /// `shape`: `[1, channels, rows, columns]`.
    pub(super) fn new(info: &ModelInfo, shape: &[usize]) -> Self {
        let (rows, columns) = (shape[2], shape[3]);
        Self {
            rows,
            columns,
            cell: [
                info.input.width as f32 / columns as f32,
                info.input.height as f32 / rows as f32,
            ],
        }
    }

    pub(super) fn cells(&self) -> usize {
        self.rows * self.columns
    }

    /// A point of the picture, in cells.
    pub(super) fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x / self.cell[0], y / self.cell[1]]
    }

    /// Column and row of the cell in which a point lies; `None` outside the picture.
    pub(super) fn cell_of(&self, [x, y]: [f32; 2]) -> Option<[usize; 2]> {
        let within = |v: f32, n: usize| {
            (v >= 0.0 && v <= n as f32).then(|| (v as usize).min(n.saturating_sub(1)))
        };
        Some([within(x, self.columns)?, within(y, self.rows)?])
    }

    /// The cells whose centre lies within a box, or less than half a cell outside; corners in pixels of the picture.
    pub(super) fn cells_of(&self, low: [f32; 2], high: [f32; 2]) -> impl Iterator<Item = usize> {
        let (low, high) = (self.point(low), self.point(high));
        let span = |i: usize, n: usize| {
            let (from, to) = ((low[i] - 1.0).ceil().max(0.0), high[i].floor() + 1.0);
            from as usize..(to.max(0.0) as usize).min(n)
        };
        let (rows, columns, width) = (span(1, self.rows), span(0, self.columns), self.columns);
        rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
    }

    /// A Gaussian bump around `centre` whose widths are `sigma`, with its top in the cell `top`.
    pub(super) fn bump(
        &self,
        centre: [f32; 2],
        sigma: [f32; 2],
        top: [usize; 2],
    ) -> impl Iterator<Item = Covered> {
        let reach = sigma.map(|s| (s * (-2.0 * LEAST.ln()).sqrt()).ceil() as usize + 1);
        let span =
            |i: usize, n: usize| top[i].saturating_sub(reach[i])..(top[i] + reach[i] + 1).min(n);
        let (rows, columns, width) = (span(1, self.rows), span(0, self.columns), self.columns);
        rows.flat_map(move |row| columns.clone().map(move |column| (row, column)))
            .filter_map(move |(row, column)| {
                let middle = [column as f32 + 0.5, row as f32 + 0.5];
                let far = |i: usize| ((middle[i] - centre[i]) / sigma[i]).powi(2);
                let height = match [column, row] == top {
                    true => 1.0,
                    false => (-0.5 * (far(0) + far(1))).exp(),
                };
                (height >= LEAST).then_some(Covered {
                    index: row * width + column,
                    centre: middle,
                    height,
                })
            })
    }
}

/// What the model's output is where the probability is `p`.
pub(super) fn inverse(activation: Activation, p: f32) -> f32 {
    match activation {
        Activation::None => p,
        _ => {
            let p = p.clamp(CERTAIN, 1.0 - CERTAIN);
            (p / (1.0 - p)).ln()
        }
    }
}
