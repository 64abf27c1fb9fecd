// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The losses over the steps, as a picture.

use super::files::is_png;
use crate::chart::{Chart, Line};
use crate::images::{Fonts, save_png, save_svg};
use anyhow::Result;
use std::path::Path;

/// Losses by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    /// Of the batches.
    pub training: Vec<(f64, f64)>,
    /// Of what is judged by, from step 0 on.
    pub judged: Vec<(f64, f64)>,
}

impl Curve {
    /// `judged`: what the second line is called.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, judged: &str) -> Result<()> {
        let line = |name: &str, points: &[(f64, f64)]| Line {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        let chart = Chart {
            title: "Loss over the training",
            x: "step",
            y: "loss",
            x_end: None,
            y_end: None,
            lines: vec![line("batches", &self.training), line(judged, &self.judged)],
        };
        let svg = chart.svg()?;
        match is_png(path)? {
            true => save_png(&svg, path, &Fonts::find()),
            false => save_svg(&svg, path),
        }
    }
}
