// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Centre detectors (after "Objects as Points", arXiv:1904.07850, and FCOS, arXiv:1904.01355): a heatmap of centres a
//! class and, at each cell, the box.

use super::outputs::{Output, Outputs};
use super::select::{Detections, activate, reaches};
use crate::modelinfo::{HeadInfo, ModelInfo};
use crate::{Object, VisionError};

/// `heatmap` is `[1, C, h, w]`, before or after its sigmoid (`activation`). A cell is a peak of its class if none of its
/// eight neighbours scores higher, or not by more than `peak-ratio` allows: small objects stand in neighbouring cells, and what
/// is said of one twice goes with the boxes that overlap. A cell is `W / w` by `H / h` pixels.
///
/// - `box` `[1, 4, h, w]`: distances from the cell's centre to the left, top, right and bottom edge, in cells.
/// - `box` `[1, 2, h, w]`: width and height in cells, around the cell's corner plus `offset` `[1, 2, h, w]` (x, y, in
///   cells), or around the cell's centre where there is no `offset`.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let heatmap = outputs.get("heatmap")?;
    let (classes, lines, columns) = match heatmap.squeezed() {
        Some([c, h, w]) if c > 0 && h > 0 && w > 0 => (c, h, w),
        _ => return Err(outputs.wrong_shape(&heatmap, "[1, classes, h, w]")),
    };
    let size = outputs.get("box")?;
    let distances = match size.squeezed() {
        Some([c @ (2 | 4), h, w]) if (h, w) == (lines, columns) => c == 4,
        _ => {
            let expected = format!("[1, 4, {lines}, {columns}] or [1, 2, {lines}, {columns}]");
            return Err(outputs.wrong_shape(&size, &expected));
        }
    };
    let offset = outputs.find("offset")?;
    if let Some(offset) = &offset
        && offset.squeezed() != Some([2, lines, columns])
    {
        return Err(outputs.wrong_shape(offset, &format!("[1, 2, {lines}, {columns}]")));
    }

    let cells = lines * columns;
    let cell_w = info.input.width as f32 / columns as f32;
    let cell_h = info.input.height as f32 / lines as f32;
    let at = |o: &Output<'_>, channel: usize, cell: usize| o.values[channel * cells + cell];
    let mut found = Detections::new(info);
    for class in 0..classes {
        let scores = &heatmap.values[class * cells..(class + 1) * cells];
        for cell in 0..cells {
            let score = activate(info.head.activation, scores[cell]);
            let peak = || is_peak(&info.head, scores, columns, cell);
            if !reaches(score, info.head.score_threshold) || !peak() {
                continue;
            }
            let column = (cell % columns) as f32;
            let line = (cell / columns) as f32;
            let corners = if distances {
                let [left, top, right, bottom] = [0, 1, 2, 3].map(|c| at(&size, c, cell));
                let (x, y) = (column + 0.5, line + 0.5);
                [x - left, y - top, x + right, y + bottom]
            } else {
                let [dx, dy] = match &offset {
                    Some(offset) => [at(offset, 0, cell), at(offset, 1, cell)],
                    None => [0.5, 0.5],
                };
                let (x, y) = (column + dx, line + dy);
                let (w, h) = (at(&size, 0, cell), at(&size, 1, cell));
                [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
            };
            let [x0, y0, x1, y1] = corners;
            let corners = [x0 * cell_w, y0 * cell_h, x1 * cell_w, y1 * cell_h];
            found.push(class, score, corners, cell);
        }
    }
    Ok(found.objects())
}

