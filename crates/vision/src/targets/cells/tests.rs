// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is made of objects is read as those objects, for both heads.

use super::*;
use crate::Head;
use crate::heads::testing::{assert_close, model};
use crate::nms::iou;
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

    /// Models that have diverged say anything.
    #[test]
    fn no_answer_makes_it_panic(
        seed in proptest::collection::vec(proptest::num::f32::ANY, 1..40),
        corner in [proptest::num::f32::ANY, proptest::num::f32::ANY],
        size in [0.0f32..200.0, 0.0f32..200.0],
        class in 0u32..4,
    ) {
        for (_, cells) in both() {
            let values = seed.iter().cycle().take(cells.shape.iter().product());
            let own = Tensor::new(cells.shape.clone(), values.copied().collect()).unwrap();
            let box_ = [corner[0], corner[1], size[0], size[1]];
            let objects = [object(class, box_), object(0, [20.0, 20.0, 30.0, 30.0])];
            let target = cells.of(&objects, &cells.of_answer(&own));
            prop_assert_eq!(target.shape(), own.shape());
            prop_assert!(cells.weights(&target).to_f32_vec().iter().all(|w| *w >= 0.0 || w.is_nan()));
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
