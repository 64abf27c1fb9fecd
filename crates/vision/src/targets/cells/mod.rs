// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Detectors that answer for each cell of one grid or of several: heads `yolox` and `fastestdet`. What they should have answered
//! where certain objects are, and how much each number of an answer counts.
//!
//! What the model itself says of the picture is where that begins: it was trained to find an object in cells of its own choice
//! (YOLOX assigns them by what it answers, SimOTA, arXiv:2103.14259), so those that find an object already are the ones to find it
//! better, and other cells in its box stay as they are. Where none does, those around its centre are to, on the grid for its size.

mod assignment;
mod grid;

use splitinfer_tensor::Tensor;

use crate::heads::activate;
use crate::modelinfo::{HeadKind, ModelInfo};
use crate::{Object, VisionError};
use assignment::Said;
use grid::{Grid, Placed, grids};

/// Numbers of a box, and of a cell before its classes.
const BOX: usize = 4;
const BEFORE_CLASSES: usize = 5;
/// Objectness below which boxes and classes mean nothing.
const LEAST: f32 = 0.1;
/// What a number of a box counts, beside an objectness: half the square of a distance in cells is little.
const BOX_COUNTS: f32 = 5.0;
/// FastestDet: a centre is less than this beside a cell's corner, and a side this share of the picture's at least, and at most.
const BESIDE: f32 = 0.95;
const SMALLEST: f32 = 2e-3;

/// Reads and makes the answers of one model.
#[derive(Clone, Debug)]
pub struct Cells {
    info: ModelInfo,
    output: String,
    shape: Vec<usize>,
    /// Numbers a cell.
    attributes: usize,
    grids: Vec<Grid>,
}

impl Cells {
    /// Whether a head is one of those that answer so.
    pub fn are_of(info: &ModelInfo) -> bool {
        matches!(info.head.kind, HeadKind::Yolox | HeadKind::FastestDet)
    }

    /// `shapes`: of the model's outputs, by name.
    ///
    /// # Errors
    /// When the head is another, or the output is missing or has a shape that the head does not read.
    pub fn new(info: &ModelInfo, shapes: &[(String, Vec<usize>)]) -> Result<Self, VisionError> {
        let head = info.head.kind.name();
        let name = info.head.roles.get("output").cloned().unwrap_or_default();
        let wrong = |problem: String| VisionError::Output {
            head,
            tensor: name.clone(),
            problem,
        };
        let shape = shapes.iter().find(|(n, _)| *n == name).map(|(_, s)| s);
        let shape = shape.ok_or_else(|| wrong("its shape is not known".into()))?;
        let (width, height) = (info.input.width as f32, info.input.height as f32);
        let (attributes, grids) = match (info.head.kind, &shape[..]) {
            (HeadKind::Yolox, [1, cells, attributes]) => {
                let grids = grids(info);
                let all: usize = grids.iter().map(|g| g.columns * g.rows).sum();
                (*attributes, (all == *cells).then_some(grids))
            }
            (HeadKind::FastestDet, [1, attributes, rows, columns]) => {
                let grid = Grid {
                    first: 0,
                    columns: *columns,
                    rows: *rows,
                    cell: [width / *columns as f32, height / *rows as f32],
                };
                (*attributes, (rows * columns > 0).then(|| vec![grid]))
            }
            (HeadKind::Yolox | HeadKind::FastestDet, _) => (0, None),
            (kind, _) => {
                return Err(VisionError::Targets {
                    head: kind.name(),
                    known: "yolox and fastestdet",
                });
            }
        };
        let grids = grids.filter(|_| attributes > BEFORE_CLASSES);
        Ok(Self {
            info: info.clone(),
            output: name.clone(),
            shape: shape.clone(),
            attributes,
            grids: grids.ok_or_else(|| wrong(format!("its shape is {shape:?}")))?,
        })
    }

    /// Along which axis of the output the numbers of a cell lie, and the first of its box.
    pub fn place_of_boxes(info: &ModelInfo) -> (usize, usize) {
        match info.head.kind {
            HeadKind::FastestDet => (1, 1),
            _ => (2, 0),
        }
    }

    /// Name of the output.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Shape of the output.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where a number of a cell lies in the output.
    fn at(&self, cell: usize, attribute: usize) -> usize {
        match self.info.head.kind {
            HeadKind::FastestDet => attribute * self.cells() + cell,
            _ => cell * self.attributes + attribute,
        }
    }

    /// The first number of a box, and the objectness.
    fn first_of_box(&self) -> usize {
        Self::place_of_boxes(&self.info).1
    }

    fn objectness(&self) -> usize {
        match self.first_of_box() {
            0 => BOX,
            _ => 0,
        }
    }

    fn cells(&self) -> usize {
        self.grids.iter().map(|g| g.columns * g.rows).sum()
    }

