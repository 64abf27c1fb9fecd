// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tells the pipeline behind the server what became of each frame, with pictures where it wants them. On a thread of its own:
//! a picture is coded in the background, and what cannot be told in time is left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use gst_video::{VideoConverter, VideoFrame, VideoFrameRef, VideoInfo};
use splitinfer_meta::FrameResult;

use super::job::JPEG_QUALITY;
use super::link::{Link, Report};

/// Frames that may wait to be told of.
const WAITING: usize = 16;

/// A frame to be told of.
struct Told {
    result: FrameResult,
    pts: Option<gst::ClockTime>,
    /// Where its picture is wanted: the frame, and how it is to be read.
    picture: Option<(gst::Buffer, VideoInfo)>,
    size: (u16, u16),
}

/// Since the element started.
#[derive(Default)]
pub(super) struct Counts {
    reports: AtomicU64,
    pictures: AtomicU64,
    lost: AtomicU64,
}

impl Counts {
    /// Fields of `stats`.
    pub(super) fn fields(&self) -> [(&'static str, u64); 3] {
        [
            ("reports", self.reports.load(Ordering::Relaxed)),
            ("reported-pictures", self.pictures.load(Ordering::Relaxed)),
            ("reports-lost", self.lost.load(Ordering::Relaxed)),
        ]
    }
}

/// Dropping it ends its thread, after the picture that is being coded.
pub(super) struct Reporter {
    link: Arc<Link>,
    frames: Option<SyncSender<Told>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(link: Arc<Link>) -> std::io::Result<Self> {
        let (frames, waiting) = sync_channel(WAITING);
        let counts = Arc::<Counts>::default();
        let thread = std::thread::Builder::new()
            .name("splitinfer-tell".into())
            .spawn({
                let (link, counts) = (Arc::clone(&link), Arc::clone(&counts));
                move || tell_all(&waiting, &link, &counts)
            })?;
        Ok(Self {
            link,
            frames: Some(frames),
            counts,
            thread: Some(thread),
        })
    }

    /// A frame is about to leave with this result; never waits.
    pub(super) fn finished(
        &self,
        result: &FrameResult,
        buffer: &gst::Buffer,
        caps: Option<gst::Caps>,
    ) {
        if !self.link.takes_reports() {
            return;
        }
        let Some(info) = caps.and_then(|caps| VideoInfo::from_caps(&caps).ok()) else {
            return;
        };
        let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let size = (side(info.width()), side(info.height()));
        let due = self.link.picture_due(result.frame);
        let told = Told {
            result: result.clone(),
            pts: buffer.pts(),
            picture: due.then(|| (buffer.clone(), info)),
            size,
        };
        let frames = self.frames.as_ref();
        if frames.is_none_or(|frames| frames.try_send(told).is_err()) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        drop(self.frames.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell_all(frames: &Receiver<Told>, link: &Link, counts: &Counts) {
    let mut coder = Coder::default();
    while let Ok(told) = frames.recv() {
        let picture = told.picture.and_then(|(buffer, info)| {
            coder
                .code(&buffer, &info)
                .inspect_err(|e| gst::warning!(super::imp::CAT, "no picture for the server: {e}"))
                .ok()
        });
        let with_picture = picture.is_some();
        let sent = link.report(Report {
            frame: told.result.frame,
            pts_ns: told.pts.map(gst::ClockTime::nseconds),
            model_version: told.result.model_version,
            result: splitinfer_meta::to_json(&told.result, told.pts),
            picture: picture.unwrap_or_default(),
            size: told.size,
        });
        let count = match sent {
            true => &counts.reports,
            false => &counts.lost,
        };
        count.fetch_add(1, Ordering::Relaxed);
        counts
            .pictures
            .fetch_add(u64::from(sent && with_picture), Ordering::Relaxed);
    }
}

/// Makes JPEGs of frames in their own size.
#[derive(Default)]
struct Coder(Option<Conversion>);

/// From a camera's format to RGB.
struct Conversion {
    from: VideoInfo,
    converter: VideoConverter,
    rgb: VideoInfo,
}

impl Coder {
    fn code(&mut self, buffer: &gst::Buffer, info: &VideoInfo) -> Result<Vec<u8>, String> {
        if self.0.as_ref().is_none_or(|c| c.from != *info) {
            self.0 = Some(Conversion::new(info).map_err(|e| e.to_string())?);
        }
        let Some(conversion) = &self.0 else {
            return Err("there is no converter".into());
        };
        conversion.code(buffer)
    }
}

impl Conversion {
    fn new(from: &VideoInfo) -> Result<Self, gst::glib::BoolError> {
        let rgb = VideoInfo::builder(gst_video::VideoFormat::Rgb, from.width(), from.height())
            // A converter changes nothing of these.
            .fps(from.fps())
            .par(from.par())
            .interlace_mode(from.interlace_mode())
            .build()?;
        Ok(Self {
            from: from.clone(),
            converter: VideoConverter::new(from, &rgb, None)?,
            rgb,
        })
    }

    fn code(&self, buffer: &gst::Buffer) -> Result<Vec<u8>, String> {
        let unusable = || "the frame does not hold a picture".to_owned();
        let frame =
            VideoFrameRef::from_buffer_ref_readable(buffer, &self.from).map_err(|_| unusable())?;
        let target = gst::Buffer::with_size(self.rgb.size()).map_err(|e| e.to_string())?;
        let mut target =
            VideoFrame::from_buffer_writable(target, &self.rgb).map_err(|_| unusable())?;
        self.converter
            .frame_ref(&frame, &mut target.as_mut_video_frame_ref());
        let row = self.rgb.width() as usize * 3;
        let stride = usize::try_from(self.rgb.stride()[0]).map_err(|_| unusable())?;
        let data = target.plane_data(0).map_err(|e| e.to_string())?;
        let rgb: Vec<u8> = data
            .chunks(stride)
            .take(self.rgb.height() as usize)
            .flat_map(|line| &line[..row])
            .copied()
            .collect();
        let (width, height) = (self.rgb.width(), self.rgb.height());
        splitinfer_tensorcode::picture::encode_jpeg(&rgb, width, height, JPEG_QUALITY)
            .map_err(|e| e.to_string())
    }
}
