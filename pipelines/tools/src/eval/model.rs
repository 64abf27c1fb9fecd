// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model as the evaluation runs it: with a threshold so low that AP sees the whole curve.

use crate::cuts::load::tensor_info;
use anyhow::{Context, Result, bail};
use splitinfer_graph::{Model, ValueInfo};
use splitinfer_vision::modelinfo::HeadKind;
use splitinfer_vision::{ModelInfo, TensorInfo};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of a model in a folder of its own, with a sidecar that asks for lower scores.
pub(super) struct Lowered {
    folder: TempDir,
    /// Score from which the model's own sidecar reports objects.
    pub threshold: f64,
    /// Names of the classes; empty where the model has none.
    pub labels: BTreeSet<String>,
    pub keypoints: usize,
}

/// Name of the copy.
const FILE: &str = "model.onnx";

impl Lowered {
    /// # Errors
    /// When the model or its sidecar cannot be read, or nothing says how its outputs become objects.
    pub fn new(path: &Path, least_score: f32) -> Result<Self> {
        let model = Model::load(path)?;
        let infos = |v: Vec<ValueInfo>| v.into_iter().map(tensor_info).collect::<Vec<TensorInfo>>();
        let (mut info, _) =
            ModelInfo::load_or_guess(path, &infos(model.inputs()), &infos(model.outputs()))?;
        if info.head.kind == HeadKind::Raw {
            bail!(
                "{}: its outputs are not those of a known head, so there are no objects to compare; a sidecar can say \
                 how they are read (docs/sidecar.md)",
                path.display()
            );
        }
        let threshold = info.head.score_threshold;
        info.head.score_threshold = info.head.score_threshold.min(least_score);
        let folder = tempfile::tempdir().context("a folder for the model")?;
        let copy = folder.path().join(FILE);
        model.save(&copy).context("a copy of the model")?;
        let sidecar = folder.path().join(format!("{FILE}.modelinfo"));
        std::fs::write(sidecar, info.to_text()).context("a sidecar for the model")?;
        Ok(Self {
            folder,
            threshold: decimal(threshold),
            labels: info.labels.iter().cloned().collect(),
            keypoints: info.keypoints.len(),
        })
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }
}

/// The number that was written in the sidecar, which 0.3 as a 32-bit float is not.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
