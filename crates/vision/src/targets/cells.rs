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

use splitinfer_tensor::Tensor;

use crate::heads::{activate, levels, sigmoid};
use crate::modelinfo::{HeadKind, ModelInfo};
use crate::nms::iou;
use crate::{Object, VisionError};

/// Numbers of a box, and of a cell before its classes.
const BOX: usize = 4;
const BEFORE_CLASSES: usize = 5;
/// An object is for the first grid on which it is no larger than so many cells, the root of its area.
const LARGEST: f32 = 5.0;
/// A cell finds an object that its box overlaps by so much (intersection over union); the best so many are to.
const FOUND: f32 = 0.5;
const FINDERS: usize = 4;
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

/// One grid.
#[derive(Clone, Copy, Debug)]
struct Grid {
    /// Of its first cell, among all.
    first: usize,
    columns: usize,
    rows: usize,
    /// Pixels of the model's picture a cell.
    cell: [f32; 2],
}

/// What a cell says.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// In pixels of the model's picture.
    corners: [f32; 4],
    objectness: f32,
    /// That, times the class of which it is the surest.
    score: f32,
}

/// An object in cells of a grid.
#[derive(Clone, Copy, Debug)]
struct Placed {
    centre: [f32; 2],
    size: [f32; 2],
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

    /// Cells that need not change where an object is: that say next to nothing inside its box, or find it.
    fn left_alone<'a>(
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
    fn said(&self, values: &[f32], cell: usize) -> Said {
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
        let classes = (BEFORE_CLASSES..self.attributes).map(number);
        Said {
            corners: [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0],
            objectness,
            score: objectness * classes.fold(0.0, f32::max),
        }
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

    /// Whether it is an object of this model's, in its picture.
    fn is_sound(&self, object: &Object) -> bool {
        let [x, y, w, h] = object.box_;
        let picture = [self.info.input.width as f32, self.info.input.height as f32];
        let centre = [x + w / 2.0, y + h / 2.0];
        let inside = (0..2).all(|i| centre[i] >= 0.0 && centre[i] < picture[i]);
        let class = object.class as usize;
        inside && w > 0.0 && h > 0.0 && class < self.attributes - BEFORE_CLASSES
    }

    fn grid_of(&self, object: &Object) -> &Grid {
        let size = (object.box_[2] * object.box_[3]).sqrt();
        let fits = |g: &&Grid| size <= LARGEST * (g.cell[0] * g.cell[1]).sqrt();
        let last = self
            .grids
            .last()
            .unwrap_or_else(|| unreachable!("there is one"));
        self.grids.iter().find(fits).unwrap_or(last)
    }

    /// The cells that are to find an object: the best of those that do, else those around its centre.
    fn finding(&self, object: &Object, said: &[Said]) -> Vec<usize> {
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
    fn around(&self, object: &Object) -> Vec<usize> {
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

    fn grid_with(&self, cell: usize) -> &Grid {
        let holds = |g: &&Grid| cell < g.first + g.columns * g.rows;
        let last = self
            .grids
            .last()
            .unwrap_or_else(|| unreachable!("there is one"));
        self.grids.iter().find(holds).unwrap_or(last)
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

/// YOLOX's, one for each stride.
fn grids(info: &ModelInfo) -> Vec<Grid> {
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
    fn corner(&self, cell: usize) -> [f32; 2] {
        let within = cell - self.first;
        [within % self.columns, within / self.columns].map(|c| c as f32)
    }

    fn place(&self, object: &Object) -> Placed {
        let [x, y, w, h] = object.box_;
        let cells = |[x, y]: [f32; 2]| [x / self.cell[0], y / self.cell[1]];
        Placed {
            centre: cells([x + w / 2.0, y + h / 2.0]),
            size: cells([w, h]),
        }
    }

    /// The cells whose middle lies in an object's box.
    fn within(&self, object: &Placed) -> impl Iterator<Item = usize> + use<> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Head;
    use crate::heads::testing::{assert_close, model};
    use proptest::prelude::*;

    /// 128 x 64 pixels: 8 x 16 cells of 8 pixels, 4 x 8 of 16, 2 x 4 of 32.
    const YOLOX: (&str, &[usize]) = ("o", &[1, 168, 8]);
    const FASTESTDET: (&str, &[usize]) = ("o", &[1, 8, 4, 8]);

    fn cells(head: &str, output: (&str, &[usize])) -> (ModelInfo, Cells) {
        let own = &[("labels", "car;van;bus")];
        let (info, _) = model(head, own, [128, 64], &[output]);
        let shapes = [(output.0.to_owned(), output.1.to_vec())];
        let cells = Cells::new(&info, &shapes).unwrap();
        (info, cells)
    }

    fn object(class: u32, box_: [f32; 4]) -> Object {
        Object {
            class,
            score: 0.6,
            box_,
            ..Object::default()
        }
    }

    /// The answer of a model that finds nothing.
    fn nothing(cells: &Cells) -> Tensor {
        let numbers = cells.shape.iter().product();
        Tensor::new(cells.shape.clone(), vec![0.0; numbers]).unwrap()
    }

    fn both() -> [(ModelInfo, Cells); 2] {
        [cells("yolox", YOLOX), cells("fastestdet", FASTESTDET)]
    }

    proptest! {
        #[test]
        fn what_is_made_of_an_object_is_read_as_that_object(
            place in [0.0f32..1.0, 0.0f32..1.0],
            size in [2.0f32..100.0, 2.0f32..60.0],
            class in 0u32..3,
        ) {
            let corner = [place[0] * 127.9 - size[0] / 2.0, place[1] * 63.9 - size[1] / 2.0];
            let [x, y] = corner;
            let object = object(class, [x, y, size[0], size[1]]);
            for (info, cells) in both() {
                let made = cells.of(std::slice::from_ref(&object), &nothing(&cells));
                let found = Head::new(&info).read(&[("o".into(), made)]).unwrap();
                prop_assert_eq!(found.len(), 1, "{:?}", found);
                prop_assert_eq!(found[0].class, class);
                prop_assert!(found[0].score > 0.99);
                for (a, b) in found[0].box_.iter().zip(object.box_) {
                    // A centre by FastestDet's left or upper border may be a little beside what its cells can say.
                    prop_assert!((a - b).abs() < 0.9, "{:?}, {:?}", found[0], object);
                }
            }
        }

        #[test]
        fn a_mirrored_target_is_that_of_the_mirrored_object(
            place in [0.0f32..1.0, 0.0f32..1.0],
            size in [2.0f32..100.0, 2.0f32..60.0],
        ) {
            let (info, cells) = cells("yolox", YOLOX);
            let corner = [place[0] * 127.9 - size[0] / 2.0, place[1] * 63.9 - size[1] / 2.0];
            let [x, y] = corner;
            let read = |target: Tensor| Head::new(&info).read(&[("o".into(), target)]).unwrap();
            let made = cells.of(&[object(1, [x, y, size[0], size[1]])], &nothing(&cells));
            let found = read(cells.mirror(&made, true).unwrap());
            let expected = [128.0 - x - size[0], y, size[0], size[1]];
            prop_assert_eq!(found.len(), 1);
            for (a, b) in found[0].box_.iter().zip(expected) {
                prop_assert!((a - b).abs() < 1e-2, "{:?}, {:?}", found[0], expected);
            }
        }
    }

    #[test]
    fn large_objects_are_for_coarse_grids() {
        let (_, cells) = cells("yolox", YOLOX);
        let found = |size: f32| {
            let middle = [64.0 - size / 2.0, 32.0 - size / 2.0, size, size];
            let made = cells.of(&[object(0, middle)], &nothing(&cells));
            let values = made.to_f32_vec();
            let there = |cell: &usize| values[cell * 8 + 4] == 1.0;
            let all: Vec<usize> = (0..168).filter(there).collect();
            (all[0], all.len())
        };
        assert_eq!(found(30.0), (3 * 16 + 7, 4));
        assert_eq!(found(50.0), (128 + 8 + 3, 4));
        assert_eq!(found(100.0), (128 + 32 + 1, 4));
    }

    #[test]
    fn an_objectness_counts_everywhere_and_a_box_where_there_is_one() {
        for (_, cells) in both() {
            let target = cells.of(&[object(2, [40.0, 16.0, 20.0, 32.0])], &nothing(&cells));
            let target_weights = cells.weights(&target).to_f32_vec();
            let count = |w: f32, of: &[usize]| {
                let places = (0..cells.cells()).flat_map(|c| of.iter().map(move |a| (c, *a)));
                places
                    .filter(|(c, a)| target_weights[cells.at(*c, *a)] == w)
                    .count()
            };
            assert_eq!(count(1.0, &[cells.objectness()]), cells.cells());
            let first = cells.first_of_box();
            let boxes = [first, first + 1, first + 2, first + 3];
            assert!(count(1.0, &[5]) > 0);
            assert_eq!(count(BOX_COUNTS, &boxes), 4 * count(1.0, &[5]));
        }
    }

    #[test]
    fn cells_that_find_an_object_already_are_to_find_it_and_wrong_boxes_go() {
        for (_, cells) in both() {
            let car = object(1, [30.0, 10.0, 40.0, 30.0]);
            // One of them is a little off, beside the centre and on whichever grid; one is wrong; one says little.
            let [finder, wrong, faint] = match cells.grids.len() {
                1 => [11, 12, 10],
                _ => [161, 162, 160],
            };
            let mut own = nothing(&cells).to_f32_vec();
            cells.write(&mut own, finder, &object(0, [32.0, 10.0, 40.0, 30.0]));
            cells.write(&mut own, wrong, &object(0, [34.0, 12.0, 10.0, 10.0]));
            own[cells.at(faint, cells.objectness())] = 0.05;
            let own = Tensor::new(cells.shape.clone(), own).unwrap();
            let target = cells.of(std::slice::from_ref(&car), &own).to_f32_vec();
            let there = |cell: usize| target[cells.at(cell, cells.objectness())];
            let all = (0..cells.cells()).filter(|c| there(*c) >= LEAST);
            assert_eq!(all.collect::<Vec<_>>(), [finder]);
            let said = cells.said(&target, finder);
            assert!(iou(said.corners, car.corners()) > 0.9, "{said:?}");
            assert_eq!(target[cells.at(finder, BEFORE_CLASSES + 1)], 1.0);
            assert_eq!(there(wrong), 0.0);
            let inside = cells
                .grids
                .iter()
                .any(|g| g.within(&g.place(&car)).any(|c| c == faint));
            assert_eq!(there(faint), if inside { 0.05 } else { 0.0 });
        }
    }

    #[test]
    fn logits_of_another_model_become_probabilities() {
        let own = &[("activation", "sigmoid")];
        let (info, _) = model("yolox", own, [64, 32], &[("o", &[1, 42, 6])]);
        let cells = Cells::new(&info, &[("o".into(), vec![1, 42, 6])]).unwrap();
        let mut answer = vec![0.0f32; 42 * 6];
        answer[..6].copy_from_slice(&[-2.0, 3.0, 1.0, 1.0, 0.0, 20.0]);
        let answer = Tensor::new(vec![1, 42, 6], answer).unwrap();
        let target = cells.of_answer(&answer).to_f32_vec();
        assert_close(&target[..6], &[-2.0, 3.0, 1.0, 1.0, 0.5, 1.0]);
    }

    #[test]
    fn objects_of_no_use_are_left_out_and_shapes_that_do_not_suit_are_named() {
        for (_, cells) in both() {
            let none = [
                object(0, [140.0, 3.0, 8.0, 8.0]),
                object(0, [3.0, 3.0, 0.0, 8.0]),
                object(0, [f32::NAN, 3.0, 8.0, 8.0]),
                object(3, [3.0, 3.0, 8.0, 8.0]),
            ];
            let made = cells.of(&none, &nothing(&cells)).to_f32_vec();
            assert!(made.iter().all(|v| *v == 0.0));
        }
        let (info, _) = model("yolox", &[], [64, 32], &[("o", &[1, 42, 6])]);
        for shapes in [vec![], vec![("o".to_owned(), vec![1, 41, 6])]] {
            let refused = Cells::new(&info, &shapes).unwrap_err().to_string();
            assert!(
                refused.contains("'o'") && refused.contains("shape"),
                "{refused}"
            );
        }
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 3, 8, 8]), ("box", &[1, 4, 8, 8])];
        let (info, _) = model("center", &[], [64, 64], &shapes);
        assert!(!Cells::are_of(&info));
    }
}
