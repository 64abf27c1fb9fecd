// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Truth from text: COCO annotations, MOTChallenge files, the lines of this project's scenes.

mod coco;
mod mot;
mod scene;

use crate::frame::Actual;
use std::collections::BTreeMap;

/// What is there, frame by frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    pub frames: BTreeMap<u64, Vec<Actual>>,
    /// Domain of a frame, where the truth tells.
    pub domains: BTreeMap<u64, String>,
    /// Numbers of frames that are files of their own, by their names.
    pub files: BTreeMap<String, u64>,
    /// Whether there is nothing on a frame that is not listed (a MOT file has no line for an empty frame); else
    /// nothing is known about it.
    pub unlisted_are_empty: bool,
}

impl Truth {
    /// What is on a frame; `None` where that is not known.
    pub fn on(&self, frame: u64) -> Option<&[Actual]> {
        match self.frames.get(&frame) {
            Some(actual) => Some(actual),
            None => self.unlisted_are_empty.then_some(&[]),
        }
    }
}

/// How truth is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// COCO's annotation JSON; the id of an image is the number of its frame, from 0.
    Coco,
    /// MOTChallenge's `gt.txt`; its frames count from 1.
    Mot,
    /// One JSON object a frame, as `scenesrc` and `scene-frames` write them.
    Scene,
}

/// Why a text is no truth.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    #[error("line {line}: {problem}")]
    Line { line: usize, problem: String },
    #[error("{0}")]
    Whole(String),
}

impl Format {
    /// By the first characters: a JSON object with `annotations` or `images` is COCO's, other JSON is a scene's line,
    /// the rest is a MOT file.
    pub fn of(text: &str) -> Self {
        let text = text.trim_start();
        if !text.starts_with('{') {
            return Self::Mot;
        }
        let first = text.lines().next().unwrap_or_default();
        match serde_json::from_str::<serde_json::Value>(first) {
            Ok(line) if line.get("annotations").is_none() && line.get("images").is_none() => {
                Self::Scene
            }
            _ => Self::Coco,
        }
    }
}

/// Reads truth of a known [`Format`].
///
/// # Errors
/// When the text is not of that format; the message says in which line or object.
pub fn read(text: &str, format: Format) -> Result<Truth, TruthError> {
    match format {
        Format::Coco => coco::read(text),
        Format::Mot => mot::read(text),
        Format::Scene => scene::read(text),
    }
}

/// Reads the truth of one frame of a scene: the JSON that `scenesrc` attaches. Its number, its domain, what is there.
///
/// # Errors
/// When it is not such an object.
pub fn read_scene_frame(json: &str) -> Result<(u64, String, Vec<Actual>), TruthError> {
    scene::frame(json).map_err(TruthError::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        for (text, format) in [
            ("{\"images\":[],\n\"annotations\":[]}", Format::Coco),
            ("{\n \"annotations\": []}", Format::Coco),
            ("{\"frame\":0,\"objects\":[]}\n", Format::Scene),
            ("1,1,10,10,5,5,1,-1,-1,-1\n", Format::Mot),
            ("", Format::Mot),
        ] {
            assert_eq!(Format::of(text), format, "{text}");
        }
    }
}
