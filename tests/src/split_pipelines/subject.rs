// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which models are measured, and what the camera sees.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// The project's teachers, and real models of about their size, if they are at hand.
pub const USUAL: &str = "walker-teacher,traffic-teacher,yolox_nano_416,movenet_lightning_f32_256";

/// A model and a scene for it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: String,
    pub model: PathBuf,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Scene(String),
    Video(PathBuf),
}

impl Subject {
    /// `None`, and says so, where the model or its video is not at hand.
    ///
    /// # Errors
    /// When it is not known what such a model is to see.
    pub fn find(name: &str) -> Result<Option<Self>> {
        for kind in ["-teacher", "-student"] {
            if let Some(scene) = name.strip_suffix(kind) {
                return Ok(Some(Self {
                    name: name.to_owned(),
                    model: crate::repository().join(format!("models/{name}.onnx")),
                    source: Source::Scene(scene.to_owned()),
                }));
            }
        }
        let video = match name {
            _ if name.starts_with("yolox") || name == "FastestDet" => "car-detection.mp4",
            _ if name.starts_with("movenet") => "one-by-one-person-detection.mp4",
            _ => bail!("what is the model '{name}' to look at?"),
        };
        let model = crate::data::find(&format!("models/{name}.onnx"));
        let found = model.zip(crate::data::find(&format!("videos/{video}")));
        Ok(found.map(|(model, video)| Self {
            name: name.to_owned(),
            model,
            source: Source::Video(video),
        }))
    }

    /// The beginning of a pipeline that gives so many frames a second.
    pub fn source(&self, rate: u32) -> String {
        match &self.source {
            Source::Scene(scene) => format!(
                "scenesrc scene={scene} seed=900100 ! video/x-raw,width=640,height=360,framerate={rate}/1"
            ),
            Source::Video(file) => format!("filesrc location={} ! decodebin", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_name() {
        let shipped = Subject::find("walker-teacher").unwrap().unwrap();
        assert!(shipped.model.is_file(), "{}", shipped.model.display());
        assert!(shipped.source(10).contains("scene=walker"));
        assert!(Subject::find("resnet").is_err());
        let absent = Subject::find("movenet_that_nobody_has").unwrap();
        assert!(absent.is_none());
    }
}
