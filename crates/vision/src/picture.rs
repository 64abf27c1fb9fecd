// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use crate::VisionError;

/// The picture a model sees: its input size, RGB whatever the model's colour order, nothing normalised yet.
///
/// This is what crosses the network when the whole model runs on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// R, G, B, row after row without padding: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// # Errors
    /// When `rgb` is not exactly `width * height * 3` bytes long.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, VisionError> {
        let expected = width as usize * height as usize * 3;
        if rgb.len() != expected {
            return Err(VisionError::Picture {
                expected: format!("{width}x{height} ({expected} bytes of RGB)"),
                got: format!("{} bytes", rgb.len()),
            });
        }
        Ok(Self { width, height, rgb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_must_fill_the_picture() {
        assert!(Picture::new(2, 2, vec![0; 12]).is_ok());
        assert!(Picture::new(2, 2, vec![0; 11]).is_err());
    }
}
