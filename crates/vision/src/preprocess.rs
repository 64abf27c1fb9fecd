// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use splitinfer_tensor::Tensor;

use crate::modelinfo::InputInfo;
use crate::normalise::Normaliser;
use crate::resize::{self, Resizer};
use crate::{Frame, ModelInfo, Picture, PixelFormat, Placement, VisionError, convert};

/// Makes a model's input from frames of any size and format.
///
/// Keeps its buffers from frame to frame; only what it returns is allocated anew. Size and format may change at any frame.
pub struct Preprocessor {
    input: InputInfo,
    resizer: Resizer,
    normaliser: Normaliser,
    /// The frame as tight RGB.
    rgb: Vec<u8>,
}

impl Preprocessor {
    pub fn new(info: &ModelInfo) -> Self {
        Self {
            input: info.input.clone(),
            resizer: Resizer::new(),
            normaliser: Normaliser::new(&info.input),
            rgb: Vec::new(),
        }
    }

    /// The picture the model sees of this frame, and where on it the frame lies.
    ///
    /// # Errors
    /// When a kernel refuses, which a checked [`Frame`] does not let happen.
    pub fn picture(&mut self, frame: &Frame<'_>) -> Result<(Picture, Placement), VisionError> {
        let (width, height) = (frame.width(), frame.height());
        let placement = resize::placement(&self.input, width, height);
        let plane = frame.planes()[0];
        let tight = width as usize * height as usize * 3;
        let picture = if frame.format() == PixelFormat::Rgb && plane.stride == width as usize * 3 {
            let rgb = &plane.data[..tight];
            self.resizer.fit(&self.input, rgb, width, height)?
        } else {
            convert::to_rgb(frame, &mut self.rgb)?;
            self.resizer.fit(&self.input, &self.rgb, width, height)?
        };
        Ok((picture, placement))
    }

    /// The input tensor of a picture, which may have come over the network.
    ///
    /// # Errors
    /// When the picture has not the size the model takes.
    pub fn tensor(&mut self, picture: &Picture) -> Result<Tensor, VisionError> {
        let (w, h) = (self.input.width, self.input.height);
        if (picture.width, picture.height) != (w, h)
            || picture.rgb.len() != w as usize * h as usize * 3
        {
            return Err(VisionError::Picture {
                expected: format!("{w}x{h}"),
                got: format!("{}x{}", picture.width, picture.height),
            });
        }
        self.normaliser.tensor(picture)
    }
}
