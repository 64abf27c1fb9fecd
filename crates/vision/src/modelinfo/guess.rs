// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Recognising a model from the names and shapes of its tensors, and what is usual for each head.

use std::collections::BTreeMap;

use splitinfer_tensor::DType;

use super::{
    Activation, AxisOrder, Colour, Coordinates, Filter, HeadKind, Layout, Resize, TensorInfo,
};

/// Number of landmarks in BlazePose's tensor: 33 of the body and 6 auxiliary ones, five numbers each.
const BLAZEPOSE_NUMBERS: usize = 39 * 5;

/// The strides of the detectors that have three levels.
pub(super) const STRIDES: [u32; 3] = [8, 16, 32];

/// The head that these outputs look like, and why; `None` if they look like none.
pub(super) fn head(size: [u32; 2], outputs: &[TensorInfo]) -> Option<(HeadKind, String)> {
    by_names(outputs).or_else(|| match outputs {
        [one] => by_shape(size, one),
        _ => None,
    })
}

fn by_names(outputs: &[TensorInfo]) -> Option<(HeadKind, String)> {
    let named = |words: &[&str]| {
        outputs
            .iter()
            .find(|o| contains_word(&o.name, words))
            .map(|o| o.name.as_str())
    };
    if let Some(o) = outputs
        .iter()
        .find(|o| o.dims.last() == Some(&Some(BLAZEPOSE_NUMBERS)))
    {
        let reason = format!(
            "'{}' has the {BLAZEPOSE_NUMBERS} numbers of BlazePose",
            o.name
        );
        return Some((HeadKind::BlazePose, reason));
    }
    if let (Some(heatmap), Some(bx)) = (named(&["heatmap", "hm"]), named(&["box", "wh", "bbox"])) {
        let reason = format!("outputs '{heatmap}' and '{bx}' are those of a centre detector");
        return Some((HeadKind::Center, reason));
    }
    if let (Some(x), Some(y)) = (named(&["simcc_x"]), named(&["simcc_y"])) {
        return Some((HeadKind::SimCc, format!("outputs '{x}' and '{y}'")));
    }
    let ssd = roles(HeadKind::SsdNms, outputs);
    if let (Some(b), Some(c), Some(s)) = (ssd.get("boxes"), ssd.get("classes"), ssd.get("scores"))
        && outputs.len() >= 3
    {
        let reason = format!("outputs '{b}', '{c}' and '{s}' are those of SSD with NMS");
        return Some((HeadKind::SsdNms, reason));
    }
    if let Some(heatmap) = named(&["heatmap", "heatmaps"])
        && outputs.len() <= 2
    {
        let reason = format!("output '{heatmap}' holds heatmaps and no output holds boxes");
        return Some((HeadKind::PoseHeatmaps, reason));
    }
    None
}

fn by_shape([width, height]: [u32; 2], output: &TensorInfo) -> Option<(HeadKind, String)> {
    let cells: usize = STRIDES
        .iter()
        .map(|s| (width / s) as usize * (height / s) as usize)
        .sum();
    let is = |kind, reason: &str| Some((kind, format!("output '{}' {reason}", output.name)));
    match *output.dims.as_slice() {
        [_, Some(1), Some(17), Some(3)] | [_, Some(17), Some(3)] => {
            is(HeadKind::Keypoints, "holds 17 keypoints directly")
        }
        [_, Some(17), Some(h), Some(w)] if (h, w) != (height as usize, width as usize) => {
            is(HeadKind::PoseHeatmaps, "holds 17 heatmaps")
        }
        [_, Some(c), Some(h), Some(w)]
            if c > 5 && h == height as usize / 16 && w == width as usize / 16 =>
        {
            is(
                HeadKind::FastestDet,
                "is one grid of stride 16, as FastestDet's",
            )
        }
        [_, Some(n), Some(a)] if a > 5 && n == cells => is(
            HeadKind::Yolox,
            "has one row a cell of strides 8, 16, 32, as YOLOX's",
        ),
        [_, Some(n), Some(a)] if a > 5 && n == 3 * cells => is(
            HeadKind::Yolov5,
            "has three rows a cell of strides 8, 16, 32, as YOLOv5's",
        ),
        [_, Some(56), Some(n)] if n == cells => is(
            HeadKind::Yolov8Pose,
            "has 4 + 1 + 17 × 3 channels, as YOLOv8's pose models",
        ),
        [_, Some(a), Some(n)] if a > 4 && n == cells => is(
            HeadKind::Yolov8,
            "has one column a cell of strides 8, 16, 32, as YOLOv8's",
        ),
        [_, Some(c)] | [_, Some(c), Some(1), Some(1)] if c > 1 => {
            is(HeadKind::Classification, "is one row of classes")
        }
        _ => None,
    }
}

