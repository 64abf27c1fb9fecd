// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model run in a loop without GStreamer: what the elements are compared with.

use std::path::Path;

use anyhow::Result;
use gst_video::prelude::*;
use splitinfer_graph::{Cut, Dim, Facts, Model, ValueInfo};
use splitinfer_runtime::{DEFAULT_CANDIDATES, SessionOptions, SplitModel, load_library, probe};
use splitinfer_tensor::Tensor;
use splitinfer_vision::{
    ColorMatrix, ColorRange, Frame, Head, ModelInfo, Object, Picture, PixelFormat, Placement,
    Plane, Preprocessor, TensorInfo,
};

/// A model whose input has a fixed size, and where the elements would cut it.
pub struct SizedModel {
    pub info: ModelInfo,
    pub model: Model,
    pub facts: Facts,
    pub candidates: Vec<Cut>,
}

impl SizedModel {
    /// # Errors
    /// When the model, its sidecar or ONNX Runtime cannot be used.
    pub fn load(path: &Path, options: &SessionOptions) -> Result<Self> {
        Self::load_as(path, options, |_| ())
    }

    fn load_as(
        path: &Path,
        options: &SessionOptions,
        change: impl FnOnce(&mut ModelInfo),
    ) -> Result<Self> {
        load_library(Some(&crate::build_folder()))?;
        let model = Model::load(path)?;
        let infos =
            |values: Vec<ValueInfo>| values.into_iter().map(tensor_info).collect::<Vec<_>>();
        let (mut info, _) =
            ModelInfo::load_or_guess(path, &infos(model.inputs()), &infos(model.outputs()))?;
        change(&mut info);
        let model = model.with_input_shape(&info.input.name, &info.input.shape())?;
        let facts = probe(&model, options)?;
        Ok(Self {
            candidates: model.candidates(&facts, DEFAULT_CANDIDATES),
            info,
            model,
            facts,
        })
    }

    /// Nothing is loaded yet.
    ///
    /// # Errors
    /// When the model has more than one input.
    pub fn split(&self, options: &SessionOptions) -> Result<SplitModel> {
        let candidates = self.candidates.clone();
        Ok(SplitModel::new(
            &self.model,
            &self.facts,
            candidates,
            options,
        )?)
    }
}

/// A model with everything from frame to objects, cut at the candidates that the elements use.
pub struct LocalModel {
    pub info: ModelInfo,
    pub split: SplitModel,
    preprocessor: Preprocessor,
    head: Head,
}

impl LocalModel {
    /// # Errors
    /// When the model, its sidecar or ONNX Runtime cannot be used.
    pub fn load(path: &Path, options: &SessionOptions) -> Result<Self> {
        Self::load_as(path, options, |_| ())
    }

