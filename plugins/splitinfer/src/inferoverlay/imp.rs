// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use super::blend::Blender;
use super::canvas::Canvas;
use super::drawing::{self, Style};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::VideoFormat as F;
use gst_video::VideoFrameExt;
use gst_video::subclass::prelude::*;
use std::sync::{LazyLock, Mutex};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "inferoverlay",
        gst::DebugColorFlags::empty(),
        Some("Draws the result of inference"),
    )
});

/// Those of `splitinfer-edge`, so that the overlay stands directly behind it.
pub(super) const FORMATS: [F; 20] = [
    F::I420,
    F::Yv12,
    F::Nv12,
    F::Nv21,
    F::Y42b,
    F::Y444,
    F::Yuy2,
    F::Uyvy,
    F::Yvyu,
    F::Rgb,
    F::Bgr,
    F::Rgba,
    F::Bgra,
    F::Argb,
    F::Abgr,
    F::Rgbx,
    F::Bgrx,
    F::Xrgb,
    F::Xbgr,
    F::Gray8,
];

#[derive(Default)]
pub struct InferOverlay {
    style: Mutex<Style>,
    state: Mutex<Option<State>>,
}

/// What depends on the caps.
struct State {
    canvas: Canvas,
    blender: Blender,
}

#[glib::object_subclass]
impl ObjectSubclass for InferOverlay {
    const NAME: &'static str = "GstInferOverlay";
    type Type = super::InferOverlay;
    type ParentType = gst_video::VideoFilter;
}

fn switch(name: &str, blurb: &str) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name)
        .nick(&name.replace('-', " "))
        .blurb(blurb)
        .default_value(true)
        .mutable_playing()
        .build()
}

fn share(name: &str, blurb: &str, default: f64) -> glib::ParamSpec {
    glib::ParamSpecDouble::builder(name)
        .nick(&name.replace('-', " "))
        .blurb(blurb)
        .minimum(0.0)
        .maximum(1.0)
        .default_value(default)
        .mutable_playing()
        .build()
}

impl ObjectImpl for InferOverlay {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let default = Style::default();
            vec![
                switch("show-boxes", "Draw the box of each object"),
                switch(
                    "show-labels",
                    "Write label, track, score and quality of each object above its box",
                ),
                switch(
                    "show-keypoints",
                    "Draw keypoints and the lines of the skeleton",
                ),
                switch(
                    "show-status",
                    "Write split, latency, who completed the frame, and quality at the top",
                ),
                glib::ParamSpecUInt::builder("line-width")
                    .nick("Line width")
                    .blurb("Width of lines in pixels (0: from the size of the picture)")
                    .maximum(100)
                    .default_value(default.line_width)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecDouble::builder("font-scale")
                    .nick("Font scale")
                    .blurb("Size of text, relative to what suits the size of the picture")
                    .minimum(0.1)
                    .maximum(10.0)
                    .default_value(default.font_scale)
                    .mutable_playing()
                    .build(),
                share(
                    "score-threshold",
                    "Leave out objects with a lower score",
                    default.score_threshold,
                ),
                share(
                    "keypoint-threshold",
                    "Leave out keypoints with a lower score",
                    default.keypoint_threshold,
                ),
            ]
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        fn set<T: for<'a> glib::value::FromValue<'a>>(field: &mut T, value: &glib::Value) {
            // GObject has checked the type against the specification.
            if let Ok(value) = value.get() {
                *field = value;
            }
        }
        let mut style = self.style.lock().unwrap();
        match pspec.name() {
            "show-boxes" => set(&mut style.boxes, value),
            "show-labels" => set(&mut style.labels, value),
            "show-keypoints" => set(&mut style.keypoints, value),
            "show-status" => set(&mut style.status, value),
            "line-width" => set(&mut style.line_width, value),
            "font-scale" => set(&mut style.font_scale, value),
            "score-threshold" => set(&mut style.score_threshold, value),
            "keypoint-threshold" => set(&mut style.keypoint_threshold, value),
            name => gst::error!(CAT, imp = self, "No property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let style = self.style.lock().unwrap();
        match pspec.name() {
            "show-boxes" => style.boxes.to_value(),
            "show-labels" => style.labels.to_value(),
            "show-keypoints" => style.keypoints.to_value(),
            "show-status" => style.status.to_value(),
            "line-width" => style.line_width.to_value(),
            "font-scale" => style.font_scale.to_value(),
            "score-threshold" => style.score_threshold.to_value(),
            "keypoint-threshold" => style.keypoint_threshold.to_value(),
            _ => pspec.default_value().clone(),
        }
    }
}

impl GstObjectImpl for InferOverlay {}

impl ElementImpl for InferOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Inference result overlay",
                "Filter/Editor/Video",
                "Draws boxes, skeletons, labels, split, latency and quality of the result that \
                 splitinfer-edge put on each frame",
                "The splitinfer developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(FORMATS)
                .build();
            [
                ("sink", gst::PadDirection::Sink),
                ("src", gst::PadDirection::Src),
            ]
            .into_iter()
            .filter_map(|(name, direction)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
            })
            .collect()
        });
        TEMPLATES.as_ref()
    }
}

impl BaseTransformImpl for InferOverlay {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap() = None;
        Ok(())
    }

    /// A frame without a result passes as it is: it is not even copied when it is shared.
    fn before_transform(&self, buffer: &gst::BufferRef) {
        self.obj()
            .set_passthrough(!splitinfer_meta::is_attached(buffer));
    }
}

impl VideoFilterImpl for InferOverlay {
    fn set_info(
        &self,
        _incaps: &gst::Caps,
        info: &gst_video::VideoInfo,
        _outcaps: &gst::Caps,
        _out_info: &gst_video::VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        let (width, height) = (info.width(), info.height());
        let canvas = Canvas::new(width, height).ok_or_else(|| {
            gst::loggable_error!(CAT, "A picture of {width}×{height} is too large to draw on")
        })?;
        *self.state.lock().unwrap() = Some(State {
            canvas,
            blender: Blender::new(info),
        });
        Ok(())
    }

    fn transform_frame_ip(
        &self,
        frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(result) = splitinfer_meta::read(frame.buffer()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let style = self.style.lock().unwrap().clone();
        let mut state = self.state.lock().unwrap();
        let State { canvas, blender } = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        drawing::draw(canvas, &result, &style);
        canvas.blend_onto(blender, frame);
        Ok(gst::FlowSuccess::Ok)
    }
}
