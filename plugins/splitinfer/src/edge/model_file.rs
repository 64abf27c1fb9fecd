// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model's file as the server is told of it: in memory where the model runs here, else on the disk until somebody asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use splitinfer_graph::Model;

use crate::net::client::ModelSource;

/// The file, whatever the version of the weights.
pub(super) struct ModelFile {
    pub(super) hash: [u8; 32],
    /// Of what an upload takes.
    pub(super) size: u64,
    /// Names of the outputs, in the model's order.
    pub(super) outputs: Vec<String>,
    kept: Kept,
}

enum Kept {
    Here(Model),
    OnDisk(PathBuf),
}

impl ModelFile {
    /// `here`: keep the model itself.
    pub(super) fn new(path: &Path, model: Model, here: bool) -> Self {
        Self {
            hash: model.hash(),
            size: model.to_bytes().len() as u64,
            outputs: model.outputs().into_iter().map(|o| o.name).collect(),
            kept: match here {
                true => Kept::Here(model),
                false => Kept::OnDisk(path.to_owned()),
            },
        }
    }

    /// What updates of the weights start from; `None` where the model is not in memory.
    pub(super) fn model(&self) -> Option<&Model> {
        match &self.kept {
            Kept::Here(model) => Some(model),
            Kept::OnDisk(_) => None,
        }
    }

    /// The bytes of the model, should the server not have it.
    pub(super) fn source(&self) -> ModelSource {
        match &self.kept {
            Kept::Here(model) => {
                let model = model.clone();
                Arc::new(move || Ok(model.to_bytes()))
            }
            Kept::OnDisk(path) => {
                let (path, hash) = (path.clone(), self.hash);
                Arc::new(move || read_again(&path, hash))
            }
        }
    }
}

/// # Errors
/// In words, when the file is not there any more, or another one is.
fn read_again(path: &Path, hash: [u8; 32]) -> Result<Vec<u8>, String> {
    let model = Model::load(path).map_err(|e| e.to_string())?;
    match model.hash() == hash {
        true => Ok(model.to_bytes()),
        false => Err(format!(
            "{} has changed since this element started",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_graph::build::GraphBuilder;
    use splitinfer_tensor::DType;

    /// A model that gives what it takes.
    fn model(folder: &Path, output: &str) -> PathBuf {
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[4])
            .node("Identity", &["x"], &[output], vec![])
            .output(output, DType::F32, &[4])
            .model();
        let path = folder.join("model.onnx");
        model.unwrap().save(&path).unwrap();
        path
    }

    #[test]
    fn a_file_on_the_disk_is_read_again_and_must_be_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "y");
        let load = |here| ModelFile::new(&path, Model::load(&path).unwrap(), here);
        let (here, on_disk) = (load(true), load(false));
        assert!(here.model().is_some() && on_disk.model().is_none());
        assert_eq!(on_disk.outputs, ["y"]);
        let bytes = on_disk.source()().unwrap();
        assert_eq!(bytes, here.source()().unwrap());
        assert_eq!((bytes.len() as u64, on_disk.hash), (here.size, here.hash));
        model(folder.path(), "z");
        let problem = on_disk.source()().unwrap_err();
        assert!(problem.contains("model.onnx has changed"), "{problem}");
    }
}
