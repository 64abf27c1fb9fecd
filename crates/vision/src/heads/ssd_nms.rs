// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! SSD with NMS in the graph: boxes `[1, N, 4]`, classes `[1, N]`, scores `[1, N]` and, optionally, their count `[1]`.

use super::outputs::{Output, Outputs};
use super::select::Detections;
use crate::modelinfo::{AxisOrder, Coordinates, ModelInfo};
use crate::{Object, VisionError};

/// Boxes are two corners, in `axis-order` (yx: ymin, xmin, ymax, xmax) and `coordinates`; `first-class` is what the
/// model calls the first label.
///
/// The boxes have been through NMS, but pass ours as well: at the same threshold it changes nothing.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let boxes = outputs.get("boxes")?;
    let Some([n, 4]) = boxes.squeezed() else {
        return Err(outputs.wrong_shape(&boxes, "[1, N, 4]"));
    };
    let row = |role: &str| -> Result<Output<'_>, VisionError> {
        let output = outputs.get(role)?;
        match output.values.len() == n {
            true => Ok(output),
            false => Err(outputs.wrong_shape(&output, &format!("[1, {n}], as there are boxes"))),
        }
    };
    let (classes, scores) = (row("classes")?, row("scores")?);
    let count = match outputs.find("count")? {
        // Casting clamps what is negative, too large or not a number.
        Some(count) => (count.values.first().copied().unwrap_or(0.0) as usize).min(n),
        None => n,
    };
    let (width, height) = match info.head.coordinates {
        Coordinates::Relative => (info.input.width as f32, info.input.height as f32),
        Coordinates::Pixels => (1.0, 1.0),
    };
    let mut found = Detections::new(info);
    for i in 0..count {
        let b = &boxes.values[4 * i..4 * i + 4];
        let [x0, y0, x1, y1] = match info.head.axis_order {
            AxisOrder::Xy => [b[0], b[1], b[2], b[3]],
            AxisOrder::Yx => [b[1], b[0], b[3], b[2]],
        };
        let class = classes.values[i] - info.head.first_class as f32;
        if class >= 0.0 {
            let corners = [x0 * width, y0 * height, x1 * width, y1 * height];
            found.push(class as usize, scores.values[i], corners, i);
        }
    }
    Ok(found.objects())
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    const OUTPUTS: [(&str, &[usize]); 4] = [
        ("detection_boxes", &[1, 3, 4]),
        ("detection_classes", &[1, 3]),
        ("detection_scores", &[1, 3]),
        ("num_detections", &[1]),
    ];

    #[test]
    fn boxes_are_shares_in_yx_order_and_only_so_many_count() {
        let own = &[("first-class", "1"), ("labels", "person;car")];
        let (info, mut out) = model("ssd-nms", own, [200, 100], &OUTPUTS);
        out.row("detection_boxes", &[0, 0], &[0.1, 0.2, 0.5, 0.6]);
        out.row("detection_boxes", &[0, 2], &[0.6, 0.6, 0.9, 0.9]);
        out.row("detection_classes", &[0], &[2.0, 0.0, 1.0]);
        out.row("detection_scores", &[0], &[0.8, 0.9, 0.9]);
        out.row("num_detections", &[], &[2.0]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        // The second has class 0, which is before the first; the third is not counted.
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].label, "car");
        assert_close(&objects[0].box_, &[40.0, 10.0, 80.0, 40.0]);
    }

    #[test]
    fn boxes_can_be_pixels_in_xy_order() {
        let own = &[("axis-order", "xy"), ("coordinates", "pixels")];
        let (info, mut out) = model("ssd-nms", own, [200, 100], &OUTPUTS[..3]);
        out.row("detection_boxes", &[0, 0], &[10.0, 20.0, 50.0, 60.0]);
        out.row("detection_scores", &[0], &[0.8, 0.0, 0.0]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&objects[0].box_, &[10.0, 20.0, 40.0, 40.0]);
    }
}
