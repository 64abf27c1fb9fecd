// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Output tensors to objects: one file a head.
//!
//! Every head checks that the tensors it needs are there and have the shape it expects, and drops what is not a number.

mod blazepose;
mod center;
mod classification;
mod fastestdet;
mod keypoints;
mod outputs;
mod person;
mod pose_heatmaps;
mod select;
mod simcc;
mod ssd_nms;
#[cfg(test)]
pub(crate) mod testing;
mod yolo;
mod yolox;

use splitinfer_tensor::Tensor;

use crate::modelinfo::{HeadKind, ModelInfo};
use crate::{Object, VisionError};
use outputs::Outputs;

pub(crate) use select::{activate, sigmoid};
pub(crate) use yolox::levels;

/// Reads the outputs of one model.
#[derive(Clone, Debug)]
pub struct Head {
    info: ModelInfo,
}

impl Head {
    pub fn new(info: &ModelInfo) -> Self {
        Self { info: info.clone() }
    }

    /// Whether the outputs have no known meaning and are to be passed on as they are.
    pub fn is_raw(&self) -> bool {
        self.info.head.kind == HeadKind::Raw
    }

    /// The objects in pixels of the [`Picture`](crate::Picture), best first; none from a [raw](Self::is_raw) head.
    ///
    /// # Errors
    /// When an output is missing or has not the shape that the head reads; names both.
    pub fn read(&self, outputs: &[(String, Tensor)]) -> Result<Vec<Object>, VisionError> {
        let outputs = Outputs::new(&self.info, outputs);
        let info = &self.info;
        match info.head.kind {
            HeadKind::Raw => Ok(Vec::new()),
            HeadKind::Classification => classification::read(info, &outputs),
            HeadKind::Yolox => yolox::read(info, &outputs),
            HeadKind::Yolov5 => yolo::read_v5(info, &outputs),
            HeadKind::Yolov8 => yolo::read_v8(info, &outputs),
            HeadKind::Yolov8Pose => yolo::read_v8_pose(info, &outputs),
            HeadKind::FastestDet => fastestdet::read(info, &outputs),
            HeadKind::SsdNms => ssd_nms::read(info, &outputs),
            HeadKind::Center => center::read(info, &outputs),
            HeadKind::PoseHeatmaps => pose_heatmaps::read(info, &outputs),
            HeadKind::SimCc => simcc::read(info, &outputs),
            HeadKind::Keypoints => keypoints::read(info, &outputs),
            HeadKind::BlazePose => blazepose::read(info, &outputs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Own, model};
    use super::*;
    use proptest::prelude::*;

    type Case = (
        &'static str,
        Own,
        &'static [(&'static str, &'static [usize])],
    );

    /// A head, its own keys, and the shapes of the outputs it reads on a picture of 64 x 64.
    const CASES: [Case; 14] = [
        ("classification", &[], &[("o", &[1, 10])]),
        (
            "classification",
            &[("activation", "none")],
            &[("o", &[1, 10])],
        ),
        ("yolox", &[], &[("o", &[1, 84, 8])]),
        ("yolov5", &[], &[("o", &[1, 20, 8])]),
        ("yolov8", &[], &[("o", &[1, 7, 20])]),
        (
            "yolov8-pose",
            &[("keypoints", "a;b")],
            &[("o", &[1, 11, 20])],
        ),
        ("fastestdet", &[], &[("o", &[1, 8, 4, 4])]),
        (
            "ssd-nms",
            &[],
            &[
                ("boxes", &[1, 9, 4]),
                ("classes", &[1, 9]),
                ("scores", &[1, 9]),
                ("num", &[1]),
            ],
        ),
        (
            "center",
            &[],
            &[("heatmap", &[1, 2, 8, 8]), ("box", &[1, 4, 8, 8])],
        ),
        (
            "center",
            &[],
            &[
                ("hm", &[1, 2, 8, 8]),
                ("wh", &[1, 2, 8, 8]),
                ("reg", &[1, 2, 8, 8]),
            ],
        ),
        (
            "pose-heatmaps",
            &[],
            &[("heatmap", &[1, 17, 8, 8]), ("offset", &[1, 34, 8, 8])],
        ),
        (
            "simcc",
            &[],
            &[("simcc_x", &[1, 17, 128]), ("simcc_y", &[1, 17, 128])],
        ),
        ("keypoints", &[], &[("o", &[1, 1, 17, 3])]),
        ("blazepose", &[], &[("o", &[1, 195]), ("flag", &[1, 1])]),
    ];

    /// Numbers as they come, and the ones that never should.
    fn value() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => -3f32..3.0,
            2 => any::<f32>(),
            1 => prop::sample::select(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX][..]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn heads_survive_any_numbers(
            case in 0..CASES.len(),
            values in prop::collection::vec(value(), 1300),
            skip in 0usize..50,
        ) {
            let (head, own, shapes) = CASES[case];
            let (info, _) = model(head, own, [64, 64], shapes);
            let mut numbers = values.iter().cycle().skip(skip);
            let outputs: Vec<_> = shapes
                .iter()
                .map(|(name, shape)| {
                    let n = shape.iter().product();
                    let data: Vec<f32> = numbers.by_ref().take(n).copied().collect();
                    ((*name).to_owned(), Tensor::new(shape.to_vec(), data).unwrap())
                })
                .collect();
            let objects = Head::new(&info).read(&outputs).unwrap();
            prop_assert!(objects.len() <= info.head.max_objects);
            for o in &objects {
                prop_assert!(o.score.is_finite() && o.box_.iter().all(|x| !x.is_nan()));
                prop_assert!(o.keypoints.iter().flatten().all(|x| x.is_finite()));
            }
        }

        #[test]
        fn heads_refuse_other_shapes_in_words(
            case in 0..CASES.len(),
            shape in prop::collection::vec(0usize..40, 0..5),
        ) {
            let (head, own, shapes) = CASES[case];
            let (info, _) = model(head, own, [64, 64], shapes);
            let n = shape.iter().product();
            let tensor = Tensor::new(shape.clone(), vec![0.5f32; n]).unwrap();
            let outputs: Vec<_> = shapes.iter().map(|(n, _)| ((*n).to_owned(), tensor.clone())).collect();
            if let Err(e) = Head::new(&info).read(&outputs) {
                let text = e.to_string();
                prop_assert!(text.contains(head) && text.contains("expected"), "{}", text);
            }
        }
    }

    #[test]
    fn a_missing_output_is_named() {
        let (info, _) = model("yolox", &[], [64, 64], &[("o", &[1, 84, 8])]);
        let other = Tensor::new(vec![1], vec![0f32]).unwrap();
        let e = Head::new(&info).read(&[("p".into(), other)]).unwrap_err();
        assert_eq!(
            e.to_string(),
            "head=yolox cannot read output 'o': it is not among the outputs: p"
        );
    }

    #[test]
    fn an_unknown_head_is_raw() {
        let (info, _) = model("raw", &[], [64, 64], &[("o", &[3, 3, 3])]);
        let head = Head::new(&info);
        assert!(head.is_raw());
        assert_eq!(head.read(&[]).unwrap(), []);
    }
}
