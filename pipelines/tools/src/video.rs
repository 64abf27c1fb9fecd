// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames of a video file, decoded by GStreamer.

use crate::playing::Playing;
use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoFrameRef, VideoInfo};
use splitinfer_vision::{ColorMatrix, ColorRange, Frame, PixelFormat, Plane};
use std::path::Path;

/// No decoder takes that long for one frame.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Where a file does not tell its length, it is taken to have so many times the frames that are wanted.
const USUAL_STRIDE: u64 = 10;

/// Calls `each` with about `wanted` frames and their numbers from 0, evenly spread over the video, as the decoder gives
/// them. Returns how many there were.
///
/// # Errors
/// When the file cannot be read, is no video, or cannot be decoded here; whatever `each` finds wrong.
pub(crate) fn frames(
    path: &Path,
    wanted: usize,
    mut each: impl FnMut(u64, &Frame<'_>) -> Result<()>,
) -> Result<usize> {
    let subject = || format!("video {}", path.display());
    std::fs::File::open(path).with_context(subject)?;
    gst::init().context("GStreamer does not start")?;
    let reader = Reader::open(path).with_context(subject)?;
    let mut length = None;
    let mut taken = 0;
    for number in 0u64.. {
        let Some(sample) = reader.0.next(PATIENCE).with_context(subject)? else {
            break;
        };
        let length = *length.get_or_insert_with(|| {
            let told = reader.length(&sample);
            told.unwrap_or(wanted as u64 * USUAL_STRIDE).max(1)
        });
        if number * wanted as u64 >= taken as u64 * length {
            with_frame(&sample, |frame| each(number, frame)).with_context(subject)?;
            taken += 1;
            if taken == wanted {
                break;
            }
        }
    }
    if taken == 0 {
        bail!("{}: it has no pictures", subject());
    }
    Ok(taken)
}

struct Reader(Playing);

impl Reader {
    fn open(path: &Path) -> Result<Self> {
        let pipeline = gst::parse::launch(
            "filesrc name=file ! decodebin ! videoconvert ! appsink name=frames sync=false max-buffers=4",
        )
        .context("GStreamer lacks an element (install its base and good plugins)")?;
        let pipeline: gst::Pipeline = pipeline.downcast().map_err(|_| anyhow!("not a pipeline"))?;
        let file = pipeline.by_name("file").context("no source")?;
        file.set_property("location", path);
        let sink = pipeline
            .by_name("frames")
            .and_then(|s| s.downcast::<gst_app::AppSink>().ok())
            .context("no sink")?;
        // What vision reads itself is not converted, so the tool sees the very bytes that the element sees.
        let formats = PixelFormat::ALL.map(|f| VideoFormat::from_string(f.name()));
        sink.set_caps(Some(
            &gst_video::VideoCapsBuilder::new()
                .format_list(formats)
                .build(),
        ));
        Ok(Self(Playing::start(pipeline, sink)?))
    }

    /// Frames in the file, as far as that can be told.
    fn length(&self, sample: &gst::Sample) -> Option<u64> {
        let duration = self.0.pipeline().query_duration::<gst::ClockTime>()?;
        let info = VideoInfo::from_caps(sample.caps()?).ok()?;
        let fps = info.fps();
        let (n, d) = (
            u64::try_from(fps.numer()).ok()?,
            u64::try_from(fps.denom()).ok()?,
        );
        duration
            .nseconds()
            .checked_mul(n)?
            .checked_div(d.checked_mul(1_000_000_000)?)
    }
}

fn with_frame(sample: &gst::Sample, each: impl FnOnce(&Frame<'_>) -> Result<()>) -> Result<()> {
    let caps = sample.caps().context("a frame without a format")?;
    let info = VideoInfo::from_caps(caps)?;
    let buffer = sample.buffer().context("a frame without a picture")?;
    let mapped = VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let name = info.format().to_str();
    let format =
        PixelFormat::from_name(name).with_context(|| format!("format {name} is not read"))?;
    let colors = info.colorimetry();
    let matrix = match colors.matrix() {
        VideoColorMatrix::Bt709 => ColorMatrix::Bt709,
        _ => ColorMatrix::Bt601,
    };
    let range = match colors.range() {
        VideoColorRange::Range0_255 => ColorRange::Full,
        _ => ColorRange::Limited,
    };
    let planes = (0..mapped.n_planes())
        .map(|i| {
            let stride = usize::try_from(mapped.plane_stride()[i as usize])?;
            let data = mapped.plane_data(i)?;
            Ok(Plane { data, stride })
        })
        .collect::<Result<_>>()?;
    each(&Frame::new(
        format,
        info.width(),
        info.height(),
        planes,
        matrix,
        range,
    )?)
}
