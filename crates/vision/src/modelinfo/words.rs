// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How the enumerations of a sidecar are spelled.

use super::{
    Activation, AxisOrder, Colour, Coordinates, DimsOrder, Direction, Filter, HeadKind, Layout,
    Resize,
};

/// An enumeration whose values are words of the sidecar.
pub(crate) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];

    fn word(self) -> &'static str {
        // Each table below lists every value of its type; a test holds that.
        Self::WORDS
            .iter()
            .find(|(_, v)| *v == self)
            .map_or("", |(w, _)| w)
    }

    /// British and American spellings are both understood.
    fn from_word(word: &str) -> Option<Self> {
        let word = word
            .to_ascii_lowercase()
            .replace("centre", "center")
            .replace("grey", "gray");
        Self::WORDS
            .iter()
            .find(|(w, _)| *w == word)
            .map(|(_, v)| *v)
    }

    /// The words to choose from, for an error message.
    fn choices() -> String {
        let words: Vec<_> = Self::WORDS.iter().map(|(w, _)| *w).collect();
        words.join(", ")
    }
}

macro_rules! words {
    ($($t:ty { $($word:literal => $v:ident),* $(,)? })*) => {$(
        impl Word for $t {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$v)),*];
        }
    )*};
}

words! {
    Direction { "input" => Input, "output" => Output }
    DimsOrder { "row-major" => RowMajor, "col-major" => ColMajor }
    Layout { "nchw" => Nchw, "nhwc" => Nhwc }
    Colour { "rgb" => Rgb, "bgr" => Bgr, "gray" => Gray }
    Resize { "letterbox" => Letterbox, "letterbox-center" => LetterboxCenter, "stretch" => Stretch }
    Filter { "nearest" => Nearest, "bilinear" => Bilinear, "area" => Area, "antialias" => Antialias }
    Activation { "none" => None, "sigmoid" => Sigmoid, "softmax" => Softmax }
    AxisOrder { "xy" => Xy, "yx" => Yx }
    Coordinates { "relative" => Relative, "pixels" => Pixels }
    HeadKind {
        "raw" => Raw,
        "classification" => Classification,
        "yolox" => Yolox,
        "yolov5" => Yolov5,
        "yolov8" => Yolov8,
        "yolov8-pose" => Yolov8Pose,
        "fastestdet" => FastestDet,
        "ssd-nms" => SsdNms,
        "center" => Center,
        "pose-heatmaps" => PoseHeatmaps,
        "simcc" => SimCc,
        "keypoints" => Keypoints,
        "blazepose" => BlazePose,
    }
}

impl HeadKind {
    /// The name as `head=` takes it.
    pub fn name(self) -> &'static str {
        self.word()
    }
}
