// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The pictures of a stream, from JPEG to raw video.

use gst_video::{VideoFormat, VideoInfo};
use splitinfer_tensorcode::{Limits, picture};

/// Holds the last picture, for frames that come without one.
pub(super) struct Canvas {
    limits: Limits,
    last: Option<Last>,
}

struct Last {
    info: VideoInfo,
    /// Without metadata.
    buffer: gst::Buffer,
}

/// What there is to push for a frame.
#[derive(Default)]
pub(super) struct Painted {
    /// Where they have changed.
    pub(super) caps: Option<gst::Caps>,
    /// `None` before the first picture.
    pub(super) buffer: Option<gst::Buffer>,
}

impl Canvas {
    /// `most_bytes`: of a decoded picture.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            limits: Limits {
                max_bytes: most_bytes,
                ..Limits::default()
            },
            last: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.last = None;
    }

    /// The picture in `jpeg`; where that is empty the last one, marked as a gap: it is not that of the frame.
    ///
    /// # Errors
    /// In words, when `jpeg` is none, or larger than may be.
    pub(super) fn paint(&mut self, jpeg: &[u8]) -> Result<Painted, String> {
        if jpeg.is_empty() {
            let gap = |last: &Last| {
                let mut buffer = last.buffer.copy();
                buffer.make_mut().set_flags(gst::BufferFlags::GAP);
                buffer
            };
            return Ok(Painted {
                caps: None,
                buffer: self.last.as_ref().map(gap),
            });
        }
        let (width, height, rgb) =
            picture::decode_jpeg(jpeg, &self.limits).map_err(|e| e.to_string())?;
        let info = VideoInfo::builder(VideoFormat::Rgb, width, height)
            .fps(gst::Fraction::new(0, 1))
            .build()
            .map_err(|e| e.to_string())?;
        let changed = self.last.as_ref().is_none_or(|last| last.info != info);
        let caps = changed.then(|| info.to_caps()).transpose();
        let caps = caps.map_err(|e| e.to_string())?;
        let buffer = gst::Buffer::from_mut_slice(padded(rgb, &info));
        let copy = buffer.copy();
        self.last = Some(Last { info, buffer });
        Ok(Painted {
            caps,
            buffer: Some(copy),
        })
    }
}

/// Rows as long as GStreamer wants them.
fn padded(rgb: Vec<u8>, info: &VideoInfo) -> Vec<u8> {
    let row = info.width() as usize * 3;
    let stride = usize::try_from(info.stride()[0]).unwrap_or(row);
    if stride == row {
        return rgb;
    }
    let mut all = Vec::with_capacity(info.size());
    for line in rgb.chunks(row) {
        all.extend_from_slice(line);
        all.resize(all.len() + stride - row, 0);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u32, height: u32, grey: u8) -> Vec<u8> {
        let rgb = vec![grey; (width * height * 3) as usize];
        picture::encode_jpeg(&rgb, width, height, 90).unwrap()
    }

    #[test]
    fn frames_without_a_picture_are_gaps_with_the_last_one() {
        gst::init().unwrap();
        let mut canvas = Canvas::new(1 << 20);
        assert!(canvas.paint(&[]).unwrap().buffer.is_none());
        let first = canvas.paint(&jpeg(18, 8, 100)).unwrap();
        let caps = first.caps.unwrap();
        assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(18));
        let buffer = first.buffer.unwrap();
        // 54 bytes a row become 56.
        assert_eq!(buffer.size(), 8 * 56);
        assert!(!buffer.flags().contains(gst::BufferFlags::GAP));
        let gap = canvas.paint(&[]).unwrap();
        assert!(gap.caps.is_none());
        let gap = gap.buffer.unwrap();
        assert!(gap.flags().contains(gst::BufferFlags::GAP));
        let bytes = |b: &gst::Buffer| b.map_readable().unwrap().to_vec();
        assert_eq!(bytes(&gap), bytes(&buffer));
        assert!(canvas.paint(&jpeg(18, 8, 50)).unwrap().caps.is_none());
        assert!(canvas.paint(&jpeg(20, 8, 50)).unwrap().caps.is_some());
    }

    #[test]
    fn what_is_no_picture_and_what_is_too_large_is_refused() {
        gst::init().unwrap();
        let mut canvas = Canvas::new(1000);
        assert!(canvas.paint(b"no picture").is_err());
        let too_large = canvas.paint(&jpeg(64, 64, 1)).err().unwrap();
        assert!(too_large.contains("1000"), "{too_large}");
    }
}
