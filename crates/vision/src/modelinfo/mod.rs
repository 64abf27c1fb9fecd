// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a model wants to see and how its outputs are to be read: the `.modelinfo` sidecar.
//!
//! The file is that of GStreamer 1.28 (`GstAnalyticsModelInfo`: a `[modelinfo]` section, then one section a tensor),
//! with one section of our own, `[splitinfer]`, for what that lacks. `docs/sidecar.md` describes every key.

mod complete;
mod guess;
mod own;
mod presets;
mod roles;
mod sidecar;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use splitinfer_tensor::DType;

pub use roles::Role;
pub use sidecar::SidecarError;

/// Name, type and shape of an input or output, as the model itself states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub name: String,
    /// `None` if the model does not say, or says a type that [`DType`] does not have.
    pub dtype: Option<DType>,
    /// `None` for a dimension that is symbolic.
    pub dims: Vec<Option<usize>>,
}

/// A tensor section of the sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSection {
    /// The section's title: the tensor's name in the model.
    pub name: String,
    pub id: Option<String>,
    /// As GStreamer spells it: `float32`, `uint8`, …
    pub type_name: Option<String>,
    /// `None` for -1, which matches any size.
    pub dims: Option<Vec<Option<usize>>>,
    pub dir: Option<Direction>,
    pub dims_order: DimsOrder,
    /// min, max of each channel, or one pair for all; empty if not given.
    pub ranges: Vec<[f32; 2]>,
}

impl TensorSection {
    /// A section that says nothing but its title.
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            type_name: None,
            dims: None,
            dir: None,
            dims_order: DimsOrder::default(),
            ranges: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Input,
    Output,
}

/// Kept for GStreamer's own tensor decoders; ours look at the shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DimsOrder {
    #[default]
    RowMajor,
    ColMajor,
}

/// Order of the dimensions of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Channels before rows and columns.
    Nchw,
    /// Channels last.
    Nhwc,
}

/// What the channels of the input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Rgb,
    Bgr,
    /// One channel, luma.
    Gray,
}

/// How a frame is fitted into the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Keeps the aspect ratio; the frame lies at the top left, the rest is padded.
    Letterbox,
    /// Keeps the aspect ratio; the frame lies in the middle.
    LetterboxCenter,
    /// Fills the input; the aspect ratio changes.
    Stretch,
}

/// How pixels are combined when the frame is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Nearest,
    /// The four nearest pixels, also when shrinking (OpenCV's `INTER_LINEAR`).
    Bilinear,
    /// The mean of the area that a pixel covers when shrinking (OpenCV's `INTER_AREA`), bilinear when enlarging.
    Area,
    /// A triangle as wide as a pixel covers (Pillow's `BILINEAR`).
    Antialias,
}

/// How the model wants its picture.
#[derive(Clone, Debug, PartialEq)]
pub struct InputInfo {
    /// The tensor's name.
    pub name: String,
    /// `F32`, `F16` or `U8`.
    pub dtype: DType,
    pub layout: Layout,
    /// Pixels.
    pub width: u32,
    pub height: u32,
    /// Whether the shape starts with a batch dimension (of 1).
    pub batch: bool,
    pub colour: Colour,
    /// The values that 0 and 255 become, one pair a channel, in the order of the tensor's channels.
    pub ranges: Vec<[f32; 2]>,
    pub resize: Resize,
    /// Grey level of what a letterbox leaves free, 0–255, before `ranges` apply.
    pub pad: u8,
    pub filter: Filter,
}

impl InputInfo {
    pub fn channels(&self) -> usize {
        match self.colour {
            Colour::Gray => 1,
            Colour::Rgb | Colour::Bgr => 3,
        }
    }

    /// The shape of the tensor that [`Preprocessor`](crate::Preprocessor) makes.
    pub fn shape(&self) -> Vec<usize> {
        let (c, h, w) = (self.channels(), self.height as usize, self.width as usize);
        let picture = match self.layout {
            Layout::Nchw => [c, h, w],
            Layout::Nhwc => [h, w, c],
        };
        let batch: &[usize] = if self.batch { &[1] } else { &[] };
        [batch, &picture].concat()
    }
}

/// The heads that can be read; `docs/sidecar.md` gives the shapes each of them expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadKind {
    Raw,
    Classification,
    Yolox,
    Yolov5,
    Yolov8,
    Yolov8Pose,
    FastestDet,
    SsdNms,
    Center,
    PoseHeatmaps,
    SimCc,
    Keypoints,
    BlazePose,
}

/// What is still to be applied to the raw scores of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The graph has done it.
    None,
    Sigmoid,
    Softmax,
}

/// Order of the two axes in boxes or keypoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisOrder {
    Xy,
    Yx,
}

/// The unit of boxes or keypoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// 0 to 1 over the picture.
    Relative,
    /// Pixels of the picture.
    Pixels,
}

