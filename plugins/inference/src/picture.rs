// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A GStreamer video frame as `crates/vision` sees it: nothing is copied.

use gst_video::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameRef, VideoInfo};
use splitinfer_vision::{ColorMatrix, ColorRange, Frame, PixelFormat, Plane, VisionError};

/// The formats an element takes, those that cameras and decoders give first.
pub const FORMATS: [VideoFormat; 12] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yuy2,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Gray8,
];

fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    Some(match format {
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::Yuy2 => PixelFormat::Yuy2,
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Rgba => PixelFormat::Rgba,
        VideoFormat::Bgra => PixelFormat::Bgra,
        VideoFormat::Argb => PixelFormat::Argb,
        VideoFormat::Abgr => PixelFormat::Abgr,
        VideoFormat::Rgbx => PixelFormat::Rgbx,
        VideoFormat::Bgrx => PixelFormat::Bgrx,
        VideoFormat::Gray8 => PixelFormat::Gray8,
        _ => return None,
    })
}

/// Cameras and decoders that do not say use BT.601 for small pictures and BT.709 for large ones; so does GStreamer when
/// it fills in `VideoInfo`, so that what is unknown here is exotic.
fn matrix(info: &VideoInfo) -> ColorMatrix {
    match info.colorimetry().matrix() {
        VideoColorMatrix::Bt709 => ColorMatrix::Bt709,
        _ => ColorMatrix::Bt601,
    }
}

fn range(info: &VideoInfo) -> ColorRange {
    match info.colorimetry().range() {
        VideoColorRange::Range0_255 => ColorRange::Full,
        _ => ColorRange::Limited,
    }
}

/// The frame's planes, borrowed.
///
/// # Errors
/// For a format that caps negotiation should have kept out, and planes that do not hold what the caps say.
pub fn borrow<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>) -> Result<Frame<'a>, VisionError> {
    let info = frame.info();
    let refuse = |problem: &str| VisionError::Frame {
        format: info.format().to_str(),
        width: info.width(),
        height: info.height(),
        problem: problem.to_owned(),
    };
    let format =
        pixel_format(info.format()).ok_or_else(|| refuse("this format is not supported"))?;
    let planes = (0..frame.n_planes())
        .map(|i| {
            let stride = usize::try_from(frame.plane_stride()[i as usize]).ok()?;
            let data = frame.plane_data(i).ok()?;
            Some(Plane { data, stride })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| refuse("a plane is missing"))?;
    Frame::new(
        format,
        info.width(),
        info.height(),
        planes,
        matrix(info),
        range(info),
    )
}
