// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a teacher says of a frame: its raw outputs, as custom metadata on the frame's buffer.

use crate::RawTensor;
use crate::frame::{array, read_tensor, tensor_structure, without_nul};
use std::sync::Once;

/// Name of the custom metadata and of the structure inside it.
pub const LABELS_NAME: &str = "SplitInferLabels";

/// A teacher's soft labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// File name of the teacher's model.
    pub teacher: String,
    /// Its outputs, by name.
    pub tensors: Vec<RawTensor>,
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
    Ok(())
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
        };
        let mut buffer = gst::Buffer::with_size(4).unwrap();
        assert_eq!(read_labels(&buffer), None);
        attach_labels(buffer.get_mut().unwrap(), &labels).unwrap();
        assert_eq!(read_labels(&buffer), Some(labels));
    }
}
