// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! H.264 to pictures.

use std::time::Duration;

use splitinfer_vision::Picture;

use super::through::Through;
use super::{VideoError, pictures, sizes};

/// Decoders, the better first. They work in the caller's thread, and have given a picture when the push returns; those with
/// hardware may not, and who reads what a stranger sends should not depend on a driver.
const KNOWN: [(&str, &str); 2] = [
    (
        "avdec_h264",
        "avdec_h264 max-threads=1 output-corrupt=false discard-corrupted-frames=true",
    ),
    ("openh264dec", "openh264dec"),
];

/// A decoder of pictures of one size.
pub struct VideoDecoder {
    elements: Through,
    size: (u32, u32),
}

impl VideoDecoder {
    /// Whether this machine has one. Loads the library behind it, which may take longer than the first picture has.
    pub fn works() -> bool {
        Self::new(64, 64).is_ok()
    }

    /// # Errors
    /// When there is none.
    pub fn new(width: u32, height: u32) -> Result<Self, VideoError> {
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .build();
        let mut problems = Vec::new();
        for (name, decoder) in KNOWN {
            if gst::ElementFactory::find(name).is_none() {
                problems.push(format!("there is no {name}"));
                continue;
            }
            let text = format!(
                "{decoder} ! videoconvert ! capsfilter caps=video/x-raw,format=RGB,width={width},height={height}"
            );
            match Through::new(&text, &caps) {
                Ok(elements) => {
                    let size = (width, height);
                    return Ok(Self { elements, size });
                }
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        Err(VideoError::new(problems.join("; ")))
    }

    /// The next picture of the stream, from one access unit.
    ///
    /// # Errors
    /// When it cannot be decoded, has another size, or is not given at once. The decoder cannot be used any more then.
    pub fn decode(&mut self, unit: &[u8]) -> Result<Picture, VideoError> {
        let (width, height) = self.size;
        sizes::check(unit, width, height)?;
        let buffer = gst::Buffer::from_slice(unit.to_vec());
        self.elements.push(buffer)?;
        let failed = |problem: &str| self.elements.explained(problem, "");
        let picture = self.elements.take(Duration::ZERO);
        let picture = picture.ok_or_else(|| failed("no picture can be decoded"))?;
        let caps = self
            .elements
            .caps()
            .ok_or_else(|| failed("a picture of no kind"))?;
        if self.elements.take(Duration::ZERO).is_some() {
            return Err(failed("it holds more than one picture"));
        }
        pictures::from_buffer(&picture, &caps)
    }
}
