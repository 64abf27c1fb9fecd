// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model that is trained, as its file has it and as training needs it.

use crate::cuts::InputShape;
use crate::cuts::load::{Sized, sized};
use anyhow::{Context, Result};
use splitinfer_graph::Model;
use splitinfer_vision::ModelInfo;
use std::path::{Path, PathBuf};

pub(super) struct Student {
    pub path: PathBuf,
    /// As the file has it: what the new weights go into.
    pub original: Model,
    /// With fixed shapes.
    pub model: Model,
    /// How pictures get into it, and what had to be assumed about that; or why that is not known.
    info: Result<(ModelInfo, Vec<String>)>,
}

impl Student {
    /// # Errors
    /// When the file is no model, or its shapes stay open.
    pub fn load(path: &Path, shapes: &[InputShape]) -> Result<Self> {
        let Sized {
            original,
            model,
            info,
        } = sized(path, shapes)?;
        Ok(Self {
            path: path.to_owned(),
            original,
            model,
            info,
        })
    }

    /// What is known of its head.
    pub fn known(&self) -> Option<&ModelInfo> {
        self.info.as_ref().ok().map(|(info, _)| info)
    }

    /// How pictures get into it.
    ///
    /// # Errors
    /// When nothing says so.
    pub fn pictures(&self) -> Result<(&ModelInfo, &[String])> {
        match &self.info {
            Ok((info, assumed)) => Ok((info, assumed)),
            Err(e) => Err(not_known(&self.path, e)),
        }
    }

    /// The sidecar beside a model, if there is one.
    pub fn sidecar(&self) -> Option<PathBuf> {
        let mut longer = self.path.clone().into_os_string();
        longer.push(".modelinfo");
        let names = [PathBuf::from(longer), self.path.with_extension("modelinfo")];
        names.into_iter().find(|p| p.is_file())
    }
}

/// That pictures cannot be fed to a model.
pub(super) fn not_known(path: &Path, why: &anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "{}: how pictures are fed to it is not known ({why:#}); write a sidecar (docs/sidecar.md), or give its inputs \
         as arrays (--data FILE.npz)",
        path.display()
    )
}

/// A file's name for messages.
pub(super) fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// # Errors
/// When it cannot be read.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}
