// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One heatmap a keypoint, one person a picture.

use super::outputs::Outputs;
use super::person::person;
use super::select::{activate, best_class};
use crate::modelinfo::ModelInfo;
use crate::{Object, VisionError};

/// `heatmap` is `[1, K, h, w]`, before or after its sigmoid (`activation`). The keypoint lies in the cell that scores
/// highest, and that is its score. A cell is `W / w` by `H / h` pixels.
///
/// - With `offset` `[1, 2 K, h, w]`: at the cell's centre plus the offset there, in cells; channels are x of the first
///   keypoint, y of the first, x of the second, ….
/// - Without: at the cell's centre, moved by a quarter of a cell towards the higher neighbour in each axis (as in "Simple
///   Baselines for Human Pose Estimation", arXiv:1804.06208).
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let heatmap = outputs.get("heatmap")?;
    let (count, lines, columns) = match heatmap.squeezed() {
        Some([k, h, w]) if k > 0 && h > 0 && w > 0 => (k, h, w),
        _ => return Err(outputs.wrong_shape(&heatmap, "[1, keypoints, h, w]")),
    };
    let offset = outputs.find("offset")?;
    if let Some(offset) = &offset
        && offset.squeezed() != Some([2 * count, lines, columns])
    {
        let expected = format!("[1, {}, {lines}, {columns}]", 2 * count);
        return Err(outputs.wrong_shape(offset, &expected));
    }
    let cells = lines * columns;
    let cell_w = info.input.width as f32 / columns as f32;
    let cell_h = info.input.height as f32 / lines as f32;
    let keypoint = |k: usize| {
        let map = &heatmap.values[k * cells..(k + 1) * cells];
        let Some((cell, score)) = best_class(map.iter().copied()) else {
            return [0.0; 3];
        };
        let [dx, dy] = match &offset {
            Some(o) => [2 * k, 2 * k + 1].map(|c| o.values[c * cells + cell]),
            None => quarter_step(map, columns, cell),
        };
        [
            ((cell % columns) as f32 + 0.5 + dx) * cell_w,
            ((cell / columns) as f32 + 0.5 + dy) * cell_h,
            activate(info.head.activation, score),
        ]
    };
    let keypoints = (0..count).map(keypoint).collect();
    Ok(person(info, keypoints).into_iter().collect())
}

/// A quarter of a cell towards the higher neighbour in x and y; none at the edge.
fn quarter_step(map: &[f32], columns: usize, cell: usize) -> [f32; 2] {
    let step = |before: Option<&f32>, after: Option<&f32>| match (before, after) {
        (Some(b), Some(a)) if a > b => 0.25,
        (Some(b), Some(a)) if a < b => -0.25,
        _ => 0.0,
    };
    let column = cell % columns;
    let left = (column > 0).then(|| &map[cell - 1]);
    let right = (column + 1 < columns).then(|| &map[cell + 1]);
    let above = cell.checked_sub(columns).map(|i| &map[i]);
    [step(left, right), step(above, map.get(cell + columns))]
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    const SHAPES: [(&str, &[usize]); 2] = [("heatmap", &[1, 2, 8, 8]), ("offset", &[1, 4, 8, 8])];

    #[test]
    fn a_keypoint_is_its_peak_moved_by_the_offset_there() {
        let (info, mut out) = model("pose-heatmaps", &[], [64, 64], &SHAPES);
        out.set("heatmap", &[0, 0, 2, 3], 0.9);
        out.set("heatmap", &[0, 1, 6, 1], 0.5);
        out.set("offset", &[0, 0, 2, 3], 0.25); // x of the first
        out.set("offset", &[0, 1, 2, 3], -0.5); // y of the first
        out.set("offset", &[0, 2, 6, 1], 1.0); // x of the second
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].label, "person");
        assert_close(&[objects[0].score], &[0.7]);
        assert_close(&objects[0].keypoints[0], &[30.0, 16.0, 0.9]);
        assert_close(&objects[0].keypoints[1], &[20.0, 52.0, 0.5]);
        assert_close(&objects[0].box_, &[20.0, 16.0, 10.0, 36.0]);
    }

    #[test]
    fn without_offset_it_moves_towards_the_higher_neighbour() {
        let (info, mut out) = model("pose-heatmaps", &[], [64, 64], &SHAPES[..1]);
        out.set("heatmap", &[0, 0, 2, 3], 0.9);
        out.set("heatmap", &[0, 0, 2, 4], 0.8);
        out.set("heatmap", &[0, 0, 1, 3], 0.7);
        out.set("heatmap", &[0, 1, 0, 7], 0.9); // at the edge it stays
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&objects[0].keypoints[0], &[30.0, 18.0, 0.9]);
        assert_close(&objects[0].keypoints[1], &[60.0, 4.0, 0.9]);
    }

    #[test]
    fn what_cannot_be_seen_is_not_in_the_box_and_nobody_is_nobody() {
        let own = &[("keypoint-threshold", "0.3")];
        let (info, mut out) = model("pose-heatmaps", own, [64, 64], &SHAPES);
        out.set("heatmap", &[0, 0, 2, 3], 0.9);
        out.set("heatmap", &[0, 1, 6, 1], 0.2);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&objects[0].box_, &[28.0, 20.0, 0.0, 0.0]);
        let (info, out) = model("pose-heatmaps", own, [64, 64], &SHAPES);
        assert_eq!(Head::new(&info).read(&out.tensors()).unwrap(), []);
    }
}
