// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Keypoints of one person straight from the model, as MoveNet gives them.

use super::outputs::Outputs;
use super::person::person;
use crate::modelinfo::{AxisOrder, Coordinates, ModelInfo};
use crate::{Object, VisionError};

/// `[1, 1, K, 3]` (or fewer leading ones): two coordinates in `axis-order` and `coordinates`, and the score.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    match output.squeezed() {
        Some([k, 3]) if k > 0 => {}
        _ => return Err(outputs.wrong_shape(&output, "[1, 1, keypoints, 3]")),
    }
    let (width, height) = match info.head.coordinates {
        Coordinates::Relative => (info.input.width as f32, info.input.height as f32),
        Coordinates::Pixels => (1.0, 1.0),
    };
    let keypoints = output
        .values
        .as_chunks::<3>()
        .0
        .iter()
        .map(|[a, b, score]| match info.head.axis_order {
            AxisOrder::Xy => [a * width, b * height, *score],
            AxisOrder::Yx => [b * width, a * height, *score],
        })
        .collect();
    Ok(person(info, keypoints).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn movenet_gives_y_x_score_in_shares() {
        let (info, mut out) = model("keypoints", &[], [200, 100], &[("o", &[1, 1, 2, 3])]);
        out.row("o", &[0, 0, 0], &[0.5, 0.25, 0.9]);
        out.row("o", &[0, 0, 1], &[0.1, 0.75, 0.7]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&objects[0].keypoints[0], &[50.0, 50.0, 0.9]);
        assert_close(&objects[0].keypoints[1], &[150.0, 10.0, 0.7]);
        assert_close(&objects[0].box_, &[50.0, 10.0, 100.0, 40.0]);
        assert_close(&[objects[0].score], &[0.8]);
    }

    #[test]
    fn other_orders_and_units_can_be_said() {
        let own = &[("axis-order", "xy"), ("coordinates", "pixels")];
        let (info, mut out) = model("keypoints", own, [200, 100], &[("o", &[1, 2, 3])]);
        out.row("o", &[0, 0], &[50.0, 60.0, 0.9]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&objects[0].keypoints[0], &[50.0, 60.0, 0.9]);
    }
}
