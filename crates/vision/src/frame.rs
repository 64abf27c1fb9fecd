// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use crate::VisionError;

/// The raw video formats cameras and decoders give, named as in GStreamer's caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Y42b,
    Y444,
    Yuy2,
    Uyvy,
    Yvyu,
    Rgb,
    Bgr,
    Rgba,
    Bgra,
    Argb,
    Abgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
    Gray8,
}

impl PixelFormat {
    pub const ALL: [Self; 20] = [
        Self::I420,
        Self::Yv12,
        Self::Nv12,
        Self::Nv21,
        Self::Y42b,
        Self::Y444,
        Self::Yuy2,
        Self::Uyvy,
        Self::Yvyu,
        Self::Rgb,
        Self::Bgr,
        Self::Rgba,
        Self::Bgra,
        Self::Argb,
        Self::Abgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::Xrgb,
        Self::Xbgr,
        Self::Gray8,
    ];

    /// The name in `video/x-raw` caps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I420 => "I420",
            Self::Yv12 => "YV12",
            Self::Nv12 => "NV12",
            Self::Nv21 => "NV21",
            Self::Y42b => "Y42B",
            Self::Y444 => "Y444",
            Self::Yuy2 => "YUY2",
            Self::Uyvy => "UYVY",
            Self::Yvyu => "YVYU",
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
            Self::Rgba => "RGBA",
            Self::Bgra => "BGRA",
            Self::Argb => "ARGB",
            Self::Abgr => "ABGR",
            Self::Rgbx => "RGBx",
            Self::Bgrx => "BGRx",
            Self::Xrgb => "xRGB",
            Self::Xbgr => "xBGR",
            Self::Gray8 => "GRAY8",
        }
    }

    /// From the name in `video/x-raw` caps.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Bytes in a row and rows, of each plane of a frame of this size.
    fn planes(self, width: usize, height: usize) -> Vec<(usize, usize)> {
        let (half_w, half_h) = (width.div_ceil(2), height.div_ceil(2));
        match self {
            Self::I420 | Self::Yv12 => vec![(width, height), (half_w, half_h), (half_w, half_h)],
            Self::Nv12 | Self::Nv21 => vec![(width, height), (half_w * 2, half_h)],
            Self::Y42b => vec![(width, height), (half_w, height), (half_w, height)],
            Self::Y444 => vec![(width, height); 3],
            Self::Yuy2 | Self::Uyvy | Self::Yvyu => vec![(half_w * 4, height)],
            Self::Rgb | Self::Bgr => vec![(width * 3, height)],
            Self::Rgba
            | Self::Bgra
            | Self::Argb
            | Self::Abgr
            | Self::Rgbx
            | Self::Bgrx
            | Self::Xrgb
            | Self::Xbgr => vec![(width * 4, height)],
            Self::Gray8 => vec![(width, height)],
        }
    }
}

/// One plane of a frame. The last row need not be padded to the stride.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// How R, G, B were weighted into luma (ITU-R BT.601 or BT.709).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorMatrix {
    #[default]
    Bt601,
    Bt709,
}

/// Whether luma spans 16–235 (and chroma 16–240) or 0–255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorRange {
    #[default]
    Limited,
    Full,
}

/// A video frame that lies in someone else's memory, its planes checked against its format and size.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: Vec<Plane<'a>>,
    matrix: ColorMatrix,
    range: ColorRange,
}

/// No side of a frame may be longer; what is larger is a mistake, not a video.
pub(crate) const MAX_SIDE: u32 = 32_768;

