// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the model is fed.

use super::Request;
use super::load::Loaded;
use crate::video;
use anyhow::{Context, Result, bail};
use splitinfer_graph::ValueInfo;
use splitinfer_runtime::{random_tensor, sample};
use splitinfer_tensor::{DType, Data, Tensor};
use splitinfer_tensorcode::picture::encode_jpeg;
use splitinfer_vision::{Picture, Preprocessor};

/// As the element's own when the split is `server`.
const JPEG_QUALITY: u8 = 90;

pub(super) struct Samples {
    /// At least one.
    pub inputs: Vec<Tensor>,
    /// Bytes of each as JPEG, if they are pictures.
    pub jpeg_bytes: Vec<u64>,
    /// In words.
    pub described: String,
}

impl Samples {
    pub fn take(request: &Request, loaded: &Loaded, input: &ValueInfo) -> Result<Self> {
        match &request.video {
            Some(path) => Self::frames(path, request.frames, loaded),
            None => Self::noise(loaded, input),
        }
    }

    fn noise(loaded: &Loaded, input: &ValueInfo) -> Result<Self> {
        let inputs = match &loaded.info {
            // Pictures of noise, so that the values have the range that the model was made for.
            Ok((info, _)) => {
                let (width, height) = (info.input.width, info.input.height);
                let shape = [height as usize, width as usize, 3];
                let mut preprocessor = Preprocessor::new(info);
                let mut tensor = |seed| -> Result<Tensor> {
                    let Data::U8(rgb) = random_tensor(DType::U8, &shape, 255.0, seed).into_data()
                    else {
                        bail!("noise of another type");
                    };
                    Ok(preprocessor.tensor(&Picture::new(width, height, rgb)?)?)
                };
                vec![tensor(1)?, tensor(2)?]
            }
            // Values of 0–1 and of 0–255.
            Err(_) => vec![sample(input, 1)?, sample(input, 2)?],
        };
        Ok(Self {
            inputs,
            jpeg_bytes: Vec::new(),
            described: "noise".to_owned(),
        })
    }

    fn frames(path: &std::path::Path, wanted: usize, loaded: &Loaded) -> Result<Self> {
        let (info, _) = match &loaded.info {
            Ok(info) => info,
            Err(e) => bail!("how to feed pictures to this model is not known: {e:#}"),
        };
        let mut preprocessor = Preprocessor::new(info);
        let (mut inputs, mut jpeg_bytes) = (Vec::new(), Vec::new());
        let n = video::frames(path, wanted, |_, frame| {
            let (picture, _) = preprocessor.picture(frame)?;
            let jpeg = encode_jpeg(&picture.rgb, picture.width, picture.height, JPEG_QUALITY)?;
            jpeg_bytes.push(jpeg.len() as u64);
            inputs.push(preprocessor.tensor(&picture)?);
            Ok(())
        })?;
        let name = path
            .file_name()
            .context("a video has a name")?
            .to_string_lossy();
        Ok(Self {
            inputs,
            jpeg_bytes,
            described: format!("{n} frames of {name}"),
        })
    }
}

/// The middle one, or 0 of none.
pub(super) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
