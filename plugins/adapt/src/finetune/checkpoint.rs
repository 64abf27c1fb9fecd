// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Weights that survive the process: written beside their place and moved there, so that a file is whole or not
//! there at all, whenever the process is killed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use splitinfer_graph::Model;
use splitinfer_trainer::State;

/// A folder with the checkpoints of one student. Names hold its hash, so that students may share a folder.
pub(super) struct Checkpoints {
    folder: PathBuf,
    student: String,
}

impl Checkpoints {
    /// Makes the folder if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(folder: &Path, base: [u8; 32]) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let student = base[..8].iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self {
            folder: folder.to_owned(),
            student,
        })
    }

    fn path(&self, version: u64, extension: &str) -> PathBuf {
        self.folder
            .join(format!("{}-v{version}.{extension}", self.student))
    }

    /// Writes a state and its model, and removes those before.
    ///
    /// # Errors
    /// When a file cannot be written; older checkpoints are still there then.
    pub(super) fn save(&self, version: u64, state: &[u8], model: &Model) -> std::io::Result<()> {
        self.write(&self.path(version, "onnx"), &model.to_bytes())?;
        self.write(&self.path(version, "state"), state)?;
        for old in self.versions()?.into_iter().filter(|v| *v < version) {
            let _ = std::fs::remove_file(self.path(old, "state"));
            let _ = std::fs::remove_file(self.path(old, "onnx"));
        }
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let beside = path.with_extension("part");
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(&self.folder)?.sync_all()
    }

    fn versions(&self) -> std::io::Result<Vec<u64>> {
        let mut versions = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let version = name
                .strip_prefix(&self.student)
                .and_then(|n| n.strip_prefix("-v"));
            let version = version.and_then(|n| n.strip_suffix(".state"));
            versions.extend(version.and_then(|v| v.parse::<u64>().ok()));
        }
        Ok(versions)
    }

    /// The newest checkpoint, if there is one.
    ///
    /// # Errors
    /// In words, when it cannot be read.
    pub(super) fn newest(&self) -> Result<Option<(u64, State)>, String> {
        let versions = self
            .versions()
            .map_err(|e| format!("{}: {e}", self.folder.display()))?;
        let Some(version) = versions.into_iter().max() else {
            return Ok(None);
        };
        let path = self.path(version, "state");
        let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let state = State::from_bytes(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Some((version, state)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_graph::build::GraphBuilder;
    use splitinfer_tensor::{DType, Tensor};

    #[test]
    fn the_newest_is_found_and_a_write_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(&folder.path().join("deep/er"), [7; 32]).unwrap();
        assert_eq!(checkpoints.newest().unwrap(), None);
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[1])
            .node("Neg", &["x"], &["y"], vec![])
            .untyped_output("y")
            .model()
            .unwrap();
        let state = |steps| State {
            tensors: vec![(
                "w".into(),
                Tensor::new(vec![1], vec![steps as f32]).unwrap(),
            )],
            steps,
        };
        for version in [1, 2, 10] {
            let bytes = state(version).to_bytes().unwrap();
            checkpoints.save(version, &bytes, &model).unwrap();
        }
        std::fs::write(checkpoints.path(11, "part"), b"half").unwrap();
        assert_eq!(checkpoints.newest().unwrap(), Some((10, state(10))));
        assert_eq!(checkpoints.versions().unwrap(), [10]);
        let other = Checkpoints::new(&folder.path().join("deep/er"), [8; 32]).unwrap();
        assert_eq!(other.newest().unwrap(), None);
    }
}
