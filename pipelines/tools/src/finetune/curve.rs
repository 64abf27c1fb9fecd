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

/// Losses by step; those that are no numbers are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    /// Of the batches.
    training: Vec<(f64, f64)>,
    /// Of what is judged by, from step 0 on.
    judged: Vec<(f64, f64)>,
}

impl Curve {
    /// Of a training that begins with this loss on what it is judged by.
    pub fn from(before: f32) -> Self {
        let mut curve = Self::default();
        curve.judge(0, before);
        curve
    }

    pub fn train(&mut self, step: usize, loss: f32) {
        push(&mut self.training, step, loss);
    }

    pub fn judge(&mut self, step: usize, loss: f32) {
        push(&mut self.judged, step, loss);
    }

    /// Steps that were made.
    pub fn steps(&self) -> usize {
        self.training.len()
    }

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

fn push(points: &mut Vec<(f64, f64)>, step: usize, loss: f32) {
    if loss.is_finite() {
        points.push((step as f64, f64::from(loss)));
    }
}
