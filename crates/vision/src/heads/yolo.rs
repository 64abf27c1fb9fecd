// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The heads of YOLOv5 and YOLOv8 as Ultralytics exports them: boxes already in pixels of the picture.

use super::outputs::{Output, Outputs};
use super::select::{Detections, activate, best_class, reaches};
use crate::modelinfo::ModelInfo;
use crate::{Object, VisionError};

/// YOLOv5: `[1, N, 5 + C]`, rows of centre x, y, w, h, objectness, classes; score = objectness × class.
pub(super) fn read_v5(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    let attributes = match output.squeezed() {
        Some([_, a]) if a >= 6 => a,
        _ => return Err(outputs.wrong_shape(&output, "[1, N, 5 + classes]")),
    };
    let act = |x: f32| activate(info.head.activation, x);
    let mut found = Detections::new(info);
    for row in output.values.chunks_exact(attributes) {
        let objectness = act(row[4]);
        if !reaches(objectness, info.head.score_threshold) {
            continue;
        }
        if let Some((class, score)) = best_class(row[5..].iter().map(|x| act(*x))) {
            let centred = [row[0], row[1], row[2], row[3]];
            found.push_centred(class, objectness * score, centred, 0);
        }
    }
    Ok(found.objects())
}

/// YOLOv8 and later without NMS in the graph: `[1, 4 + C, N]`, a column for each box: centre x, y, w, h, classes.
pub(super) fn read_v8(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    let columns = Columns::new(&output, |a| a >= 5)
        .ok_or_else(|| outputs.wrong_shape(&output, "[1, 4 + classes, N]"))?;
    let classes = columns.channels - 4;
    Ok(detections(info, &columns, classes).objects())
}

/// YOLOv8 pose: `[1, 4 + C + 3 K, N]`: boxes and classes as above, then x, y, score of each of K keypoints.
///
/// K is the number of keypoint names in the sidecar.
pub(super) fn read_v8_pose(
    info: &ModelInfo,
    outputs: &Outputs<'_>,
) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    let k = info.keypoints.len();
    let columns = Columns::new(&output, |a| a >= 5 + 3 * k && k > 0).ok_or_else(|| {
        let expected = format!("[1, 4 + classes + 3 × {k} keypoints, N]");
        outputs.wrong_shape(&output, &expected)
    })?;
    let classes = columns.channels - 4 - 3 * k;
    let found = detections(info, &columns, classes).finish();
    Ok(found
        .into_iter()
        .map(|(mut object, i)| {
            let at = |k: usize, part: usize| columns.get(4 + classes + 3 * k + part, i);
            object.keypoints = (0..k)
                .map(|k| [at(k, 0), at(k, 1), at(k, 2)])
                .map(|p| {
                    if p.iter().all(|x| x.is_finite()) {
                        p
                    } else {
                        [0.0; 3]
                    }
                })
                .collect();
            object
        })
        .collect())
}

fn detections<'a>(info: &'a ModelInfo, columns: &Columns<'_>, classes: usize) -> Detections<'a> {
    let act = |x: f32| activate(info.head.activation, x);
    let mut found = Detections::new(info);
    for i in 0..columns.count {
        let scores = (0..classes).map(|c| act(columns.get(4 + c, i)));
        if let Some((class, score)) = best_class(scores) {
            let centred = [0, 1, 2, 3].map(|c| columns.get(c, i));
            found.push_centred(class, score, centred, i);
        }
    }
    found
}

/// A tensor whose columns are boxes.
struct Columns<'a> {
    values: &'a [f32],
    channels: usize,
    count: usize,
}

impl<'a> Columns<'a> {
    fn new(output: &'a Output<'_>, fits: impl Fn(usize) -> bool) -> Option<Self> {
        let [channels, count] = output.squeezed()?;
        fits(channels).then_some(Self {
            values: &output.values,
            channels,
            count,
        })
    }

    fn get(&self, channel: usize, i: usize) -> f32 {
        self.values[channel * self.count + i]
    }
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn v5_rows_are_boxes_in_pixels() {
        let (info, mut out) = model("yolov5", &[], [64, 64], &[("o", &[1, 3, 7])]);
        out.row("o", &[0, 1], &[30.0, 20.0, 10.0, 8.0, 0.9, 0.2, 0.5]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].class, 1);
        assert_close(&[objects[0].score], &[0.45]);
        assert_close(&objects[0].box_, &[25.0, 16.0, 10.0, 8.0]);
    }

    #[test]
    fn v8_columns_are_boxes_in_pixels() {
        let (info, mut out) = model("yolov8", &[], [64, 64], &[("o", &[1, 6, 9])]);
        for (channel, value) in [30.0, 20.0, 10.0, 8.0, 0.2, 0.7].into_iter().enumerate() {
            out.set("o", &[0, channel, 4], value);
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].class, 1);
        assert_close(&[objects[0].score], &[0.7]);
        assert_close(&objects[0].box_, &[25.0, 16.0, 10.0, 8.0]);
    }

    #[test]
    fn v8_pose_gives_each_box_its_own_keypoints() {
        let own = &[("keypoints", "a;b")];
        let (info, mut out) = model("yolov8-pose", own, [64, 64], &[("o", &[1, 11, 5])]);
        for (i, x) in [(1, 10.0), (3, 50.0)] {
            let column = [
                x,
                20.0,
                8.0,
                8.0,
                0.5 + x / 200.0,
                x - 2.0,
                18.0,
                0.9,
                x + 2.0,
                22.0,
                0.8,
            ];
            for (channel, value) in column.into_iter().enumerate() {
                out.set("o", &[0, channel, i], value);
            }
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!(objects.len(), 2);
        assert_eq!(objects[0].keypoints, [[48.0, 18.0, 0.9], [52.0, 22.0, 0.8]]);
        assert_eq!(objects[1].keypoints, [[8.0, 18.0, 0.9], [12.0, 22.0, 0.8]]);
    }
}
