// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The frame-level custom metadata, and a whole result on and off a buffer.

use crate::region;
use crate::{Completed, FrameResult, RawTensor};
use gst::glib;
use gst::prelude::*;
use splitinfer_tensor::DType;
use std::sync::Once;

/// Name of the custom metadata and of the structure inside it.
pub const META_NAME: &str = "SplitInferResult";

/// Makes [`META_NAME`] known to GStreamer, unless another shared object in this process has.
///
/// It is registered without tags and without a transform function of ours: so every element copies
/// it (a tag such as `size` would make scalers and filters drop it), and no code of a shared object
/// has to outlive that object.
///
/// # Panics
/// When GStreamer is not initialised.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| register_custom(META_NAME));
}

/// Makes a custom metadata without tags known to GStreamer, if nobody else has.
///
/// # Panics
/// When GStreamer is not initialised.
pub fn register_custom(name: &str) {
    // Both plugins and the application may carry a copy of this crate, each with its own memory of what it has
    // registered. The registry is the one object that they share for certain.
    let registry = gst::Registry::get();
    let _guard = registry.object_lock();
    if !gst::meta::CustomMeta::is_registered(name) {
        gst::meta::CustomMeta::register_simple(name);
    }
}

/// Puts `result` on the frame, in place of one that is there already.
pub fn attach(buffer: &mut gst::BufferRef, result: &FrameResult) {
    update(buffer, result);
    #[cfg(feature = "v1_24")]
    crate::analytics::attach(buffer, &result.objects);
}

/// Like [`attach`], for a result that was read from this very frame and gained something, such as a
/// quality: what GStreamer's analytics metadata holds of it stays as it is.
pub fn update(buffer: &mut gst::BufferRef, result: &FrameResult) {
    detach(buffer);
    register();
    let objects: Vec<_> = result
        .objects
        .iter()
        .map(|object| region::add(buffer, object))
        .collect();
    match gst::meta::CustomMeta::add(buffer, META_NAME) {
        Ok(mut meta) => write_frame(meta.mut_structure(), result, objects),
        Err(e) => gst::error!(gst::CAT_RUST, "No result metadata on the frame: {e}"),
    }
}

/// Takes the result off the frame. Regions of interest of other elements stay.
pub fn detach(buffer: &mut gst::BufferRef) {
    let Some(frame) = frame_structure(buffer) else {
        return;
    };
    let ids: Vec<_> = array::<gst::Structure>(frame, "objects")
        .iter()
        .filter_map(|o| region::id(o))
        .collect();
    buffer.foreach_meta_mut(|mut meta| {
        let ours = meta
            .downcast_ref::<gst_video::VideoRegionOfInterestMeta>()
            .is_some_and(|m| ids.contains(&m.id()))
            || meta
                .try_as_custom_meta()
                .is_some_and(|m| m.has_name(META_NAME));
        std::ops::ControlFlow::Continue(if ours {
            gst::buffer::BufferMetaForeachAction::Remove
        } else {
            gst::buffer::BufferMetaForeachAction::Keep
        })
    });
}

/// Whether there is a result on the frame.
pub fn is_attached(buffer: &gst::BufferRef) -> bool {
    frame_structure(buffer).is_some()
}

/// The result on the frame, if there is one.
pub fn read(buffer: &gst::BufferRef) -> Option<FrameResult> {
    let frame = frame_structure(buffer)?;
    Some(FrameResult {
        objects: array::<gst::Structure>(frame, "objects")
            .iter()
            .filter_map(|o| region::read(buffer, o))
            .collect(),
        ..read_frame(frame)?
    })
}

fn frame_structure(buffer: &gst::BufferRef) -> Option<&gst::StructureRef> {
    register();
    let meta = gst::meta::CustomMeta::from_buffer(buffer, META_NAME).ok()?;
    let structure: *const gst::StructureRef = meta.structure();
    // SAFETY: the structure belongs to the metadata, which lives as long as the buffer is borrowed;
    // `structure()` ties it to the shorter-lived handle only.
    Some(unsafe { &*structure })
}

fn write_frame(s: &mut gst::StructureRef, result: &FrameResult, objects: Vec<gst::Structure>) {
    s.set("frame", result.frame);
    s.set("split", without_nul(&result.split));
    s.set("model-version", result.model_version);
    s.set("latency", result.latency);
    s.set_if_some("budget", result.budget);
    s.set("completed", result.completed.as_str());
    s.set_if_some("received", result.received);
    s.set("objects", gst::Array::new(objects));
    s.set_if_some("mirror-agreement", result.mirror_agreement);
    if !result.skeleton.is_empty() {
        s.set(
            "skeleton",
            gst::Array::new(result.skeleton.iter().flatten()),
        );
    }
    if !result.tensors.is_empty() {
        s.set(
            "tensors",
            gst::Array::new(result.tensors.iter().map(tensor_structure)),
        );
    }
}

fn read_frame(s: &gst::StructureRef) -> Option<FrameResult> {
    let completed: Completed = s.get::<&str>("completed").ok()?.parse().ok()?;
    Some(FrameResult {
        frame: s.get("frame").ok()?,
        split: s.get("split").ok()?,
        model_version: s.get("model-version").ok()?,
        latency: s.get("latency").ok()?,
        budget: s.get("budget").ok(),
        completed,
        received: s.get("received").ok(),
        objects: Vec::new(),
        mirror_agreement: s.get("mirror-agreement").ok(),
        skeleton: array::<u32>(s, "skeleton").as_chunks::<2>().0.to_vec(),
        tensors: array::<gst::Structure>(s, "tensors")
            .iter()
            .filter_map(|t| read_tensor(t))
            .collect(),
    })
}

pub(crate) fn tensor_structure(t: &RawTensor) -> gst::Structure {
    gst::Structure::builder("tensor")
        .field("name", without_nul(&t.name))
        .field("type", t.dtype.to_onnx())
        .field("dims", gst::Array::new(t.dims.iter().map(|d| *d as u64)))
        .field("data", &t.data)
        .build()
}

pub(crate) fn read_tensor(s: &gst::StructureRef) -> Option<RawTensor> {
    Some(RawTensor {
        name: s.get("name").ok()?,
        dtype: DType::from_onnx(s.get("type").ok()?)?,
        dims: array::<u64>(s, "dims")
            .into_iter()
            .map(|d| usize::try_from(d).ok())
            .collect::<Option<_>>()?,
        data: s.get("data").ok()?,
    })
}

/// The elements of an array field; none where it is absent or holds something else.
pub(crate) fn array<T>(s: &gst::StructureRef, name: &str) -> Vec<T>
where
    T: for<'a> glib::value::FromValue<'a>,
{
    let Ok(values) = s.get::<gst::ArrayRef>(name) else {
        return Vec::new();
    };
    let values = values.as_slice();
    values.iter().filter_map(|v| v.get::<T>().ok()).collect()
}

/// C strings end at the first NUL, so text from a model or a network must not hold one.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests;
