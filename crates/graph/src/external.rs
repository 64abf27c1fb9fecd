// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tensor data kept in files beside the model: read into the model, so that it becomes one file.
//!
//! A model may come from anyone, so a location must be a relative path that stays in the model's folder,
//! also once links are followed, must name a regular file, and must lie wholly within it
//! (<https://github.com/onnx/onnx/blob/main/docs/ExternalData.md>).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::error::Problem;
use crate::proto::{
    AttributeProto, DataLocation, FunctionProto, GraphProto, ModelProto, SparseTensorProto,
    TensorProto,
};

/// Replaces every reference to an external file by its bytes. `dir` is the model's folder.
pub(crate) fn inline(model: &mut ModelProto, dir: Option<&Path>) -> Result<(), Problem> {
    let mut files = Files {
        dir,
        open: HashMap::new(),
    };
    let mut tensors = Vec::new();
    if let Some(graph) = &mut model.graph {
        in_graph(graph, &mut tensors);
    }
    for training in &mut model.training_info {
        for graph in [&mut training.initialization, &mut training.algorithm] {
            graph.iter_mut().for_each(|g| in_graph(g, &mut tensors));
        }
    }
    for FunctionProto {
        node,
        attribute_proto,
        ..
    } in &mut model.functions
    {
        let attributes = node.iter_mut().flat_map(|n| &mut n.attribute);
        attributes
            .chain(attribute_proto)
            .for_each(|a| in_attribute(a, &mut tensors));
    }
    tensors.into_iter().try_for_each(|t| files.inline(t))
}

fn in_graph<'a>(graph: &'a mut GraphProto, found: &mut Vec<&'a mut TensorProto>) {
    found.extend(graph.initializer.iter_mut());
    graph
        .sparse_initializer
        .iter_mut()
        .for_each(|s| in_sparse(s, found));
    let attributes = graph.node.iter_mut().flat_map(|n| &mut n.attribute);
    attributes.for_each(|a| in_attribute(a, found));
}

fn in_attribute<'a>(attribute: &'a mut AttributeProto, found: &mut Vec<&'a mut TensorProto>) {
    found.extend(attribute.t.iter_mut().chain(&mut attribute.tensors));
    let sparse = attribute.sparse_tensor.iter_mut();
    sparse
        .chain(&mut attribute.sparse_tensors)
        .for_each(|s| in_sparse(s, found));
    let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
    graphs.for_each(|g| in_graph(g, found));
}

fn in_sparse<'a>(sparse: &'a mut SparseTensorProto, found: &mut Vec<&'a mut TensorProto>) {
    found.extend(sparse.values.iter_mut().chain(&mut sparse.indices));
}

/// The files read so far: tensors that share a file share its bytes.
struct Files<'a> {
    dir: Option<&'a Path>,
    open: HashMap<PathBuf, Bytes>,
}

impl Files<'_> {
    fn inline(&mut self, tensor: &mut TensorProto) -> Result<(), Problem> {
        if tensor.data_location() != DataLocation::External {
            return Ok(());
        }
        let data = self.slice(tensor).map_err(|reason| Problem::ExternalData {
            tensor: tensor.name().to_owned(),
            reason,
        })?;
        tensor.raw_data = Some(data);
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }

    fn slice(&mut self, tensor: &TensorProto) -> Result<Bytes, String> {
        let entry = |key: &str| {
            let found = tensor.external_data.iter().find(|e| e.key() == key);
            found.map(|e| e.value().to_owned())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(v) => match v.parse::<usize>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(format!("whose {key} '{v}' is not a number")),
            },
        };
        let location = entry("location").ok_or("but does not say which")?;
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?;
        let file = self.file(&location)?;
        let end = match length {
            Some(n) => offset.checked_add(n),
            None => Some(file.len()),
        };
        match end {
            Some(end) if offset <= end && end <= file.len() => Ok(file.slice(offset..end)),
            _ => Err(format!(
                "'{location}', which has {} bytes and so ends before the data does (offset {offset}, length {}); \
                 is the copy complete?",
                file.len(),
                length.map_or("to the end".to_owned(), |n| n.to_string()),
            )),
        }
    }

    fn file(&mut self, location: &str) -> Result<&Bytes, String> {
        let dir = self.dir.ok_or_else(|| {
            format!("'{location}', and was given without its folder; load it from its file")
        })?;
        let path = resolve(dir, location)?;
        match self.open.entry(path) {
            Entry::Occupied(e) => Ok(e.into_mut()),
            Entry::Vacant(e) => {
                let bytes = std::fs::read(e.key())
                    .map_err(|err| format!("'{location}', which cannot be read: {err}"))?;
                Ok(e.insert(bytes.into()))
            }
        }
    }
}

