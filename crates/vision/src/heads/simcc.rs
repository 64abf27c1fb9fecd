// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! SimCC (arXiv:2107.03332), as in RTMPose: each coordinate classified into bins finer than pixels.

use super::outputs::Outputs;
use super::person::person;
use super::select::best_class;
use crate::modelinfo::ModelInfo;
use crate::{Object, VisionError};

/// `x` is `[1, K, W × r]` and `y` `[1, K, H × r]` with r bins a pixel. The coordinate is the best bin; the keypoint's
/// score is the lower of its two best scores.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let (xs, ys) = (outputs.get("x")?, outputs.get("y")?);
    let (count, x_bins) = match xs.squeezed() {
        Some([k, n]) if k > 0 && n > 0 => (k, n),
        _ => return Err(outputs.wrong_shape(&xs, "[1, keypoints, bins]")),
    };
    let y_bins = match ys.squeezed() {
        Some([k, n]) if k == count && n > 0 => n,
        _ => return Err(outputs.wrong_shape(&ys, &format!("[1, {count}, bins]"))),
    };
    let best = |row: &[f32], side: u32| {
        best_class(row.iter().copied())
            .map(|(bin, score)| ((bin as f32 + 0.5) * side as f32 / row.len() as f32, score))
    };
    let rows = xs
        .values
        .chunks_exact(x_bins)
        .zip(ys.values.chunks_exact(y_bins));
    let keypoints = rows
        .map(
            |(x, y)| match (best(x, info.input.width), best(y, info.input.height)) {
                (Some((x, sx)), Some((y, sy))) => [x, y, sx.min(sy)],
                _ => [0.0; 3],
            },
        )
        .collect();
    Ok(person(info, keypoints).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn the_best_bins_are_the_coordinates() {
        let shapes: [(&str, &[usize]); 2] = [("simcc_x", &[1, 2, 128]), ("simcc_y", &[1, 2, 64])];
        let (info, mut out) = model("simcc", &[], [64, 32], &shapes);
        for (k, x, y) in [(0, 20, 10), (1, 100, 50)] {
            out.set("simcc_x", &[0, k, x], 0.9);
            out.set("simcc_y", &[0, k, y], 0.6);
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&objects[0].keypoints[0], &[10.25, 5.25, 0.6]);
        assert_close(&objects[0].keypoints[1], &[50.25, 25.25, 0.6]);
    }
}
