// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the picture costs as H.264, coded and decoded as the elements do it.
//!
//! Times are processor time of the whole program, in which nothing else runs meanwhile; they include the conversion from and
//! to RGB, as a JPEG's do.
//! JPEG is measured frame by frame beside it, and the stored time of the JPEG times the ratio of the two is kept: so the
//! figures go together with others that were measured when the machine was as busy or as idle as it was then.

use anyhow::{Context, Result};
use splitinfer_tensorcode::{Limits, picture};
use splitinfer_video::{VideoDecoder, VideoEncoder};
use splitinfer_vision::Picture;

use super::profile::{AGES, Coded, H264};
use super::profiling::{JPEG_QUALITY, LEAD, change, micros};
use crate::measure::{median, processor_time, processor_time_of_all};
use crate::model::LocalModel;
use crate::tensor_code::subject::Outputs;

/// `None` without the codec; `jpeg`: as it was measured before.
///
/// # Errors
/// When a codec or the model fails.
pub fn measure(model: &mut LocalModel, pictures: &[Picture], jpeg: &Coded) -> Result<Option<H264>> {
    if let Err(missing) = Codec::of(pictures) {
        eprintln!("skipped: H.264, {missing}");
        return Ok(None);
    }
    let exact = pictures
        .iter()
        .map(|p| answer(model, p))
        .collect::<Result<Vec<_>>>()?;
    let jpeg_error = jpeg_error(model, pictures, &exact)?;
    let mut predicted = Vec::new();
    for age in AGES {
        predicted.push(Stream::of_age(pictures, age)?.coded(jpeg));
    }
    Ok(Some(H264 {
        error: stream_error(model, pictures, &exact)?,
        jpeg_error,
        alone: Stream::of_keys(pictures)?.coded(jpeg),
        predicted,
    }))
}

fn answer(model: &mut LocalModel, picture: &Picture) -> Result<Outputs> {
    let input = model.tensor(picture)?;
    Ok(model.split.whole(&input)?)
}

/// Mean over the frames, as the measurement of the tensor code has it.
fn jpeg_error(model: &mut LocalModel, pictures: &[Picture], exact: &[Outputs]) -> Result<f64> {
    let mut errors = Vec::new();
    for (picture, exact) in pictures.iter().zip(exact).skip(LEAD) {
        let seen = as_jpeg(picture)?.0;
        errors.extend(change(exact, &answer(model, &seen)?).map(f64::from));
    }
    Ok(super::figures::mean(&errors))
}

fn stream_error(model: &mut LocalModel, pictures: &[Picture], exact: &[Outputs]) -> Result<f64> {
    let mut codec = Codec::of(pictures)?;
    let mut errors = Vec::new();
    for (n, (picture, exact)) in pictures.iter().zip(exact).enumerate() {
        let bytes = codec.encode(picture, false)?;
        let seen = codec.decoder.decode(&bytes)?;
        if n < LEAD {
            continue;
        }
        errors.extend(change(exact, &answer(model, &seen)?).map(f64::from));
    }
    Ok(super::figures::mean(&errors))
}

/// Both ends of one stream.
struct Codec {
    encoder: VideoEncoder,
    decoder: VideoDecoder,
    begun: bool,
}

impl Codec {
    fn of(pictures: &[Picture]) -> Result<Self> {
        let first = pictures.first().context("there are no pictures")?;
        Ok(Self {
            encoder: VideoEncoder::new(None, first.width, first.height)?,
            decoder: VideoDecoder::new(first.width, first.height)?,
            begun: false,
        })
    }

    /// The first picture is a key picture whatever `key`.
    fn encode(&mut self, picture: &Picture, key: bool) -> Result<Vec<u8>> {
        let key = key || !std::mem::replace(&mut self.begun, true);
        Ok(self.encoder.encode(picture, key)?.bytes)
    }
}

/// The picture that arrives, and the times of encoding and decoding.
fn as_jpeg(p: &Picture) -> Result<(Picture, f64, f64)> {
    let begun = processor_time();
    let code = picture::encode_jpeg(&p.rgb, p.width, p.height, JPEG_QUALITY)?;
    let encoded = processor_time();
    let (width, height, rgb) = picture::decode_jpeg(&code, &Limits::default())?;
    let decode = processor_time() - encoded;
    let seen = Picture::new(width, height, rgb)?;
    Ok((seen, micros(encoded - begun), micros(decode)))
}

/// Frames of one kind, with the JPEG's times beside theirs.
#[derive(Default)]
struct Stream {
    encode: Vec<f64>,
    decode: Vec<f64>,
    jpeg_encode: Vec<f64>,
    jpeg_decode: Vec<f64>,
    /// By the frame's number.
    bytes: Vec<(usize, u32)>,
}

impl Stream {
    /// Every frame after the [`LEAD`], predicted from the one `age` frames before it.
    fn of_age(pictures: &[Picture], age: usize) -> Result<Self> {
        let mut stream = Self::default();
        for offset in 0..age {
            let mut codec = Codec::of(pictures)?;
            for n in (offset..pictures.len()).step_by(age) {
                stream.pass(&mut codec, n, &pictures[n], (false, n >= LEAD))?;
            }
        }
        Ok(stream)
    }

    /// Every frame after the [`LEAD`] as a key frame between others.
    fn of_keys(pictures: &[Picture]) -> Result<Self> {
        let mut stream = Self::default();
        for odd in 0..2 {
            let mut codec = Codec::of(pictures)?;
            for (n, picture) in pictures.iter().enumerate() {
                let key = n % 2 == odd;
                stream.pass(&mut codec, n, picture, (key, key && n >= LEAD))?;
            }
        }
        Ok(stream)
    }

    fn pass(
        &mut self,
        codec: &mut Codec,
        number: usize,
        picture: &Picture,
        (key, counts): (bool, bool),
    ) -> Result<()> {
        let begun = processor_time_of_all();
        let code = codec.encode(picture, key)?;
        let encoded = processor_time_of_all();
        codec.decoder.decode(&code)?;
        let decode = processor_time_of_all() - encoded;
        if counts {
            let (_, jpeg_encode, jpeg_decode) = as_jpeg(picture)?;
            self.encode.push(micros(encoded - begun));
            self.decode.push(micros(decode));
            self.jpeg_encode.push(jpeg_encode);
            self.jpeg_decode.push(jpeg_decode);
            self.bytes.push((number, u32::try_from(code.len())?));
        }
        Ok(())
    }

    /// With the times of `jpeg`, times what these frames take longer than their JPEGs.
    fn coded(mut self, jpeg: &Coded) -> Coded {
        self.bytes.sort_unstable();
        let encode = median(&self.encode) / median(&self.jpeg_encode);
        let decode = median(&self.decode) / median(&self.jpeg_decode);
        Coded {
            encode_us: (jpeg.encode_us * encode * 10.0).round() / 10.0,
            decode_us: (jpeg.decode_us * decode * 10.0).round() / 10.0,
            bytes: self.bytes.into_iter().map(|b| b.1).collect(),
        }
    }
}
