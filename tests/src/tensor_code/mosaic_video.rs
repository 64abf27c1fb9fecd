// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The mosaic of a tensor as video.

use anyhow::{Context, Result};

use super::framing::{Specs, put, take_f32, take_part, tensor};
use super::mosaic::Mosaic;
use super::video::{Settings, VideoCodec};
use super::{StreamCode, Tensors};

/// Each tensor's mosaic as luma of a video of its own, with chroma that says nothing. The range stands before each
/// frame's bytes.
pub struct MosaicVideo {
    settings: Settings,
    specs: Specs,
    streams: Vec<(Mosaic, VideoCodec)>,
}

impl MosaicVideo {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            specs: Specs::default(),
            streams: Vec::new(),
        }
    }

    fn start(&mut self, frame: &Tensors) -> Result<()> {
        self.specs = Specs::of(frame);
        for tensor in frame {
            // Sides of whole macroblocks: nothing is left for the codec to pad.
            let mosaic = Mosaic::new(tensor.shape(), 16, 255.0);
            let (width, height) = (mosaic.grid.width, mosaic.grid.height);
            let codec = VideoCodec::new(self.settings, width, height)?;
            self.streams.push((mosaic, codec));
        }
        Ok(())
    }
}

impl StreamCode<Tensors> for MosaicVideo {
    fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
        if self.streams.is_empty() {
            self.start(frame)?;
        }
        let mut out = Vec::new();
        for (tensor, (mosaic, codec)) in frame.iter().zip(&mut self.streams) {
            let (mut planes, [low, high]) = mosaic.picture(tensor);
            planes.resize(planes.len() * 3 / 2, 128);
            out.extend(low.to_le_bytes());
            out.extend(high.to_le_bytes());
            put(&mut out, &codec.encode(&planes)?);
        }
        Ok(out)
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<Tensors> {
        let mut tensors = Vec::new();
        for ((dtype, shape), (mosaic, codec)) in self.specs.iter().zip(&mut self.streams) {
            let range = [take_f32(&mut bytes)?, take_f32(&mut bytes)?];
            let planes = codec.decode(take_part(&mut bytes)?)?;
            let luma = planes.get(..mosaic.grid.width * mosaic.grid.height);
            let values = mosaic.values(luma.context("a short frame")?, range)?;
            tensors.push(tensor(dtype, shape, values)?);
        }
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::super::video::{Chroma, Control, Standard};
    use super::*;
    use splitinfer_tensor::Tensor;

    /// Two tensors of a scene that moves.
    fn moving(shift: usize) -> Tensors {
        let value = |i: usize| (((i + shift) % 97) as f32 / 15.0).sin() + 1.0;
        [[1, 8, 20, 24], [1, 3, 5, 7]]
            .into_iter()
            .map(|shape| {
                let values = (0..shape.iter().product()).map(value).collect();
                Tensor::new(shape.to_vec(), values).unwrap()
            })
            .collect()
    }

    fn settings(standard: Standard, qp: u32) -> Settings {
        Settings {
            standard,
            control: Control::Qp(qp),
            plain: true,
            chroma: Chroma::Half,
        }
    }

    #[test]
    fn every_frame_comes_back_at_once_and_close() {
        gst::init().unwrap();
        for standard in [Standard::H264, Standard::H265] {
            if let Err(missing) = standard.available() {
                println!("skipped: {missing}");
                continue;
            }
            let mut code = MosaicVideo::new(settings(standard, 4));
            for shift in 0..4 {
                let sent = moving(shift);
                let bytes = code.encode(&sent).unwrap();
                let back = code.decode(&bytes).unwrap();
                for (a, b) in sent.iter().zip(&back) {
                    assert_eq!(a.shape(), b.shape());
                    let pairs = a.to_f32_vec().into_iter().zip(b.to_f32_vec());
                    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(worst < 0.15, "{standard:?}, frame {shift}: {worst}");
                }
            }
        }
    }

    #[test]
    fn a_coarser_quantiser_gives_fewer_bytes() {
        gst::init().unwrap();
        for standard in [Standard::H264, Standard::H265] {
            if standard.available().is_err() {
                continue;
            }
            let bytes = |qp| {
                let mut code = MosaicVideo::new(settings(standard, qp));
                code.encode(&moving(0)).unwrap().len()
            };
            assert!(
                bytes(40) < bytes(20) && bytes(20) < bytes(4),
                "{standard:?}"
            );
        }
    }
}
