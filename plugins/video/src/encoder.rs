// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures to H.264.

use std::time::Duration;

use gst_video::{UpstreamForceKeyUnitEvent, VideoInfo};
use splitinfer_vision::Picture;

use super::through::Through;
use super::{VideoError, pictures};

/// Encoders that are tried where the user names none, the better first. They have no thread of their own, give a buffer for
/// each they get at once, and a key picture only when it is asked for or the scene is another one. The quality is that of
/// the JPEGs that are sent otherwise, by the objects that are found (docs/measurements/cuts.md).
const KNOWN: [(&str, &str); 2] = [
    (
        "x264enc",
        "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=100000 pass=qual quantizer=18",
    ),
    (
        "openh264enc",
        "openh264enc complexity=low multi-thread=1 gop-size=100000 rate-control=off qp-min=17 qp-max=17",
    ),
];
const CAPS: &str = "video/x-h264,stream-format=byte-stream,alignment=au";
/// Between a picture's coming in and its coming out: an encoder that is slower holds pictures back, which nobody can wait
/// for.
const PATIENCE: Duration = Duration::from_millis(150);
/// The first one also starts the encoder.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);
const FRAME_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A coded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded {
    /// One access unit of a byte stream.
    pub bytes: Vec<u8>,
    /// It needs no earlier one.
    pub key: bool,
}

/// An encoder of pictures of one size.
pub struct VideoEncoder {
    elements: Through,
    info: VideoInfo,
    count: u64,
}

impl VideoEncoder {
    /// `elements`: the encoder, with its settings, as `gst-launch-1.0` takes it; `None`: the best one that this machine
    /// has and that is known to work. It has shown then that it gives pictures without delay.
    ///
    /// # Errors
    /// When there is none, or none that takes such pictures and gives them at once.
    pub fn new(elements: Option<&str>, width: u32, height: u32) -> Result<Self, VideoError> {
        if let Some(named) = elements {
            return Self::tried(named, true, width, height);
        }
        let mut problems = Vec::new();
        for (name, description) in KNOWN {
            if gst::ElementFactory::find(name).is_none() {
                problems.push(format!("there is no {name}"));
                continue;
            }
            match Self::tried(description, false, width, height) {
                Ok(encoder) => return Ok(encoder),
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        Err(VideoError::new(problems.join("; ")))
    }

    /// `foreign`: whether it may have threads of its own, and block.
    fn tried(encoder: &str, foreign: bool, width: u32, height: u32) -> Result<Self, VideoError> {
        if width % 2 + height % 2 > 0 {
            let text = format!("{width}×{height}: width and height must be even");
            return Err(VideoError::new(text));
        }
        // The caller hands a buffer over and waits for the answer only so long.
        let queue = if foreign { "queue ! " } else { "" };
        let parse = if foreign {
            " ! h264parse config-interval=-1"
        } else {
            ""
        };
        let info = pictures::rgb(width, height)?;
        let caps = info.to_caps().map_err(|e| VideoError::new(e.to_string()))?;
        let text = format!("{queue}videoconvert ! {encoder}{parse} ! capsfilter caps={CAPS}");
        let mut this = Self {
            elements: Through::new(&text, &caps)?,
            info,
            count: 0,
        };
        let grey = vec![128; width as usize * height as usize * 3];
        let grey = Picture::new(width, height, grey).map_err(|e| VideoError::new(e.to_string()))?;
        let first = this.pass(&grey, FIRST_PATIENCE)?;
        let second = this.encode(&grey, true)?;
        match first.key && second.key {
            true => Ok(this),
            false => Err(VideoError::new(format!(
                "no key pictures on demand: {encoder}"
            ))),
        }
    }

    /// The next picture of the stream. With `key` one that needs no earlier one; it may be one also without.
    ///
    /// # Errors
    /// When the picture has another size, or the encoder fails or gives nothing for it in time: it cannot be used any more
    /// then.
    pub fn encode(&mut self, picture: &Picture, key: bool) -> Result<Coded, VideoError> {
        if key {
            let wish = UpstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .build();
            self.elements.send_upstream(wish);
        }
        self.pass(picture, PATIENCE)
    }

    fn pass(&mut self, picture: &Picture, patience: Duration) -> Result<Coded, VideoError> {
        if (picture.width, picture.height) != (self.info.width(), self.info.height()) {
            return Err(VideoError::new(
                "the picture has another size than those before it",
            ));
        }
        let mut buffer = pictures::to_buffer(picture, &self.info)?;
        if let Some(buffer) = buffer.get_mut() {
            let at = FRAME_TIME * self.count;
            buffer.set_pts(at);
            buffer.set_dts(at);
            buffer.set_duration(FRAME_TIME);
        }
        self.count += 1;
        self.elements.push(buffer)?;
        let coded = self.elements.take(patience).ok_or_else(|| {
            let problem = format!("the encoder gave nothing for {} ms", patience.as_millis());
            self.elements.explained(&problem, "")
        })?;
        let key = !coded.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let bytes = coded.map_readable();
        let bytes = bytes.map_err(|e| VideoError::new(e.to_string()))?.to_vec();
        Ok(Coded { bytes, key })
    }
}