    /// What the model should have answered, for objects in pixels of its picture, with classes as it counts its labels, where its
    /// `own` answer is this one ([`of_answer`](Self::of_answer)). Objectness and classes are probabilities.
    pub fn of(&self, objects: &[Object], own: &Tensor) -> Tensor {
        let own = own.to_f32_vec();
        let mut objects: Vec<&Object> = objects.iter().filter(|o| self.is_sound(o)).collect();
        // Of two that claim a cell the smaller one has it.
        objects.sort_by(|a, b| (b.box_[2] * b.box_[3]).total_cmp(&(a.box_[2] * a.box_[3])));
        let said: Vec<Said> = (0..self.cells())
            .map(|cell| self.said(&own, cell))
            .collect();
        let mut values = vec![0.0; own.len()];
        for object in &objects {
            for cell in self.left_alone(object, &objects, &said) {
                for attribute in 0..self.attributes {
                    let at = self.at(cell, attribute);
                    values[at] = own[at];
                }
            }
        }
        for object in &objects {
            for cell in self.finding(object, &said) {
                self.write(&mut values, cell, object);
            }
        }
        self.tensor(values)
    }

    /// What another model of the same output has answered, as what is to be learnt: probabilities.
    pub fn of_answer(&self, answer: &Tensor) -> Tensor {
        let mut values = answer.to_f32_vec();
        let boxes = self.first_of_box()..self.first_of_box() + BOX;
        for cell in 0..self.cells() {
            for attribute in (0..self.attributes).filter(|a| !boxes.contains(a)) {
                let value = &mut values[self.at(cell, attribute)];
                *value = activate(self.info.head.activation, *value);
            }
        }
        self.tensor(values)
    }

    /// How much each number of a target counts: an objectness everywhere, a box and classes by it.
    pub fn weights(&self, target: &Tensor) -> Tensor {
        let target = target.to_f32_vec();
        let mut weights = vec![0.0; target.len()];
        let boxes = self.first_of_box()..self.first_of_box() + BOX;
        for cell in 0..self.cells() {
            let objectness = target[self.at(cell, self.objectness())];
            for attribute in 0..self.attributes {
                weights[self.at(cell, attribute)] = match attribute {
                    a if a == self.objectness() => 1.0,
                    _ if objectness < LEAST => 0.0,
                    a if boxes.contains(&a) => BOX_COUNTS * objectness,
                    _ => objectness,
                };
            }
        }
        self.tensor(weights)
    }

    /// Whether what a mirrored picture shows can be said by mirrored cells: not where they count from their corners.
    pub fn can_mirror(&self) -> bool {
        self.info.head.kind == HeadKind::Yolox
    }

    /// What the mirror image of the picture makes of a target (`values`) or of weights; `None` where that cannot be
    /// said ([`can_mirror`](Self::can_mirror)), or the tensor is another.
    pub fn mirror(&self, tensor: &Tensor, values: bool) -> Option<Tensor> {
        if !self.can_mirror() || tensor.shape() != self.shape {
            return None;
        }
        let from = tensor.to_f32_vec();
        let mut mirrored = Vec::with_capacity(from.len());
        for grid in &self.grids {
            for cell in 0..grid.columns * grid.rows {
                let (row, column) = (cell / grid.columns, cell % grid.columns);
                let other = grid.first + row * grid.columns + grid.columns - 1 - column;
                let begin = other * self.attributes;
                let cell = mirrored.len();
                mirrored.extend_from_slice(from.get(begin..begin + self.attributes)?);
                if values {
                    // From the cell's left side.
                    mirrored[cell] = 1.0 - mirrored[cell];
                }
            }
        }
        Some(self.tensor(mirrored))
    }

    fn tensor(&self, values: Vec<f32>) -> Tensor {
        let tensor = Tensor::new(self.shape.clone(), values);
        tensor.unwrap_or_else(|_| unreachable!("as many as the shape says"))
    }

    fn write(&self, values: &mut [f32], cell: usize, object: &Object) {
        let grid = self.grid_with(cell);
        let (corner, Placed { centre, size }) = (grid.corner(cell), grid.place(object));
        let cells = [grid.columns as f32, grid.rows as f32];
        let place = |i: usize| centre[i] - corner[i];
        let box_ = match self.info.head.kind {
            HeadKind::FastestDet => {
                let share = |i: usize| (size[i] / cells[i]).clamp(SMALLEST, 1.0 - SMALLEST);
                let side = |i: usize| (share(i) / (1.0 - share(i))).ln();
                let beside = |i: usize| place(i).clamp(-BESIDE, BESIDE).atanh();
                [beside(0), beside(1), side(0), side(1)]
            }
            _ => [place(0), place(1), size[0].ln(), size[1].ln()],
        };
        let mut set = |attribute: usize, value: f32| values[self.at(cell, attribute)] = value;
        for (i, value) in box_.into_iter().enumerate() {
            set(self.first_of_box() + i, value);
        }
        set(self.objectness(), 1.0);
        for class in 0..self.attributes - BEFORE_CLASSES {
            set(
                BEFORE_CLASSES + class,
                f32::from(class == object.class as usize),
            );
        }
    }
}

#[cfg(test)]
mod tests;
