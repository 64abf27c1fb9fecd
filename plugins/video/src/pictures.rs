// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures as buffers, and back.

use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use splitinfer_vision::Picture;

use super::VideoError;

/// Nothing of what the coders do depends on the rate.
const RATE: gst::Fraction = gst::Fraction::from_integer(25);

pub(super) fn rgb(width: u32, height: u32) -> Result<VideoInfo, VideoError> {
    VideoInfo::builder(VideoFormat::Rgb, width, height)
        .fps(RATE)
        .build()
        .map_err(|_| VideoError::new(format!("no video can be {width}×{height}")))
}

pub(super) fn to_buffer(picture: &Picture, info: &VideoInfo) -> Result<gst::Buffer, VideoError> {
    let unfit = || VideoError::new("the picture does not fit its buffer");
    let mut buffer = gst::Buffer::with_size(info.size()).map_err(|_| unfit())?;
    {
        let target = buffer.get_mut().ok_or_else(unfit)?;
        let mut frame =
            VideoFrameRef::from_buffer_ref_writable(target, info).map_err(|_| unfit())?;
        let stride = frame.plane_stride()[0] as usize;
        let row = picture.width as usize * 3;
        let data = frame.plane_data_mut(0).map_err(|_| unfit())?;
        for (to, from) in data.chunks_mut(stride).zip(picture.rgb.chunks(row)) {
            to[..row].copy_from_slice(from);
        }
    }
    Ok(buffer)
}

/// `caps`: of the buffer, RGB.
pub(super) fn from_buffer(buffer: &gst::Buffer, caps: &gst::Caps) -> Result<Picture, VideoError> {
    let unfit = |e: &dyn std::fmt::Display| VideoError::new(format!("not a picture: {e}"));
    let info = VideoInfo::from_caps(caps).map_err(|e| unfit(&e))?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(|e| unfit(&e))?;
    let (stride, row) = (frame.plane_stride()[0] as usize, info.width() as usize * 3);
    let data = frame.plane_data(0).map_err(|e| unfit(&e))?;
    let rows = data.chunks(stride).take(info.height() as usize);
    let rgb = rows.flat_map(|line| &line[..row]).copied().collect();
    Picture::new(info.width(), info.height(), rgb).map_err(|e| unfit(&e))
}