/// Which output plays which role of a head, as far as names, shapes and order tell.
pub(super) fn roles(kind: HeadKind, outputs: &[TensorInfo]) -> BTreeMap<String, String> {
    let mut roles = BTreeMap::new();
    let mut free: Vec<&TensorInfo> = outputs.iter().collect();
    for role in kind.roles() {
        if let Some(i) = free.iter().position(|o| fits(kind, role.name, o)) {
            roles.insert(role.name.to_owned(), free.remove(i).name.clone());
        }
    }
    // Where only one output and one role are left, they belong together whatever their names.
    let open: Vec<_> = kind
        .roles()
        .iter()
        .filter(|r| r.required && !roles.contains_key(r.name))
        .collect();
    if let ([role], [output]) = (open.as_slice(), free.as_slice()) {
        roles.insert(role.name.to_owned(), output.name.clone());
    }
    roles
}

fn fits(kind: HeadKind, role: &str, output: &TensorInfo) -> bool {
    let rank = output.dims.len();
    let last = output.dims.last().copied().flatten();
    let named = |words: &[&str]| contains_word(&output.name, words);
    match (kind, role) {
        (HeadKind::Center | HeadKind::PoseHeatmaps, "heatmap") => {
            rank == 4 && named(&["heatmap", "heatmaps", "hm"])
        }
        (HeadKind::Center, "box") => rank == 4 && named(&["box", "bbox", "wh"]),
        (HeadKind::Center | HeadKind::PoseHeatmaps, "offset") => {
            rank == 4 && named(&["offset", "offsets", "reg"])
        }
        (HeadKind::SimCc, "x") => named(&["simcc_x"]),
        (HeadKind::SimCc, "y") => named(&["simcc_y"]),
        // The four outputs of TensorFlow Lite's detection op have one name and a number, in this order.
        (HeadKind::SsdNms, "boxes") => {
            (named(&["boxes"]) || output.name == "TFLite_Detection_PostProcess")
                && last.is_none_or(|n| n == 4)
        }
        (HeadKind::SsdNms, "classes") => {
            named(&["classes", "labels"]) || output.name == "TFLite_Detection_PostProcess:1"
        }
        (HeadKind::SsdNms, "scores") => {
            named(&["scores"]) || output.name == "TFLite_Detection_PostProcess:2"
        }
        (HeadKind::SsdNms, "count") => {
            named(&["num_detections", "num"]) || output.name == "TFLite_Detection_PostProcess:3"
        }
        (HeadKind::BlazePose, "landmarks") => last == Some(BLAZEPOSE_NUMBERS),
        (HeadKind::BlazePose, "flag") => last == Some(1) && rank == 2,
        _ => false,
    }
}

/// Whether a tensor's name contains one of the words, not merely as part of another word.
fn contains_word(name: &str, words: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    words.iter().any(|word| {
        name.match_indices(word).any(|(at, _)| {
            let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
            !letter(name[..at].chars().next_back())
                && !letter(name[at + word.len()..].chars().next())
        })
    })
}

/// What is usual for the models that have a head of this kind.
pub(super) struct Usual {
    pub colour: Colour,
    /// One pair for all channels, or three.
    pub ranges: Vec<[f32; 2]>,
    pub resize: Resize,
    pub pad: u8,
    pub filter: Filter,
    pub activation: Activation,
    pub score_threshold: f32,
    pub max_objects: usize,
    pub axis_order: AxisOrder,
    pub coordinates: Coordinates,
}