impl<'a> Frame<'a> {
    /// Planes come in the format's own order (Y, V, U for YV12). `matrix` and `range` are ignored for the RGB formats;
    /// for `Gray8` only `range` counts.
    ///
    /// # Errors
    /// When the size is zero or absurd, a plane is missing, a stride shorter than a row, or a plane too short.
    pub fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: Vec<Plane<'a>>,
        matrix: ColorMatrix,
        range: ColorRange,
    ) -> Result<Self, VisionError> {
        let refuse = |problem: String| VisionError::Frame {
            format: format.name(),
            width,
            height,
            problem,
        };
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(refuse(format!("sides must be 1 to {MAX_SIDE} pixels")));
        }
        let expected = format.planes(width as usize, height as usize);
        if planes.len() != expected.len() {
            return Err(refuse(format!(
                "needs {} planes, has {}",
                expected.len(),
                planes.len()
            )));
        }
        for (i, (plane, (row, rows))) in planes.iter().zip(expected).enumerate() {
            if plane.stride < row || plane.stride > u32::MAX as usize {
                return Err(refuse(format!(
                    "plane {i} has a stride of {} bytes, but a row takes {row}",
                    plane.stride
                )));
            }
            // Rows and stride are both below 2^32, so this cannot overflow where usize has 64 bits.
            let needed = plane
                .stride
                .checked_mul(rows - 1)
                .and_then(|n| n.checked_add(row));
            if needed.is_none_or(|n| plane.data.len() < n) {
                return Err(refuse(format!(
                    "plane {i} holds {} bytes, but {rows} rows of stride {} take {}",
                    plane.data.len(),
                    plane.stride,
                    needed.unwrap_or(usize::MAX)
                )));
            }
        }
        Ok(Self {
            format,
            width,
            height,
            planes,
            matrix,
            range,
        })
    }

    /// An RGB frame without row padding, for pictures that come from a decoder or a test.
    ///
    /// # Errors
    /// When `rgb` is shorter than `width * height * 3`.
    pub fn from_rgb(width: u32, height: u32, rgb: &'a [u8]) -> Result<Self, VisionError> {
        let plane = Plane {
            data: rgb,
            stride: width as usize * 3,
        };
        Self::new(
            PixelFormat::Rgb,
            width,
            height,
            vec![plane],
            ColorMatrix::Bt601,
            ColorRange::Full,
        )
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn planes(&self) -> &[Plane<'a>] {
        &self.planes
    }

    pub fn matrix(&self) -> ColorMatrix {
        self.matrix
    }

    pub fn range(&self) -> ColorRange {
        self.range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i420(width: u32, height: u32, lens: [usize; 3], strides: [usize; 3]) -> Result<(), String> {
        let data = vec![0u8; *lens.iter().max().unwrap()];
        let planes = (0..3)
            .map(|i| Plane {
                data: &data[..lens[i]],
                stride: strides[i],
            })
            .collect();
        Frame::new(
            PixelFormat::I420,
            width,
            height,
            planes,
            ColorMatrix::Bt601,
            ColorRange::Limited,
        )
        .map(|_| ())
        .map_err(|e| e.to_string())
    }

    #[test]
    fn planes_that_are_too_short_are_refused_by_name() {
        assert_eq!(i420(5, 3, [15, 6, 6], [5, 3, 3]), Ok(()));
        // The last row may lack its padding.
        assert_eq!(i420(5, 3, [8 * 2 + 5, 4 + 3, 7], [8, 4, 4]), Ok(()));
        let e = i420(5, 3, [15, 5, 6], [5, 3, 3]).unwrap_err();
        assert!(
            e.contains("I420 frame of 5x3") && e.contains("plane 1 holds 5"),
            "{e}"
        );
        let e = i420(5, 3, [15, 6, 6], [4, 3, 3]).unwrap_err();
        assert!(e.contains("stride of 4 bytes"), "{e}");
        assert!(i420(0, 3, [15, 6, 6], [5, 3, 3]).is_err());
        assert!(i420(u32::MAX, u32::MAX, [1, 1, 1], [usize::MAX; 3]).is_err());
    }

    #[test]
    fn names_are_those_of_caps_and_unique() {
        for f in PixelFormat::ALL {
            assert_eq!(PixelFormat::from_name(f.name()), Some(f));
        }
        assert_eq!(PixelFormat::from_name("P010_10LE"), None);
    }
}