    /// The same, with something changed of what the sidecar or the model says.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as(
        path: &Path,
        options: &SessionOptions,
        change: impl FnOnce(&mut ModelInfo),
    ) -> Result<Self> {
        let sized = SizedModel::load_as(path, options, change)?;
        Ok(Self {
            split: sized.split(options)?,
            preprocessor: Preprocessor::new(&sized.info),
            head: Head::new(&sized.info),
            info: sized.info,
        })
    }

    /// The picture that the model sees of an I420 frame.
    ///
    /// # Errors
    /// When the buffer does not hold what `video` says.
    pub fn picture(
        &mut self,
        buffer: &gst::Buffer,
        video: &gst_video::VideoInfo,
    ) -> Result<Picture> {
        Ok(self.placed_picture(buffer, video)?.0)
    }

    /// The same, and where the frame lies on it.
    ///
    /// # Errors
    /// When the buffer does not hold what `video` says.
    pub fn placed_picture(
        &mut self,
        buffer: &gst::Buffer,
        video: &gst_video::VideoInfo,
    ) -> Result<(Picture, Placement)> {
        let mapped = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video)?;
        let planes = (0..mapped.n_planes())
            .map(|i| {
                Ok(Plane {
                    data: mapped.plane_data(i)?,
                    stride: usize::try_from(mapped.plane_stride()[i as usize])?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let matrix = match video.colorimetry().matrix() {
            gst_video::VideoColorMatrix::Bt709 => ColorMatrix::Bt709,
            _ => ColorMatrix::Bt601,
        };
        let range = match video.colorimetry().range() {
            gst_video::VideoColorRange::Range0_255 => ColorRange::Full,
            _ => ColorRange::Limited,
        };
        let (width, height) = (video.width(), video.height());
        let frame = Frame::new(PixelFormat::I420, width, height, planes, matrix, range)?;
        Ok(self.preprocessor.picture(&frame)?)
    }

    /// The picture that the model sees of an RGB frame without padding, and where the frame lies on it.
    ///
    /// # Errors
    /// When `rgb` does not hold as many pixels.
    pub fn picture_of_rgb(
        &mut self,
        rgb: &[u8],
        [width, height]: [u32; 2],
    ) -> Result<(Picture, Placement)> {
        let frame = Frame::from_rgb(width, height, rgb)?;
        Ok(self.preprocessor.picture(&frame)?)
    }

    /// Objects of a picture in pixels of the frame that lies on it.
    ///
    /// # Errors
    /// When ONNX Runtime fails or the outputs do not fit the head.
    pub fn objects(&mut self, picture: &Picture, placement: &Placement) -> Result<Vec<Object>> {
        let tensor = self.tensor(picture)?;
        let mut objects = self.read(&self.split.whole(&tensor)?)?;
        objects.iter_mut().for_each(|o| placement.to_frame(o));
        Ok(objects)
    }

    /// # Errors
    /// When the picture is not of the model's size.
    pub fn tensor(&mut self, picture: &Picture) -> Result<Tensor> {
        Ok(self.preprocessor.tensor(picture)?)
    }

    /// Objects in pixels of the model's picture.
    ///
    /// # Errors
    /// When the outputs do not fit the head.
    pub fn read(&self, outputs: &[(String, Tensor)]) -> Result<Vec<Object>> {
        Ok(self.head.read(outputs)?)
    }
}

fn tensor_info(value: ValueInfo) -> TensorInfo {
    let size = |dim: Dim| match dim {
        Dim::Fixed(n) => Some(n),
        Dim::Symbol(_) => None,
    };
    TensorInfo {
        name: value.name,
        dtype: value.dtype,
        dims: value.shape.into_iter().flatten().map(size).collect(),
    }
}

/// Largest absolute difference of two sets of outputs.
///
/// # Panics
/// When they differ in names or shapes.
pub fn largest_difference(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|((name, x), (other, y))| {
            assert_eq!((name, x.shape()), (other, y.shape()));
            let pairs = x.to_f32_vec().into_iter().zip(y.to_f32_vec());
            pairs.map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
        })
        .fold(0.0, f32::max)
}

/// Objects of `found` that match one of `expected` (same class, IoU at least 0.5, best first), for an F1 score; objects
/// with keypoints match when the mean distance of their keypoints is below 5 % of the expected one's larger side.
pub fn matches(found: &[Object], expected: &[Object]) -> usize {
    let mut free: Vec<&Object> = expected.iter().collect();
    let mut hits = 0;
    for object in found {
        let near = |other: &Object| match object.keypoints.is_empty() {
            true => iou(object, other) >= 0.5,
            false => keypoint_distance(object, other) < 0.05 * other.box_[2].max(other.box_[3]),
        };
        if let Some(i) = free
            .iter()
            .position(|other| other.class == object.class && near(other))
        {
            free.swap_remove(i);
            hits += 1;
        }
    }
    hits
}

fn keypoint_distance(a: &Object, b: &Object) -> f32 {
    let pairs = a.keypoints.iter().zip(&b.keypoints);
    let sum: f32 = pairs.map(|(p, q)| (p[0] - q[0]).hypot(p[1] - q[1])).sum();
    sum / a.keypoints.len().max(1) as f32
}

fn iou(a: &Object, b: &Object) -> f32 {
    let (a, b) = (a.box_, b.box_);
    let width = (a[0] + a[2]).min(b[0] + b[2]) - a[0].max(b[0]);
    let height = (a[1] + a[3]).min(b[1] + b[3]) - a[1].max(b[1]);
    let shared = width.max(0.0) * height.max(0.0);
    let both = a[2] * a[3] + b[2] * b[3] - shared;
    if both > 0.0 { shared / both } else { 0.0 }
}
