// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model's whole, heads and tails as files, so that the processes that are compared hold nothing but their sessions.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::model::SizedModel;

/// In a folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Files {
    folder: PathBuf,
    /// Of the candidates.
    pub names: Vec<String>,
}

impl Files {
    /// # Errors
    /// When the model cannot be cut or the folder cannot be written.
    pub fn write(sized: &SizedModel, folder: &Path) -> Result<Self> {
        let files = Self {
            folder: folder.to_path_buf(),
            names: sized.candidates.iter().map(|c| c.name.clone()).collect(),
        };
        sized.model.save(&files.whole())?;
        let inputs = vec![sized.info.input.name.clone()];
        let outputs: Vec<String> = sized.model.outputs().into_iter().map(|o| o.name).collect();
        for (i, cut) in sized.candidates.iter().enumerate() {
            let crossing: Vec<String> = cut.tensors.iter().map(|t| t.name.clone()).collect();
            let part = |from: &[String], to: &[String]| sized.model.part(&sized.facts, from, to);
            let [head, tail] = files.pair(i);
            part(&inputs, &crossing)?.save(&head)?;
            part(&crossing, &outputs)?.save(&tail)?;
        }
        Ok(files)
    }

    pub fn whole(&self) -> PathBuf {
        self.folder.join("whole.onnx")
    }

    /// Head and tail of a candidate.
    pub fn pair(&self, candidate: usize) -> [PathBuf; 2] {
        ["head", "tail"].map(|half| self.folder.join(format!("{half}-{candidate}.onnx")))
    }
}
