// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Still-picture codecs: the mosaic of a tensor as PNG or JPEG, and the model's input picture as JPEG.

use anyhow::{Context, Result, anyhow};
use jpeg_encoder::{ColorType, Encoder};
use splitinfer_tensorcode::{Limits, picture};
use splitinfer_vision::Picture;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::framing::{Specs, put, take_f32, take_part, tensor};
use super::mosaic::Mosaic;
use super::{StreamCode, Tensors};

/// A codec for grey pictures.
#[derive(Clone, Copy)]
pub enum Still {
    /// With so many bits a pixel: fewer levels, still a byte each before PNG's filters and compression.
    Png {
        bits: f64,
    },
    Jpeg {
        quality: u8,
    },
}

impl Still {
    fn last_level(self) -> f32 {
        match self {
            Self::Png { bits } => bits.exp2() as f32 - 1.0,
            Self::Jpeg { .. } => 255.0,
        }
    }

    fn write(self, pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::Png { .. } => {
                let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
                let mut encoder = png::Encoder::new(&mut out, width, height);
                encoder.set_color(png::ColorType::Grayscale);
                encoder.set_depth(png::BitDepth::Eight);
                encoder.write_header()?.write_image_data(pixels)?;
            }
            Self::Jpeg { quality } => {
                let encoder = Encoder::new(&mut out, quality);
                let (width, height) = (u16::try_from(width)?, u16::try_from(height)?);
                encoder.encode(pixels, width, height, ColorType::Luma)?;
            }
        }
        Ok(out)
    }

    fn read(self, bytes: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Png { .. } => {
                let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
                let mut reader = decoder.read_info()?;
                let size = reader.output_buffer_size().context("a PNG too large")?;
                let mut pixels = vec![0; size];
                reader.next_frame(&mut pixels)?;
                Ok(pixels)
            }
            Self::Jpeg { .. } => {
                let options = DecoderOptions::default()
                    .jpeg_set_out_colorspace(ColorSpace::Luma)
                    .set_max_width(usize::from(u16::MAX))
                    .set_max_height(usize::from(u16::MAX));
                let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
                decoder.decode().map_err(|e| anyhow!("JPEG: {e:?}"))
            }
        }
    }
}

/// Each tensor's mosaic by a still-picture codec. The range stands before it.
pub struct MosaicStill {
    codec: Still,
    specs: Specs,
    mosaics: Vec<Mosaic>,
}

impl MosaicStill {
    pub fn new(codec: Still) -> Self {
        Self {
            codec,
            specs: Specs::default(),
            mosaics: Vec::new(),
        }
    }
}

impl StreamCode<Tensors> for MosaicStill {
    fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
        let last = self.codec.last_level();
        self.specs = Specs::of(frame);
        let mosaic = |t: &splitinfer_tensor::Tensor| Mosaic::new(t.shape(), 1, last);
        self.mosaics = frame.iter().map(mosaic).collect();
        let mut out = Vec::new();
        for (tensor, mosaic) in frame.iter().zip(&mut self.mosaics) {
            let (pixels, [low, high]) = mosaic.picture(tensor);
            out.extend(low.to_le_bytes());
            out.extend(high.to_le_bytes());
            let (width, height) = (mosaic.grid.width, mosaic.grid.height);
            put(&mut out, &self.codec.write(&pixels, width, height)?);
        }
        Ok(out)
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<Tensors> {
        let mut tensors = Vec::new();
        for ((dtype, shape), mosaic) in self.specs.iter().zip(&self.mosaics) {
            let range = [take_f32(&mut bytes)?, take_f32(&mut bytes)?];
            let pixels = self.codec.read(take_part(&mut bytes)?)?;
            tensors.push(tensor(dtype, shape, mosaic.values(&pixels, range)?)?);
        }
        Ok(tensors)
    }
}

/// The input picture as the elements send it.
pub struct PictureJpeg {
    pub quality: u8,
}

impl StreamCode<Picture> for PictureJpeg {
    fn encode(&mut self, frame: &Picture) -> Result<Vec<u8>> {
        let (width, height) = (frame.width, frame.height);
        Ok(picture::encode_jpeg(
            &frame.rgb,
            width,
            height,
            self.quality,
        )?)
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Picture> {
        let (width, height, rgb) = picture::decode_jpeg(bytes, &Limits::default())?;
        Ok(Picture::new(width, height, rgb)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_tensor::Tensor;

    fn worst(codec: Still) -> f32 {
        let value = |i: i32| (i as f32 / 40.0).sin();
        let frame = vec![
            Tensor::new(vec![1, 6, 16, 16], (0..1536).map(value).collect()).unwrap(),
            Tensor::new(vec![1, 3, 5, 7], (0..105).map(value).collect()).unwrap(),
        ];
        let mut code = MosaicStill::new(codec);
        let bytes = code.encode(&frame).unwrap();
        let back = code.decode(&bytes).unwrap();
        let pairs = frame.iter().zip(&back);
        pairs
            .flat_map(|(a, b)| a.to_f32_vec().into_iter().zip(b.to_f32_vec()))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn png_loses_what_quantising_loses() {
        assert!(worst(Still::Png { bits: 8.0 }) < 2.2 / 255.0 * 0.51);
        assert!(worst(Still::Png { bits: 4.0 }) < 2.2 / 15.0 * 0.51);
    }

    #[test]
    fn jpeg_loses_little_at_high_quality() {
        assert!(worst(Still::Jpeg { quality: 98 }) < 0.1);
    }
}