/// The file that `location` names, if it is a regular one inside `dir`.
fn resolve(dir: &Path, location: &str) -> Result<PathBuf, String> {
    let relative = Path::new(location);
    let plain = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !relative.components().all(plain) {
        return Err(format!(
            "'{location}', which is not a path inside the model's folder"
        ));
    }
    let missing = |e| format!("'{location}', which cannot be found beside the model: {e}");
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let folder = dir.canonicalize().map_err(missing)?;
    let path = folder.join(relative).canonicalize().map_err(missing)?;
    if !path.starts_with(&folder) {
        return Err(format!(
            "'{location}', which is a link to outside the model's folder"
        ));
    }
    if !path.is_file() {
        return Err(format!("'{location}', which is not a file"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;
    use crate::{Model, proto::StringStringEntryProto};
    use prost::Message;
    use splitinfer_tensor::DType;

    /// A model whose one weight says that its data lies at these external_data entries.
    fn model_bytes(entries: &[(&str, &str)]) -> Vec<u8> {
        let model = GraphBuilder::new(17)
            .input("x", DType::F32, &[4])
            .weight("w", &[4], &[0.0; 4])
            .node("Add", &["x", "w"], &["y"], vec![])
            .output("y", DType::F32, &[4])
            .model()
            .unwrap();
        let mut proto = model.proto().clone();
        let w = &mut proto.graph.as_mut().unwrap().initializer[0];
        w.raw_data = None;
        w.data_location = Some(DataLocation::External as i32);
        w.external_data = entries
            .iter()
            .map(|(k, v)| StringStringEntryProto {
                key: Some((*k).to_owned()),
                value: Some((*v).to_owned()),
            })
            .collect();
        proto.encode_to_vec()
    }

    fn weight(model: &Model) -> &Bytes {
        let graph = model.proto().graph.as_ref().unwrap();
        graph.initializer[0].raw_data.as_ref().unwrap()
    }

    #[test]
    fn data_beside_the_model_becomes_part_of_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let data: Vec<u8> = (0..40).collect();
        std::fs::write(dir.path().join("sub/w.bin"), &data).unwrap();
        let bytes = model_bytes(&[("location", "sub/w.bin"), ("offset", "8"), ("length", "16")]);
        let model = Model::from_bytes(&bytes, Some(dir.path())).unwrap();
        assert_eq!(weight(&model)[..], data[8..24]);
        let alone = Model::from_bytes(&model.to_bytes(), None).unwrap();
        assert_eq!(alone.hash(), model.hash());
        let to_the_end = model_bytes(&[("location", "sub/w.bin"), ("offset", "24")]);
        let model = Model::from_bytes(&to_the_end, Some(dir.path())).unwrap();
        assert_eq!(weight(&model)[..], data[24..]);
    }

    #[test]
    fn data_outside_the_folder_or_the_file_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("model");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(outer.path().join("secret"), [1; 64]).unwrap();
        std::fs::write(dir.join("w.bin"), [1; 16]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outer.path().join("secret"), dir.join("link")).unwrap();
        let absolute = outer.path().join("secret");
        let max = usize::MAX.to_string();
        for (entries, expected) in [
            (vec![("location", "../secret")], "not a path inside"),
            (
                vec![("location", "./sub/../../secret")],
                "not a path inside",
            ),
            (
                vec![("location", absolute.to_str().unwrap())],
                "not a path inside",
            ),
            #[cfg(unix)]
            (vec![("location", "link")], "outside the model's folder"),
            (vec![("location", "absent.bin")], "cannot be found"),
            (vec![("location", ".")], "not a file"),
            (vec![("location", "")], "not a path inside"),
            (vec![], "does not say which"),
            (vec![("location", "w.bin"), ("length", "17")], "ends before"),
            (vec![("location", "w.bin"), ("offset", "17")], "ends before"),
            (
                vec![("location", "w.bin"), ("offset", &max), ("length", &max)],
                "ends before",
            ),
            (
                vec![("location", "w.bin"), ("offset", "-1")],
                "not a number",
            ),
        ] {
            let e = Model::from_bytes(&model_bytes(&entries), Some(&dir)).unwrap_err();
            assert!(e.to_string().contains(expected), "{entries:?}: {e}");
            assert!(e.to_string().contains("'w'"), "{e}");
        }
        let e = Model::from_bytes(&model_bytes(&[("location", "w.bin")]), None).unwrap_err();
        assert!(e.to_string().contains("without its folder"), "{e}");
    }
}
