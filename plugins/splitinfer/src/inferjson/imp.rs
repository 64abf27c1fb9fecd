// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::subclass::base_transform::GenerateOutputSuccess;
use gst_base::subclass::prelude::*;
use std::sync::{LazyLock, Mutex};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "inferjson",
        gst::DebugColorFlags::empty(),
        Some("Results of inference as JSON"),
    )
});

const JSON: &str = "application/x-json";

#[derive(Default)]
pub struct InferJson {
    /// What the next frame is called if it does not say so itself.
    next_frame: Mutex<u64>,
}

#[glib::object_subclass]
impl ObjectSubclass for InferJson {
    const NAME: &'static str = "GstInferJson";
    type Type = super::InferJson;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for InferJson {}

impl GstObjectImpl for InferJson {}

impl ElementImpl for InferJson {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Inference result to JSON",
                "Filter/Converter/Metadata",
                "Turns each frame into one line of JSON with the result that splitinfer-edge put \
                 on it",
                "The splitinfer developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            [
                ("sink", gst::PadDirection::Sink, any_video()),
                (
                    "src",
                    gst::PadDirection::Src,
                    gst::Caps::new_empty_simple(JSON),
                ),
            ]
            .into_iter()
            .filter_map(|(name, direction, caps)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
            })
            .collect()
        });
        TEMPLATES.as_ref()
    }
}

/// In any memory: the picture itself is never looked at.
fn any_video() -> gst::Caps {
    gst::Caps::builder("video/x-raw").any_features().build()
}

impl BaseTransformImpl for InferJson {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *self.next_frame.lock().unwrap() = 0;
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        _caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let other = match direction {
            gst::PadDirection::Sink => gst::Caps::new_empty_simple(JSON),
            _ => any_video(),
        };
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }

    /// Lines differ in length, so each brings its own buffer.
    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let Some(frame) = self.take_queued_buffer() else {
            return Ok(GenerateOutputSuccess::NoOutput);
        };
        let mut json = gst::Buffer::from_mut_slice(self.line(&frame).into_bytes());
        let kept = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
        let copied = frame.copy_into(json.make_mut(), kept, ..);
        copied.map_err(|e| {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("The time stamps of a frame could not be copied: {e}")
            );
            gst::FlowError::Error
        })?;
        Ok(GenerateOutputSuccess::Buffer(json))
    }
}

impl InferJson {
    /// The line for this frame, with its line break.
    fn line(&self, frame: &gst::BufferRef) -> String {
        let mut next = self.next_frame.lock().unwrap();
        let mut line = match splitinfer_meta::read(frame) {
            Some(result) => {
                *next = result.frame;
                splitinfer_meta::to_json(&result, frame.pts())
            }
            None => {
                gst::log!(CAT, imp = self, "Frame {next} has no result");
                splitinfer_meta::without_result(*next, frame.pts())
            }
        };
        *next += 1;
        line.push('\n');
        line
    }
}
