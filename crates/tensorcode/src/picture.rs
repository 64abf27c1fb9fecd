// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The picture on the wire: baseline JPEG, for the split that leaves the whole model to the server.
//!
//! Chroma is coded at full resolution (4:4:4). At equal bytes that disturbed YOLOX-nano's scores 7–25 % less than
//! 4:2:0 on two real clips, and MoveNet's joints about as much (docs/tensor-code.md): a model sees the picture at
//! the size at which it is sent, and its colours matter to it more than to an eye.

use crate::{CodeError, Limits};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Encodes a tight RGB picture (`3 × width × height` bytes, row by row) as JPEG of `quality` 1–100.
///
/// # Errors
/// When `rgb` has another length, or a side is 0 or above 65,535.
pub fn encode_jpeg(rgb: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, CodeError> {
    let side = |what, n: u32| {
        u16::try_from(n).map_err(|_| CodeError::TooLarge {
            what,
            got: n as usize,
            max: usize::from(u16::MAX),
        })
    };
    let (w, h) = (
        side("picture width", width)?,
        side("picture height", height)?,
    );
    let expected = usize::from(w) * usize::from(h) * 3;
    if expected != rgb.len() {
        return Err(CodeError::Picture {
            width,
            height,
            expected,
            got: rgb.len(),
        });
    }
    let mut bytes = Vec::with_capacity(expected / 8);
    let mut encoder = Encoder::new(&mut bytes, quality.clamp(1, 100));
    encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
    encoder.encode(rgb, w, h, ColorType::Rgb)?;
    Ok(bytes)
}

/// Decodes a JPEG picture to (width, height, tight RGB).
///
/// The size is checked against `limits.max_bytes` (of the RGB picture) before the picture is allocated.
///
/// # Errors
/// When `bytes` is not a JPEG picture, is damaged, or is larger than accepted.
pub fn decode_jpeg(bytes: &[u8], limits: &Limits) -> Result<(u32, u32, Vec<u8>), CodeError> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let bad = |e: &dyn std::fmt::Display| CodeError::DecodeJpeg(e.to_string());
    decoder.decode_headers().map_err(|e| bad(&e))?;
    let info = decoder.info().ok_or_else(|| bad(&"it has no header"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let size = width * height * 3;
    if size > limits.max_bytes {
        return Err(CodeError::Limit {
            what: "bytes of the decoded picture",
            got: size,
            max: limits.max_bytes,
        });
    }
    let mut rgb = vec![0; size];
    decoder.decode_into(&mut rgb).map_err(|e| bad(&e))?;
    Ok((width as u32, height as u32, rgb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        max_bytes: 1 << 16,
        max_tensors: 1,
        max_rank: 3,
    };

    /// A smooth picture with saturated colours.
    fn picture(width: u32, height: u32) -> Vec<u8> {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb =
            pixels.flat_map(|(x, y)| [(x * 255 / width) as u8, (y * 255 / height) as u8, 200]);
        rgb.collect()
    }

    #[test]
    fn a_picture_comes_back_nearly_as_it_was_at_any_size() {
        for (w, h) in [(1, 1), (17, 9), (64, 48), (100, 3)] {
            let sent = picture(w, h);
            let bytes = encode_jpeg(&sent, w, h, 95).unwrap();
            let (width, height, rgb) = decode_jpeg(&bytes, &LIMITS).unwrap();
            assert_eq!((width, height, rgb.len()), (w, h, sent.len()));
            let worst = sent.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(12), "{w}×{h}: {worst:?}");
        }
    }

    #[test]
    fn chroma_has_full_resolution() {
        // Red and blue columns in turn: at half the resolution both would become violet.
        let sent: Vec<u8> = (0..16 * 16)
            .flat_map(|i| {
                if i % 2 == 0 {
                    [200, 60, 60]
                } else {
                    [60, 60, 200]
                }
            })
            .collect();
        let bytes = encode_jpeg(&sent, 16, 16, 98).unwrap();
        let rgb = decode_jpeg(&bytes, &LIMITS).unwrap().2;
        assert!(rgb[0] > 180 && rgb[3] < 80, "{:?}", &rgb[..6]);
    }

    #[test]
    fn a_grey_jpeg_becomes_rgb() {
        let mut bytes = vec![];
        let encoder = Encoder::new(&mut bytes, 90);
        encoder.encode(&[128; 64], 8, 8, ColorType::Luma).unwrap();
        let (w, h, rgb) = decode_jpeg(&bytes, &LIMITS).unwrap();
        assert_eq!((w, h, rgb.len()), (8, 8, 192));
        assert!(rgb.iter().all(|v| v.abs_diff(128) <= 2));
    }

    #[test]
    fn a_picture_of_another_size_than_stated_is_refused() {
        let refused = encode_jpeg(&[0; 10], 2, 2, 90).unwrap_err().to_string();
        assert!(
            refused.contains("2×2") && refused.contains("12") && refused.contains("10"),
            "{refused}"
        );
        assert!(encode_jpeg(&[], 0, 0, 90).is_err());
        assert!(encode_jpeg(&[], 70_000, 0, 90).is_err());
    }

    #[test]
    fn a_picture_above_the_limit_is_refused_from_its_header() {
        let bytes = encode_jpeg(&picture(200, 200), 200, 200, 50).unwrap();
        let refused = decode_jpeg(&bytes, &LIMITS).unwrap_err();
        assert!(
            matches!(
                refused,
                CodeError::Limit {
                    got: 120_000,
                    max: 65_536,
                    ..
                }
            ),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn a_damaged_picture_gives_an_error_or_a_picture_within_the_limits(
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
            cut in proptest::option::of(any::<proptest::sample::Index>()),
            progressive: bool,
        ) {
            let mut bytes = vec![];
            let mut encoder = Encoder::new(&mut bytes, 80);
            encoder.set_progressive(progressive);
            encoder.encode(&picture(40, 30), 40, 30, ColorType::Rgb).unwrap();
            for (at, flip) in damage {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            if let Some(cut) = cut {
                let at = cut.index(bytes.len());
                bytes.truncate(at);
            }
            if let Ok((w, h, rgb)) = decode_jpeg(&bytes, &LIMITS) {
                prop_assert_eq!(rgb.len(), w as usize * h as usize * 3);
                prop_assert!(rgb.len() <= LIMITS.max_bytes);
            }
        }

        #[test]
        fn noise_is_no_picture(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode_jpeg(&bytes, &LIMITS).is_err());
        }
    }
}
