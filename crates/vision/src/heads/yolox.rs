// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! YOLOX (arXiv:2107.08430): `[1, N, 5 + C]`, one row a cell of each level, not yet put on the grid.

use super::outputs::Outputs;
use super::select::{Detections, activate, best_class, reaches};
use crate::modelinfo::ModelInfo;
use crate::{Object, VisionError};

/// Rows are x, y, w, h, objectness, classes; x = (tx + column) × stride, w = exp(tw) × stride; score = objectness ×
/// class. Levels follow one another in the order of `strides`, cells row by row.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    let levels = levels(info);
    let cells: usize = levels.iter().map(|(_, w, h)| w * h).sum();
    let attributes = match output.squeezed() {
        Some([n, a]) if n == cells && a >= 6 => a,
        _ => {
            let expected = format!(
                "[1, {cells}, 5 + classes]: one row a cell of strides {:?} on {}x{}",
                info.head.strides, info.input.width, info.input.height
            );
            return Err(outputs.wrong_shape(&output, &expected));
        }
    };
    let act = |x: f32| activate(info.head.activation, x);
    let mut found = Detections::new(info);
    let mut rows = output.values.chunks_exact(attributes);
    for (stride, columns, lines) in levels {
        for (cell, row) in rows.by_ref().take(columns * lines).enumerate() {
            let objectness = act(row[4]);
            // No class scores above 1, so most cells are done with here.
            if !reaches(objectness, info.head.score_threshold) {
                continue;
            }
            let Some((class, score)) = best_class(row[5..].iter().map(|x| act(*x))) else {
                continue;
            };
            let stride = stride as f32;
            let x = (row[0] + (cell % columns) as f32) * stride;
            let y = (row[1] + (cell / columns) as f32) * stride;
            let centred = [x, y, row[2].exp() * stride, row[3].exp() * stride];
            found.push_centred(class, objectness * score, centred, 0);
        }
    }
    Ok(found.objects())
}

/// Stride, columns and lines of each level.
pub(crate) fn levels(info: &ModelInfo) -> Vec<(u32, usize, usize)> {
    let cells = |side: u32, stride: u32| (side / stride) as usize;
    info.head
        .strides
        .iter()
        .map(|s| {
            (
                *s,
                cells(info.input.width, *s),
                cells(info.input.height, *s),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn a_row_is_put_on_its_cell_and_level() {
        // 64 x 32: 8 x 4 cells of 8 pixels, 4 x 2 of 16, 2 x 1 of 32.
        let (info, mut out) = model("yolox", &[], [64, 32], &[("o", &[1, 42, 8])]);
        // The second level's second row, third column; e^ln 2 = 2 cells wide.
        let width = 2f32.ln();
        out.row(
            "o",
            &[0, 32 + 4 + 2],
            &[0.5, 0.25, width, 0.0, 0.9, 0.1, 0.8, 0.2],
        );
        // Too weak: 0.4 x 0.5.
        out.row("o", &[0, 3], &[0.5, 0.5, 0.0, 0.0, 0.4, 0.5, 0.0, 0.0]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(
            (objects[0].class, objects[0].label.as_str()),
            (1, "class 1")
        );
        assert_close(&[objects[0].score], &[0.72]);
        assert_close(&objects[0].box_, &[40.0 - 16.0, 20.0 - 8.0, 32.0, 16.0]);
    }

    #[test]
    fn classes_are_renumbered_and_chosen() {
        let own = &[("remap", "0:2"), ("classes", "2"), ("labels", "a;b;car")];
        let (info, mut out) = model("yolox", own, [64, 32], &[("o", &[1, 42, 8])]);
        out.row("o", &[0, 0], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        out.row("o", &[0, 20], &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].label, "car");
    }
}
