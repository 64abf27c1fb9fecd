// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a teacher says of a frame: its raw outputs or what it found, as custom metadata on the frame's buffer.

use crate::frame::{array, read_tensor, tensor_structure, without_nul};
use crate::{Object, RawTensor};
use std::sync::Once;

/// Name of the custom metadata and of the structure inside it.
pub const LABELS_NAME: &str = "SplitInferLabels";

/// What a teacher says of a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// File name of the teacher's model.
    pub teacher: String,
    /// Its outputs, by name.
    pub tensors: Vec<RawTensor>,
    /// What it found, in pixels of the frame, where that is what counts and not its outputs.
    pub objects: Option<Vec<Object>>,
}

impl Labels {
    /// Whether the teacher said nothing of the frame: the server that it runs on did not answer.
    pub fn is_silent(&self) -> bool {
        self.tensors.is_empty() && self.objects.is_none()
    }
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| crate::frame::register_custom(LABELS_NAME));
}

/// Puts labels on the frame.
///
/// # Errors
/// When GStreamer does not add the metadata.
pub fn attach_labels(
    buffer: &mut gst::BufferRef,
    labels: &Labels,
) -> Result<(), gst::glib::BoolError> {
    register();
    let mut meta = gst::meta::CustomMeta::add(buffer, LABELS_NAME)?;
    let structure = meta.mut_structure();
    structure.set("teacher", without_nul(&labels.teacher));
    structure.set(
        "tensors",
        gst::Array::new(labels.tensors.iter().map(tensor_structure)),
    );
    if let Some(objects) = &labels.objects {
        structure.set(
            "objects",
            gst::Array::new(objects.iter().map(object_structure)),
        );
    }
    Ok(())
}

fn object_structure(object: &Object) -> gst::Structure {
    let numbers = |values: &mut dyn Iterator<Item = f32>| gst::Array::new(values.map(f64::from));
    gst::Structure::builder("object")
        .field("label", without_nul(&object.label))
        .field("class-id", object.class)
        .field("score", f64::from(object.score))
        .field("box", numbers(&mut object.box_.into_iter()))
        .field(
            "keypoints",
            numbers(&mut object.keypoints.iter().flatten().copied()),
        )
        .build()
}

fn read_object(s: &gst::StructureRef) -> Option<Object> {
    let numbers = |name| -> Vec<f32> { array::<f64>(s, name).iter().map(|v| *v as f32).collect() };
    Some(Object {
        label: s.get("label").ok()?,
        class: s.get("class-id").ok()?,
        score: s.get::<f64>("score").ok()? as f32,
        box_: numbers("box").try_into().ok()?,
        keypoints: numbers("keypoints").as_chunks::<3>().0.to_vec(),
        ..Default::default()
    })
}

/// The labels on the frame, if there are any.
pub fn read_labels(buffer: &gst::BufferRef) -> Option<Labels> {
    register();
    let meta = gst::meta::CustomMeta::from_buffer(buffer, LABELS_NAME).ok()?;
    let structure = meta.structure();
    Some(Labels {
        teacher: structure.get("teacher").ok()?,
        tensors: array::<gst::Structure>(structure, "tensors")
            .iter()
            .filter_map(|t| read_tensor(t))
            .collect(),
        objects: structure.has_field("objects").then(|| {
            array::<gst::Structure>(structure, "objects")
                .iter()
                .filter_map(|o| read_object(o))
                .collect()
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_tensor::DType;

    #[test]
    fn what_was_attached_is_read() {
        gst::init().unwrap();
        let labels = Labels {
            teacher: "teacher.onnx".into(),
            tensors: vec![RawTensor {
                name: "heatmap".into(),
                dtype: DType::F32,
                dims: vec![1, 2],
                data: gst::glib::Bytes::from(&[0, 0, 128, 63, 0, 0, 0, 64][..]),
            }],
            objects: None,
        };
        let found = Labels {
            teacher: "teacher.onnx".into(),
            objects: Some(vec![Object {
                class: 3,
                label: "bus".into(),
                score: 0.5,
                box_: [1.0, 2.5, 30.0, 40.0],
                keypoints: vec![[1.0, 2.0, 0.25], [f32::INFINITY, 3.0, 0.0]],
                ..Default::default()
            }]),
            ..Default::default()
        };
        let nothing = Labels {
            objects: Some(vec![]),
            ..Default::default()
        };
        let silent = Labels {
            teacher: "teacher.onnx".into(),
            ..Default::default()
        };
        assert!(silent.is_silent());
        assert!([&labels, &found, &nothing].iter().all(|l| !l.is_silent()));
        for labels in [labels, found, nothing, silent] {
            let mut buffer = gst::Buffer::with_size(4).unwrap();
            assert_eq!(read_labels(&buffer), None);
            attach_labels(buffer.get_mut().unwrap(), &labels).unwrap();
            assert_eq!(read_labels(&buffer), Some(labels));
        }
    }
}
