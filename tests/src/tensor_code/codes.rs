// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is measured: the project's codes and what they are compared with. A new code is one entry of
//! [`ours`] and its [`StreamCode`].

use anyhow::Result;
use splitinfer_tensorcode::{Affine, AffineDecoder, Decode, Encode, Limits};
use splitinfer_vision::Picture;

use super::loss::AllOrNothing;
use super::minmax::{Half, MinMax, Packer};
use super::mosaic_video::MosaicVideo;
use super::picture_video::PictureVideo;
use super::predictive;
use super::still::{MosaicStill, PictureJpeg, Still};
use super::video::{Chroma, Control, Settings, Standard};
use super::{Code, Role, StreamCode, Tensors};

/// What the others are compared with at the same cut.
pub const ANCHOR: &str = "int + zstd";
/// What the others are compared with of the picture.
pub const JPEG: &str = "picture, JPEG";
pub const H264: &str = "picture, H.264 4:2:0";

/// All that is measured.
pub struct Codes {
    pub tensor: Vec<Code<Tensors>>,
    pub picture: Vec<Code<Picture>>,
    /// What this machine cannot do, and why.
    pub absent: Vec<(&'static str, String)>,
}

impl Codes {
    /// With `quick` fewer qualities of each.
    pub fn new(quick: bool) -> Self {
        let mut codes = Self {
            tensor: predictive::codes(),
            picture: vec![picture_jpeg()],
            absent: Vec::new(),
        };
        codes.tensor.push(affine());
        codes.tensor.extend(plain());
        codes.tensor.extend(stills());
        for standard in [Standard::H264, Standard::H265] {
            let names = match standard {
                Standard::H264 => ["mosaic, x264", H264, "picture, H.264 4:4:4"],
                Standard::H265 => [
                    "mosaic, x265",
                    "picture, H.265 4:2:0",
                    "picture, H.265 4:4:4",
                ],
            };
            match standard.available() {
                Ok(()) => {
                    codes.tensor.push(mosaic_video(names[0], standard));
                    codes
                        .picture
                        .push(picture_video(names[1], standard, Chroma::Half));
                    codes
                        .picture
                        .push(picture_video(names[2], standard, Chroma::Full));
                }
                Err(why) => codes.absent.extend(names.map(|n| (n, why.clone()))),
            }
        }
        if quick {
            codes.tensor.iter_mut().for_each(|c| thin(&mut c.qualities));
            codes
                .picture
                .iter_mut()
                .for_each(|c| thin(&mut c.qualities));
        }
        codes
    }

    /// Leaves out what only stands in the tables of all codes.
    pub fn keep_own(&mut self) {
        self.tensor
            .retain(|c| c.role != Role::Baseline || c.name == ANCHOR);
        self.picture.retain(|c| [JPEG, H264].contains(&c.name));
    }

