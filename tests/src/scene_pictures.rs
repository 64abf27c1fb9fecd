// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures of scenes in a folder, and a file that says what is on them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use splitinfer_scene::{Kind, Scene, SceneConfig};

/// Which pictures.
pub struct Pictures<'a> {
    pub scene: &'a str,
    pub domain: &'a str,
    /// Of the first scene; each further one has the next.
    pub seed: u64,
    pub scenes: u64,
    /// Of each scene.
    pub frames: u64,
}

/// Frames between two pictures of a scene, at 30 frames a second: so many that they differ.
const EVERY: u64 = 60;

impl Pictures<'_> {
    /// Draws them into `folder`, and returns the file beside it that tells the truth.
    ///
    /// # Errors
    /// When a file cannot be written, or there is no such scene or domain.
    pub fn draw(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let truth = folder.with_extension("jsonl");
        let mut lines = BufWriter::new(File::create(&truth)?);
        for number in 0..self.scenes {
            let mut scene = Scene::new(SceneConfig {
                seed: self.seed + number,
                width: 640,
                height: 360,
                schedule: self.domain.parse()?,
                ..SceneConfig::new(self.scene.parse::<Kind>()?)
            })?;
            for i in 0..self.frames {
                let actual = scene.render(i * EVERY);
                let file = format!("{number:03}-{i:03}.png");
                let path = folder.join(&file);
                scene
                    .save_png(&path)
                    .with_context(|| path.display().to_string())?;
                writeln!(lines, "{}", actual.to_json_of_file(&file))?;
            }
        }
        lines.flush()?;
        Ok(truth)
    }
}