/// How the outputs are to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadInfo {
    pub kind: HeadKind,
    /// Which output plays which role (`heatmap`, `boxes`, …), where the sidecar says so.
    pub roles: BTreeMap<String, String>,
    pub activation: Activation,
    /// Objects that score less are dropped.
    pub score_threshold: f32,
    /// Of two boxes that overlap by more (intersection over union), the lower-scoring one is dropped.
    pub nms_threshold: f32,
    /// Whether boxes of different classes suppress one another.
    pub class_agnostic: bool,
    /// Heatmaps of centres: a cell shows an object if it scores at least this share of the highest around it.
    pub peak_ratio: f32,
    pub max_objects: usize,
    /// FastestDet: objectness^a × class^b.
    pub score_power: [f32; 2],
    /// YOLOX: pixels a cell, one for each level, in the order of the output.
    pub strides: Vec<u32>,
    /// Keypoints that score less are not visible: they do not count for the box of a person.
    pub keypoint_threshold: f32,
    pub axis_order: AxisOrder,
    pub coordinates: Coordinates,
    /// The number that the model gives to the first label.
    pub first_class: u32,
    /// Only these classes are reported; empty: all.
    pub classes: Vec<u32>,
    /// Class numbers to be replaced, applied before `classes`.
    pub remap: Vec<(u32, u32)>,
}

/// All that is known of a model: what it wants to see, how to read what it says, and how to show that.
///
/// Complete by construction: what a sidecar leaves open has been filled in from the model's names and shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    pub group_id: Option<String>,
    /// The tensor sections of the sidecar, in its order.
    pub tensors: Vec<TensorSection>,
    pub input: InputInfo,
    pub head: HeadInfo,
    /// Names of the classes; may be empty.
    pub labels: Vec<String>,
    /// Names of the keypoints; may be empty.
    pub keypoints: Vec<String>,
    /// Pairs of keypoints that an overlay joins by a line.
    pub skeleton: Vec<(usize, usize)>,
}

impl ModelInfo {
    /// Reads the text of a sidecar that describes its tensors (`dims` and `type` of each), as
    /// [`to_text`](Self::to_text) writes it. For text of unknown origin: opens no file, so `labels-file` is refused.
    ///
    /// # Errors
    /// Names the line, section and key that cannot be used.
    pub fn parse(text: &str) -> Result<Self, SidecarError> {
        let sidecar = sidecar::Sidecar::parse(text, Path::new("sidecar"), None)?;
        let (inputs, outputs) = sidecar.tensor_infos();
        complete::complete(sidecar, &inputs, &outputs).map(|(info, _)| info)
    }

    /// The sidecar beside `model` (`<model>.modelinfo`, then the same without the model's extension), or `None` if there
    /// is neither. Suits sidecars that say all; [`load_or_guess`](Self::load_or_guess) also serves the others.
    ///
    /// # Errors
    /// Names the file, line, section and key that cannot be used.
    pub fn load_for(model: &Path) -> Result<Option<Self>, SidecarError> {
        let Some(sidecar) = sidecar::Sidecar::load_for(model)? else {
            return Ok(None);
        };
        let (inputs, outputs) = sidecar.tensor_infos();
        complete::complete(sidecar, &inputs, &outputs).map(|(info, _)| Some(info))
    }

    /// The sidecar beside `model` if there is one, checked against the model's own inputs and outputs; what it leaves
    /// open is recognised from them. Also returns what was assumed, in words, for the log.
    ///
    /// # Errors
    /// When the sidecar cannot be used, contradicts the model, or the model's input is not one picture of known size.
    pub fn load_or_guess(
        model: &Path,
        inputs: &[TensorInfo],
        outputs: &[TensorInfo],
    ) -> Result<(Self, Vec<String>), SidecarError> {
        let sidecar = match sidecar::Sidecar::load_for(model)? {
            Some(sidecar) => sidecar,
            None => sidecar::Sidecar::empty(&sidecar::Sidecar::path_for(model)),
        };
        complete::complete(sidecar, inputs, outputs)
    }

    /// Recognises a model without a sidecar. Also returns what was assumed, in words, for the log.
    ///
    /// # Errors
    /// When the model's input is not one picture of known size.
    pub fn guess(
        inputs: &[TensorInfo],
        outputs: &[TensorInfo],
    ) -> Result<(Self, Vec<String>), SidecarError> {
        let none = sidecar::Sidecar::empty(Path::new("no sidecar"));
        complete::complete(none, inputs, outputs)
    }

    /// A sidecar that says everything, with labels inline, so that [`parse`](Self::parse) gives this back.
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// For each keypoint the one that takes its place in a mirrored picture: itself, or its other side where the names
    /// start with `left` and `right`.
    pub fn mirrored_keypoints(&self) -> Vec<usize> {
        let other = |name: &str| {
            let swapped = match name.split_at_checked(4) {
                Some(("left", rest)) => format!("right{rest}"),
                _ => format!("left{}", name.strip_prefix("right")?),
            };
            self.keypoints.iter().position(|k| *k == swapped)
        };
        (0..self.keypoints.len())
            .map(|i| other(&self.keypoints[i]).unwrap_or(i))
            .collect()
    }

    /// The name of a class.
    pub fn label(&self, class: u32) -> String {
        match self.labels.get(class as usize) {
            Some(label) => label.clone(),
            None => format!("class {class}"),
        }
    }
}