/// Whether the cell scores at least `peak-ratio` of what each neighbour does.
fn is_peak(head: &HeadInfo, scores: &[f32], columns: usize, cell: usize) -> bool {
    let (line, column) = (cell / columns, cell % columns);
    let lines = scores.len() / columns;
    let near = |i: usize, n: usize| i.saturating_sub(1)..(i + 2).min(n);
    let score = |cell: usize| activate(head.activation, scores[cell]);
    let own = score(cell);
    near(line, lines).all(|l| {
        near(column, columns).all(|c| {
            let neighbour = score(l * columns + c);
            head.peak_ratio * neighbour <= own || neighbour.is_nan()
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn a_peak_is_a_box_by_its_four_distances() {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 2, 8, 16]), ("box", &[1, 4, 8, 16])];
        let own = &[("labels", "car;bus")];
        let (info, mut out) = model("center", own, [128, 64], &shapes);
        out.set("heatmap", &[0, 1, 3, 5], 0.9);
        out.set("heatmap", &[0, 1, 3, 6], 0.8); // a neighbour that is no peak
        for (c, distance) in [1.0, 0.5, 2.0, 1.5].into_iter().enumerate() {
            out.set("box", &[0, c, 3, 5], distance);
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].label, "bus");
        assert_close(&[objects[0].score], &[0.9]);
        // Cells of 8 x 8 pixels; the centre of cell (5, 3) is (44, 28).
        assert_close(&objects[0].box_, &[36.0, 24.0, 24.0, 16.0]);
    }

    /// Objects found where three cells in a line show something, each with the same box about itself or, with `once`, the second
    /// with that of the first.
    fn in_a_line(own: &'static [(&str, &str)], once: bool) -> usize {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 1, 8, 16]), ("box", &[1, 4, 8, 16])];
        let (info, mut out) = model("center", own, [128, 64], &shapes);
        for (column, score) in [(5, 0.9), (6, 0.75), (7, 0.5)] {
            out.set("heatmap", &[0, 0, 3, column], score);
            (0..4).for_each(|c| out.set("box", &[0, c, 3, column], 0.5));
        }
        if once {
            out.set("box", &[0, 0, 3, 6], 1.5);
            out.set("box", &[0, 2, 3, 6], -0.5);
        }
        Head::new(&info).read(&out.tensors()).unwrap().len()
    }

    #[test]
    fn neighbours_are_two_where_they_are_nearly_peaks_and_have_boxes_of_their_own() {
        assert_eq!(in_a_line(&[], false), 1);
        assert_eq!(in_a_line(&[("peak-ratio", "0.9")], false), 1);
        assert_eq!(in_a_line(&[("peak-ratio", "0.8")], false), 2);
        assert_eq!(in_a_line(&[("peak-ratio", "0.8")], true), 1);
        assert_eq!(in_a_line(&[("peak-ratio", "0")], false), 3);
    }

    #[test]
    fn the_sigmoid_is_applied_where_the_graph_lacks_it() {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 1, 4, 4]), ("box", &[1, 4, 4, 4])];
        let (info, mut out) = model("center", &[("activation", "sigmoid")], [64, 64], &shapes);
        for i in 0..16 {
            out.set("heatmap", &[0, 0, i / 4, i % 4], -9.0);
        }
        out.set("heatmap", &[0, 0, 0, 0], 2.0);
        (0..4).for_each(|c| out.set("box", &[0, c, 0, 0], 0.5));
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_close(&[objects[0].score], &[0.880_797]);
        assert_close(&objects[0].box_, &[0.0, 0.0, 16.0, 16.0]);
    }

    #[test]
    fn sizes_and_offsets_as_in_objects_as_points() {
        let shapes: [(&str, &[usize]); 3] = [
            ("hm", &[1, 1, 4, 4]),
            ("wh", &[1, 2, 4, 4]),
            ("reg", &[1, 2, 4, 4]),
        ];
        let (info, mut out) = model("center", &[], [16, 16], &shapes);
        out.set("hm", &[0, 0, 1, 2], 0.7);
        out.set("wh", &[0, 0, 1, 2], 2.0);
        out.set("wh", &[0, 1, 1, 2], 1.0);
        out.set("reg", &[0, 0, 1, 2], 0.25);
        out.set("reg", &[0, 1, 1, 2], 0.75);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        // Centre (2.25, 1.75) cells of 4 pixels.
        assert_close(&objects[0].box_, &[5.0, 5.0, 8.0, 4.0]);
    }
}