/// ImageNet's mean and standard deviation (0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 of 255) as ranges.
const IMAGENET_RANGES: [[f32; 2]; 3] = [
    [-2.117_904, 2.248_908_3],
    [-2.035_714_4, 2.428_571_5],
    [-1.804_444_4, 2.64],
];

pub(super) fn usual(kind: HeadKind, dtype: DType, layout: Layout) -> Usual {
    let mut usual = Usual {
        colour: Colour::Rgb,
        ranges: vec![[0.0, 1.0]],
        resize: Resize::Stretch,
        pad: 0,
        filter: Filter::Bilinear,
        activation: Activation::None,
        score_threshold: 0.25,
        max_objects: 100,
        axis_order: AxisOrder::Xy,
        coordinates: Coordinates::Pixels,
    };
    match kind {
        HeadKind::Raw | HeadKind::Center => usual.score_threshold = 0.3,
        HeadKind::Classification => {
            usual.activation = Activation::Softmax;
            usual.score_threshold = 0.0;
            usual.max_objects = 1;
            usual.filter = Filter::Area;
            usual.ranges = match layout {
                Layout::Nhwc => vec![[-1.0, 1.0]],
                Layout::Nchw => IMAGENET_RANGES.to_vec(),
            };
        }
        HeadKind::Yolox => {
            usual.colour = Colour::Bgr;
            usual.ranges = vec![[0.0, 255.0]];
            usual.resize = Resize::Letterbox;
            usual.pad = 114;
            usual.score_threshold = 0.3;
        }
        HeadKind::Yolov5 | HeadKind::Yolov8 | HeadKind::Yolov8Pose => {
            usual.resize = Resize::LetterboxCenter;
            usual.pad = 114;
        }
        HeadKind::FastestDet => {
            usual.colour = Colour::Bgr;
            usual.filter = Filter::Area;
            usual.score_threshold = 0.65;
        }
        HeadKind::SsdNms => {
            usual.axis_order = AxisOrder::Yx;
            usual.coordinates = Coordinates::Relative;
            usual.score_threshold = 0.5;
        }
        HeadKind::PoseHeatmaps => {
            usual.resize = Resize::LetterboxCenter;
            usual.score_threshold = 0.1;
        }
        HeadKind::SimCc => {
            usual.ranges = IMAGENET_RANGES.to_vec();
            usual.resize = Resize::LetterboxCenter;
            usual.score_threshold = 0.1;
        }
        HeadKind::Keypoints => {
            usual.ranges = vec![[0.0, 255.0]];
            usual.resize = Resize::Letterbox;
            usual.axis_order = AxisOrder::Yx;
            usual.coordinates = Coordinates::Relative;
            usual.score_threshold = 0.1;
        }
        HeadKind::BlazePose => {
            usual.resize = Resize::LetterboxCenter;
            usual.score_threshold = 0.1;
        }
    }
    if dtype == DType::U8 {
        usual.ranges = vec![[0.0, 255.0]];
    }
    usual
}

/// Number of classes that a detector's output has room for.
pub(super) fn class_count(kind: HeadKind, output: &TensorInfo) -> Option<usize> {
    let dim = |i: usize| output.dims.get(i).copied().flatten();
    match kind {
        HeadKind::Yolox | HeadKind::Yolov5 => dim(2)?.checked_sub(5),
        HeadKind::Yolov8 => dim(1)?.checked_sub(4),
        HeadKind::FastestDet => dim(1)?.checked_sub(5),
        _ => None,
    }
}

/// Number of keypoints that a pose head's output holds.
pub(super) fn keypoint_count(kind: HeadKind, output: &TensorInfo) -> Option<usize> {
    let rank = output.dims.len();
    let dim = |i: usize| output.dims.get(i).copied().flatten();
    match kind {
        HeadKind::Keypoints => dim(rank.checked_sub(2)?),
        HeadKind::PoseHeatmaps | HeadKind::SimCc => dim(1),
        HeadKind::Yolov8Pose => dim(1)?.checked_sub(5).map(|n| n / 3),
        HeadKind::BlazePose => Some(33),
        _ => None,
    }
}
