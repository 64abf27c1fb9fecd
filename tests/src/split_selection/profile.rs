// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What each choice costs with the models at hand, as it was measured on one machine.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How many frames old the tensors are from which those of a frame are predicted.
pub const AGES: [usize; 4] = [1, 2, 4, 8];

/// All that the simulation knows of models and of the machine on which they were measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profiles {
    pub machine: String,
    pub models: Vec<ModelProfile>,
}

/// Times in microseconds on one thread of the machine; sizes in bytes, one for each frame of the video.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelProfile {
    pub name: String,
    pub video: String,
    pub whole_us: f64,
    pub jpeg: Coded,
    /// `None` where it was not measured.
    #[serde(default)]
    pub h264: Option<H264>,
    pub cuts: Vec<Cut>,
}

/// The picture as a stream of H.264.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct H264 {
    /// Mean relative error of the model's outputs when it sees the decoded picture, and when it sees that of the JPEG.
    pub error: f64,
    pub jpeg_error: f64,
    /// Key frames.
    pub alone: Coded,
    /// Frames predicted from one that is [`AGES`] frames old.
    pub predicted: Vec<Coded>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Coded {
    pub encode_us: f64,
    pub decode_us: f64,
    pub bytes: Vec<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cut {
    pub name: String,
    /// Of the model's multiplications, those in the head.
    pub head_share: f64,
    pub head_us: f64,
    pub tail_us: f64,
    /// The step on which the code settles, as a share of the tensors' root mean square.
    pub step: f32,
    /// Frames that stand alone.
    pub alone: Coded,
    /// Frames predicted from one that is [`AGES`] frames old.
    pub predicted: Vec<Coded>,
}

/// # Errors
/// When the file is missing or damaged.
pub fn load(file: &Path) -> Result<Profiles> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// # Errors
/// When the file cannot be written.
pub fn save(profiles: &Profiles, file: &Path) -> Result<()> {
    let text = serde_json::to_string(profiles)?;
    // A line a cut keeps differences readable.
    let text = text.replace("{\"name\"", "\n{\"name\"");
    std::fs::write(file, text + "\n").with_context(|| file.display().to_string())
}
