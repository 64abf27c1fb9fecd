// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! FastestDet: `[1, 5 + C, h, w]`, one grid, objectness and classes already activated.

use super::outputs::Outputs;
use super::select::{Detections, best_class, reaches, sigmoid};
use crate::modelinfo::ModelInfo;
use crate::{Object, VisionError};

/// Channels are objectness, tx, ty, tw, th, classes; x = (column + tanh tx) / w, width = sigmoid tw, as shares of the
/// picture; score = objectness^a × class^b with `score-power=a,b`.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    let (channels, lines, columns) = match output.squeezed() {
        Some([c, h, w]) if c >= 6 && h > 0 && w > 0 => (c, h, w),
        _ => return Err(outputs.wrong_shape(&output, "[1, 5 + classes, h, w]")),
    };
    let cells = lines * columns;
    let at = |channel: usize, cell: usize| output.values[channel * cells + cell];
    let [a, b] = info.head.score_power;
    let (width, height) = (info.input.width as f32, info.input.height as f32);
    let mut found = Detections::new(info);
    for cell in 0..cells {
        let objectness = at(0, cell).powf(a);
        if !reaches(objectness, info.head.score_threshold) {
            continue;
        }
        let Some((class, score)) = best_class((5..channels).map(|c| at(c, cell))) else {
            continue;
        };
        let x = ((cell % columns) as f32 + at(1, cell).tanh()) / columns as f32;
        let y = ((cell / columns) as f32 + at(2, cell).tanh()) / lines as f32;
        let centred = [
            x * width,
            y * height,
            sigmoid(at(3, cell)) * width,
            sigmoid(at(4, cell)) * height,
        ];
        found.push_centred(class, objectness * score.powf(b), centred, 0);
    }
    Ok(found.objects())
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn a_cell_is_a_box_in_shares_of_the_picture() {
        let (info, mut out) = model("fastestdet", &[], [64, 32], &[("o", &[1, 7, 2, 4])]);
        let cell = [
            0.9,
            0.5f32.atanh(),
            0.0,
            0.0,
            0.25f32.ln() - 0.75f32.ln(),
            0.1,
            0.8,
        ];
        for (channel, value) in cell.into_iter().enumerate() {
            out.set("o", &[0, channel, 1, 2], value);
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].class, 1);
        assert_close(&[objects[0].score], &[0.9f32.powf(0.6) * 0.8f32.powf(0.4)]);
        // Centre (2.5 / 4, 1 / 2), half the width, a quarter of the height.
        assert_close(&objects[0].box_, &[40.0 - 16.0, 16.0 - 4.0, 32.0, 8.0]);
    }
}
