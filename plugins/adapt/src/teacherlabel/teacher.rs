// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The teacher: a model that runs on frames.

use std::path::Path;
use std::time::{Duration, Instant};

use splitinfer_inference::{LoadedModel, load_library, picture};
use splitinfer_meta::{Labels, Object, RawTensor};
use splitinfer_runtime::Session;
use splitinfer_vision::{Head, ModelInfo, Preprocessor};

use super::LabelKind;
use super::settings::Settings;

/// What the teacher says of a frame.
pub(super) struct Said {
    pub(super) labels: Labels,
    /// In pixels of the frame.
    pub(super) objects: Vec<Object>,
    pub(super) took: Duration,
}

/// A session and what feeds and reads it.
pub(super) struct Teacher {
    name: String,
    info: ModelInfo,
    session: Session,
    preprocessor: Preprocessor,
    head: Head,
    labels: LabelKind,
}

impl Teacher {
    /// # Errors
    /// One message for the bus that names the file and what to do.
    pub(super) fn load(settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        let path = Path::new(settings.model()?);
        load_library("adapt")
            .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("ONNX Runtime: {e}")))?;
        let model = LoadedModel::load(path)?;
        let session = Session::from_model(&model.sized, &settings.session())
            .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("{}: {e}", path.display())))?;
        check_head(path, &model, settings.labels)?;
        Ok(Self {
            name: file_name(path),
            preprocessor: Preprocessor::new(&model.info),
            head: Head::new(&model.info),
            labels: settings.labels,
            info: model.info,
            session,
        })
    }

    /// # Errors
    /// In words, when the frame cannot be read or ONNX Runtime fails.
    pub(super) fn label(
        &mut self,
        buffer: &gst::BufferRef,
        video: &gst_video::VideoInfo,
    ) -> Result<Said, String> {
        let begun = Instant::now();
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video)
            .map_err(|_| format!("a buffer does not hold a picture of {video:?}"))?;
        let frame = picture::borrow(&frame).map_err(|e| e.to_string())?;
        let (picture, placement) = self
            .preprocessor
            .picture(&frame)
            .map_err(|e| e.to_string())?;
        let input = self
            .preprocessor
            .tensor(&picture)
            .map_err(|e| e.to_string())?;
        let outputs = self
            .session
            .run(&[(&self.info.input.name, &input)])
            .map_err(|e| e.to_string())?;
        let mut objects = match self.head.is_raw() {
            true => vec![],
            false => self.head.read(&outputs).map_err(|e| e.to_string())?,
        };
        objects.iter_mut().for_each(|o| placement.to_frame(o));
        let objects: Vec<Object> = objects.into_iter().map(on_frame).collect();
        let dense = self.labels == LabelKind::Dense;
        let tensors = outputs.iter().filter(|_| dense);
        Ok(Said {
            labels: Labels {
                teacher: self.name.clone(),
                tensors: tensors.map(|(n, t)| RawTensor::new(n, t)).collect(),
                objects: (!dense).then(|| objects.clone()),
            },
            objects,
            took: begun.elapsed(),
        })
    }
}

/// What the labels of a model are known by.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether a model that runs elsewhere can be read, and can give such labels.
///
/// # Errors
/// One message for the bus that names the file and what to do.
pub(super) fn check_labels(path: &Path, labels: LabelKind) -> Result<(), gst::ErrorMessage> {
    check_head(path, &LoadedModel::load(path)?, labels)
}

fn check_head(
    path: &Path,
    model: &LoadedModel,
    labels: LabelKind,
) -> Result<(), gst::ErrorMessage> {
    if labels == LabelKind::Decoded && Head::new(&model.info).is_raw() {
        return Err(gst::error_msg!(
            gst::LibraryError::Settings,
            (
                "labels=decoded: {} finds no objects, as nobody knows how to read its outputs; say so in its sidecar (head=)",
                path.display()
            )
        ));
    }
    Ok(())
}

fn on_frame(object: splitinfer_vision::Object) -> Object {
    Object {
        class: object.class,
        label: object.label,
        score: object.score,
        box_: object.box_,
        keypoints: object.keypoints,
        ..Default::default()
    }
}