    /// How many points that makes with so many cuts.
    pub fn steps(&self, cuts: usize) -> usize {
        let tensor: usize = self.tensor.iter().map(|c| c.qualities.len()).sum();
        let picture: usize = self.picture.iter().map(|c| c.qualities.len()).sum();
        tensor * cuts + picture
    }
}

/// Every other quality, the finest among them, where there are more than five.
fn thin(qualities: &mut Vec<f64>) {
    let n = qualities.len();
    if n > 5 {
        let kept = qualities
            .iter()
            .enumerate()
            .filter(|(i, _)| (n - 1 - i).is_multiple_of(2));
        *qualities = kept.map(|(_, q)| *q).collect();
    }
}

/// The project's first code.
fn affine() -> Code<Tensors> {
    Code {
        name: "affine + zstd",
        role: Role::Baseline,
        knob: "bits",
        qualities: vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        make: Box::new(|bits| Ok(Box::new(AffineStream::new(bits)))),
        pieces: Some(Box::new(|bits| {
            Ok(Box::new(AllOrNothing::new(Box::new(AffineStream::new(
                bits,
            )))))
        })),
    }
}

/// Version 1 of the tensor code.
struct AffineStream {
    encoder: Affine,
    decoder: AffineDecoder,
    bits: u8,
}

impl AffineStream {
    fn new(bits: f64) -> Self {
        Self {
            encoder: Affine::default(),
            decoder: AffineDecoder::default(),
            bits: bits as u8,
        }
    }
}

impl StreamCode<Tensors> for AffineStream {
    fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
        Ok(self.encoder.encode(0, frame, self.bits)?)
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Tensors> {
        Ok(self.decoder.decode(bytes, &Limits::default())?)
    }
}

fn plain() -> Vec<Code<Tensors>> {
    let minmax = |name, packer, qualities: &[f64]| Code::<Tensors> {
        name,
        role: Role::Baseline,
        knob: "bits",
        qualities: qualities.to_vec(),
        make: Box::new(move |bits| Ok(Box::new(MinMax::new(packer, bits)?))),
        pieces: None,
    };
    vec![
        minmax(ANCHOR, Packer::Zstd, &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        minmax("int + lz4", Packer::Lz4, &[4.0, 6.0, 8.0]),
        Code {
            name: "float16 + zstd",
            role: Role::Baseline,
            knob: "bits",
            qualities: vec![16.0],
            make: Box::new(|_| Ok(Box::new(Half::new()?))),
            pieces: None,
        },
    ]
}

fn stills() -> Vec<Code<Tensors>> {
    vec![
        Code {
            name: "mosaic, PNG",
            role: Role::Baseline,
            knob: "bits",
            qualities: vec![4.0, 6.0, 8.0],
            make: Box::new(|bits| Ok(Box::new(MosaicStill::new(Still::Png { bits })))),
            pieces: None,
        },
        Code {
            name: "mosaic, JPEG",
            role: Role::Baseline,
            knob: "q",
            qualities: vec![40.0, 70.0, 85.0, 95.0, 99.0],
            make: Box::new(|q| {
                let quality = q as u8;
                Ok(Box::new(MosaicStill::new(Still::Jpeg { quality })))
            }),
            pieces: None,
        },
    ]
}

fn mosaic_video(name: &'static str, standard: Standard) -> Code<Tensors> {
    Code {
        name,
        role: Role::Baseline,
        knob: "qp",
        qualities: vec![36.0, 28.0, 20.0, 12.0, 4.0],
        make: Box::new(move |qp| {
            Ok(Box::new(MosaicVideo::new(Settings {
                standard,
                control: Control::Qp(qp as u32),
                plain: true,
                chroma: Chroma::Half,
            })))
        }),
        pieces: None,
    }
}

fn picture_jpeg() -> Code<Picture> {
    Code {
        name: JPEG,
        role: Role::Baseline,
        knob: "q",
        qualities: vec![40.0, 60.0, 75.0, 85.0, 90.0, 95.0, 98.0, 100.0],
        make: Box::new(|q| Ok(Box::new(PictureJpeg { quality: q as u8 }))),
        pieces: None,
    }
}

fn picture_video(name: &'static str, standard: Standard, chroma: Chroma) -> Code<Picture> {
    Code {
        name,
        role: Role::Baseline,
        knob: "crf",
        qualities: vec![36.0, 30.0, 24.0, 18.0, 12.0, 6.0, 0.0],
        make: Box::new(move |crf| {
            Ok(Box::new(PictureVideo::new(Settings {
                standard,
                control: Control::Crf(crf as u32),
                plain: false,
                chroma,
            })))
        }),
        pieces: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_keeps_the_finest_quality() {
        let mut qualities = vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        thin(&mut qualities);
        assert_eq!(qualities, [3.0, 5.0, 7.0]);
        thin(&mut qualities);
        assert_eq!(qualities, [3.0, 5.0, 7.0]);
    }
}
