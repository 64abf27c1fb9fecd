// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model's input picture as video. Times include the conversion from and to RGB, as those of JPEG do.

use anyhow::{Context, Result};
use splitinfer_vision::Picture;
use yuv::{
    YuvChromaSubsampling, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix,
};

use super::StreamCode;
use super::video::{Chroma, Settings, VideoCodec};

const RANGE: YuvRange = YuvRange::Full;
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt709;

pub struct PictureVideo {
    settings: Settings,
    codec: Option<VideoCodec>,
    size: [u32; 2],
}

impl PictureVideo {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            codec: None,
            size: [0; 2],
        }
    }
}

impl StreamCode<Picture> for PictureVideo {
    fn encode(&mut self, frame: &Picture) -> Result<Vec<u8>> {
        let codec = match &mut self.codec {
            Some(codec) => codec,
            none => {
                self.size = [frame.width, frame.height];
                let (width, height) = (frame.width as usize, frame.height as usize);
                none.insert(VideoCodec::new(self.settings, width, height)?)
            }
        };
        codec.encode(&planes(frame, self.settings.chroma)?)
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Picture> {
        let codec = self.codec.as_mut().context("nothing was encoded")?;
        picture(&codec.decode(bytes)?, self.size, self.settings.chroma)
    }
}

/// Luma, then both chroma planes.
fn planes(frame: &Picture, chroma: Chroma) -> Result<Vec<u8>> {
    let (width, height) = (frame.width, frame.height);
    let (sampling, convert) = match chroma {
        Chroma::Half => (YuvChromaSubsampling::Yuv420, yuv::rgb_to_yuv420 as ToYuv),
        Chroma::Full => (YuvChromaSubsampling::Yuv444, yuv::rgb_to_yuv444 as ToYuv),
    };
    let mut image = YuvPlanarImageMut::alloc(width, height, sampling);
    let mode = YuvConversionMode::Balanced;
    convert(&mut image, &frame.rgb, width * 3, RANGE, MATRIX, mode)?;
    let image = image.to_fixed();
    Ok([image.y_plane, image.u_plane, image.v_plane].concat())
}

type ToYuv = fn(
    &mut YuvPlanarImageMut<u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), yuv::YuvError>;

fn picture(planes: &[u8], [width, height]: [u32; 2], chroma: Chroma) -> Result<Picture> {
    let (chroma_width, chroma_height) = match chroma {
        Chroma::Half => (width.div_ceil(2), height.div_ceil(2)),
        Chroma::Full => (width, height),
    };
    let (luma, small) = (width * height, chroma_width * chroma_height);
    let (y_plane, rest) = planes
        .split_at_checked(luma as usize)
        .context("a short frame")?;
    let (u_plane, v_plane) = rest
        .split_at_checked(small as usize)
        .context("a short frame")?;
    let image = YuvPlanarImage {
        y_plane,
        y_stride: width,
        u_plane,
        u_stride: chroma_width,
        v_plane,
        v_stride: chroma_width,
        width,
        height,
    };
    let mut rgb = vec![0; 3 * luma as usize];
    match chroma {
        Chroma::Half => {
            yuv::yuv420_to_rgb(&image, &mut rgb, width * 3, RANGE, MATRIX)?;
        }
        Chroma::Full => yuv::yuv444_to_rgb(&image, &mut rgb, width * 3, RANGE, MATRIX)?,
    }
    Ok(Picture::new(width, height, rgb)?)
}

#[cfg(test)]
mod tests {
    use super::super::video::{Control, Standard};
    use super::*;

    /// Columns of red to black, the same in every line.
    fn columns() -> Picture {
        let pixels = (0..50 * 34).flat_map(|i| [(i % 50) * 5, 60, 200]);
        let rgb = pixels.map(|v| v as u8).collect();
        Picture::new(50, 34, rgb).unwrap()
    }

    fn worst(a: &Picture, b: &Picture) -> Option<u8> {
        let pairs = a.rgb.iter().zip(&b.rgb);
        pairs.map(|(a, b)| a.abs_diff(*b)).max()
    }

    #[test]
    fn the_conversion_alone_is_nearly_exact() {
        let sent = columns();
        let full = planes(&sent, Chroma::Full).unwrap();
        assert_eq!(full.len(), 3 * 50 * 34);
        let back = picture(&full, [50, 34], Chroma::Full).unwrap();
        assert!(worst(&sent, &back) <= Some(3));
        let half = planes(&sent, Chroma::Half).unwrap();
        assert_eq!(half.len(), 50 * 34 * 3 / 2);
        let back = picture(&half, [50, 34], Chroma::Half).unwrap();
        assert!(worst(&sent, &back) <= Some(9));
        assert!(picture(&full[1..], [50, 34], Chroma::Full).is_err());
    }

    #[test]
    fn colours_survive_with_chroma_at_full_resolution() {
        gst::init().unwrap();
        if Standard::H264.available().is_err() {
            return;
        }
        let sent = columns();
        let mut code = PictureVideo::new(Settings {
            standard: Standard::H264,
            control: Control::Qp(4),
            plain: true,
            chroma: Chroma::Full,
        });
        let bytes = code.encode(&sent).unwrap();
        let back = code.decode(&bytes).unwrap();
        assert!(worst(&sent, &back) < Some(9));
    }
}
