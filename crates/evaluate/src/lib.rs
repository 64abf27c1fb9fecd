// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Results against truth: how good a detector, a pose estimator or a tracker is.
//!
//! [`Frame`] holds what was found on a picture and what is really there, [`evaluate`] gives the [`Figures`] of a
//! sequence. Every figure is defined in `docs/evaluation.md`; AP and OKS are COCO's, MOTA is CLEAR-MOT's, IDF1 that of
//! Ristani et al., and tests compare them with `pycocotools` and `motmetrics`. [`truth`] reads the truth from the text
//! of COCO annotations, MOTChallenge files and the lines of this project's scenes.
//!
//! Boxes are x, y, width, height; all lengths are pixels of the picture, angles degrees. A figure that the frames do
//! not define (an AP without a single true object, say) is `None`.
//!
//! ```
//! use splitinfer_evaluate::{Actual, Found, Frame, Rules, evaluate};
//! let car = Actual { label: "car".into(), bbox: [10.0, 20.0, 50.0, 30.0], ..Actual::default() };
//! let found = Found { label: "car".into(), score: 0.9, bbox: car.bbox, ..Found::default() };
//! let figures = evaluate(&[Frame { number: 0, found: vec![found], actual: vec![car] }], &Rules::default());
//! assert_eq!(figures.detection.ap50, Some(1.0));
//! ```

mod average_precision;
mod boxes;
mod evaluate;
mod frame;
mod matching;
mod operating_point;
mod pose;
mod rules;
mod similarity;
mod tracking;
pub mod truth;

pub use average_precision::{AveragePrecision, IOU_THRESHOLDS, RECALLS};
pub use boxes::{Boxes, box_distance};
pub use evaluate::{Detection, Figures, Moment, PoseFigures, evaluate};
pub use frame::{Actual, Found, Frame};
pub use pose::{Knee, Pck, Pose, knee_angle};
pub use rules::{Ignore, Rules};
pub use similarity::{COCO_SIGMAS, iou, oks};
pub use tracking::Tracking;
