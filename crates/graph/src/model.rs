// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model: loaded, checked, saved, and what it takes and gives.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};
use splitinfer_tensor::DType;

use crate::error::{GraphError, Problem};
use crate::external;
use crate::order::Graph;
use crate::proto::{DimensionValue, GraphProto, ModelProto, NodeProto, TypeValue, ValueInfoProto};

/// A protobuf message cannot be larger; models beyond keep their weights in external data.
const MAX_FILE: u64 = i32::MAX as u64;

/// The oldest operator set that is read: from 7 on operators broadcast as NumPy does.
const OLDEST_OPSET: i64 = 7;

/// An ONNX model whose graph has been checked. Cloning is cheap: clones share everything.
#[derive(Clone)]
pub struct Model {
    subject: Arc<str>,
    proto: Arc<ModelProto>,
    graph: Arc<Graph>,
}

/// The size of one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    Fixed(usize),
    /// Given at run time; the same name means the same size. Empty when the model does not name it.
    Symbol(String),
}

/// Name and type of an input or output. `None` for what the model does not say, or for a type that is
/// not a tensor of one of the [`DType`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    pub name: String,
    pub dtype: Option<DType>,
    pub shape: Option<Vec<Dim>>,
}

impl Model {
    /// Reads a file; data that it keeps in other files of its folder is taken in.
    ///
    /// # Errors
    /// When the file cannot be read, is not ONNX (the message names the path and, where it is known, what
    /// the file is instead), uses an operator set below 7, has an invalid graph (two producers of a tensor,
    /// none, or a cycle), or when its external data is missing, incomplete or outside its folder.
    pub fn load(path: &Path) -> Result<Self, GraphError> {
        let subject = path.display().to_string();
        let unreadable = |e: std::io::Error| Problem::Unreadable(e.to_string()).of(&subject);
        let meta = std::fs::metadata(path).map_err(unreadable)?;
        if !meta.is_file() {
            return Err(Problem::Unreadable("it is not a file".into()).of(&subject));
        }
        if meta.len() > MAX_FILE {
            return Err(Problem::NotOnnx("it is larger than 2 GiB".into()).of(&subject));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let dir = path.parent().unwrap_or(Path::new("."));
        Self::decode(bytes.into(), Some(dir), &subject)
    }

    /// From the contents of a file. `dir`: the folder in which its external data lies, if there may be any.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8], dir: Option<&Path>) -> Result<Self, GraphError> {
        Self::decode(Bytes::copy_from_slice(bytes), dir, "the model")
    }

    /// From messages made or changed by the caller.
    ///
    /// # Errors
    /// As [`Model::load`]; external data is refused, as there is no folder to find it in.
    pub fn from_proto(proto: ModelProto) -> Result<Self, GraphError> {
        Self::check(proto, None, "the model")
    }

    fn decode(bytes: Bytes, dir: Option<&Path>, subject: &str) -> Result<Self, GraphError> {
        let not_onnx = |reason: String| Problem::NotOnnx(reason).of(subject);
        if let Some(kind) = known_format(&bytes) {
            return Err(not_onnx(format!("it is {kind}")));
        }
        let proto = ModelProto::decode(bytes).map_err(|e| {
            let e = e.to_string();
            let detail = e.strip_prefix("failed to decode Protobuf message: ");
            not_onnx(format!("it does not decode ({})", detail.unwrap_or(&e)))
        })?;
        Self::check(proto, dir, subject)
    }

    fn check(mut proto: ModelProto, dir: Option<&Path>, subject: &str) -> Result<Self, GraphError> {
        supported(&proto).map_err(|p| p.of(subject))?;
        external::inline(&mut proto, dir).map_err(|p| p.of(subject))?;
        let graph = Graph::new(&proto).map_err(|p| p.of(subject))?;
        Ok(Self {
            subject: subject.into(),
            proto: proto.into(),
            graph: graph.into(),
        })
    }

    /// The same with changed messages; errors keep naming the file this model came from.
    pub(crate) fn with_proto(&self, proto: ModelProto) -> Result<Self, GraphError> {
        Self::check(proto, None, &self.subject)
    }

    /// As one file, without external data. The same model always gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Writes [`Model::to_bytes`] to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, self.to_bytes())
    }

    /// SHA-256 of [`Model::to_bytes`]: what edge and server compare. It is that of the loaded model and not
    /// of the file, so a model with external data and its copy in one file have the same.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    /// Everything, as the file has it.
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The inputs a caller must feed: initializers that are listed as inputs are not among them.
    pub fn inputs(&self) -> Vec<ValueInfo> {
        let fed = |v: &&ValueInfoProto| self.graph.is_input(v.name());
        self.main()
            .input
            .iter()
            .filter(fed)
            .map(value_info)
            .collect()
    }

    /// What the model gives.
    pub fn outputs(&self) -> Vec<ValueInfo> {
        self.main().output.iter().map(value_info).collect()
    }

    /// The nodes of the main graph, each after those it reads from.
    pub fn ordered_nodes(&self) -> impl Iterator<Item = &NodeProto> {
        let nodes = self.graph.nodes.iter();
        nodes.map(|n| &self.main().node[n.index])
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The main graph. [`supported`] has made sure that there is one.
    pub(crate) fn main(&self) -> &GraphProto {
        static NONE: std::sync::LazyLock<GraphProto> = std::sync::LazyLock::new(Default::default);
        self.proto.graph.as_ref().unwrap_or(&NONE)
    }

    pub(crate) fn problem(&self, problem: Problem) -> GraphError {
        problem.of(&self.subject)
    }

    /// The same model with the shape of one input fixed. Symbols of that input get their sizes wherever the
    /// model names them.
    ///
    /// # Errors
    /// When there is no such input, the rank differs, a fixed size differs, or a symbol would get two sizes.
    pub fn with_input_shape(&self, name: &str, shape: &[usize]) -> Result<Self, GraphError> {
        let inputs = self.inputs();
        let Some(input) = inputs.iter().find(|i| i.name == name) else {
            return Err(self.problem(Problem::NoSuchInput {
                name: name.to_owned(),
                inputs: quoted(inputs.iter().map(|i| i.name.as_str())),
            }));
        };
        let sizes = symbol_sizes(input, shape).map_err(|reason| {
            self.problem(Problem::InputShape {
                name: name.to_owned(),
                shape: shape.to_vec(),
                reason,
            })
        })?;
        let mut proto = ModelProto::clone(&self.proto);
        if let Some(graph) = &mut proto.graph {
            let values = graph.input.iter_mut();
            for value in values.chain(&mut graph.output).chain(&mut graph.value_info) {
                let fixed = (value.name() == name).then_some(shape);
                fix_shape(value, fixed, &sizes);
            }
        }
        self.with_proto(proto)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("subject", &self.subject)
            .field("nodes", &self.main().node.len())
            .finish()
    }
}

/// What a file is that people give in place of an ONNX model, from its first bytes.
fn known_format(bytes: &[u8]) -> Option<&'static str> {
    let at =
        |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|b| b.starts_with(magic));
    Some(match () {
        () if bytes.is_empty() => "empty",
        () if at(0, b"\x89PNG") => "a PNG picture",
        () if at(0, b"\xff\xd8\xff") => "a JPEG picture",
        () if at(0, b"BM") => "a BMP picture",
        () if at(4, b"ftyp") => "an MP4 video",
        () if at(0, b"\x1a\x45\xdf\xa3") => "a Matroska or WebM video",
        () if at(4, b"TFL3") => "a TensorFlow Lite model; convert it with tf2onnx",
        () if at(4, b"ORTM") => "a model in ONNX Runtime's own format; give the .onnx file",
        () if at(0, b"PK\x03\x04") => {
            "a ZIP archive, perhaps a PyTorch checkpoint; export it to ONNX"
        }
        () if at(0, b"\x89HDF") => "an HDF5 file, perhaps a Keras model; convert it with tf2onnx",
        () if at(0, b"\x1f\x8b") => "compressed with gzip",
        () if at(0, b"version https://git-lfs") => {
            "a Git LFS pointer; fetch the file with 'git lfs pull'"
        }
        _ => return None,
    })
}

/// Refuses what decodes but cannot be worked with.
fn supported(proto: &ModelProto) -> Result<(), Problem> {
    let Some(graph) = &proto.graph else {
        return Err(Problem::NotOnnx("it holds no graph".into()));
    };
    if graph.output.is_empty() {
        return Err(Problem::Invalid("the graph has no outputs".into()));
    }
    let default = |d: &str| matches!(d, "" | "ai.onnx");
    let mut opsets = proto.opset_import.iter();
    match opsets.find(|o| default(o.domain())) {
        Some(opset) if opset.version() < OLDEST_OPSET => Err(Problem::Unsupported(format!(
            "it uses operator set {}, the oldest supported is {OLDEST_OPSET}; export it again, or update it with \
             onnx.version_converter",
            opset.version()
        ))),
        None if proto.opset_import.is_empty() => Err(Problem::Unsupported(
            "it does not say which operator set it uses".into(),
        )),
        _ => Ok(()),
    }
}

fn value_info(proto: &ValueInfoProto) -> ValueInfo {
    let tensor = match proto.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(TypeValue::Tensor(t)) => Some(t),
        _ => None,
    };
    let dims = tensor.and_then(|t| t.shape.as_ref());
    ValueInfo {
        name: proto.name().to_owned(),
        dtype: tensor.and_then(|t| DType::from_onnx(t.elem_type())),
        shape: dims.map(|s| s.dim.iter().map(|d| dim(d.value.as_ref())).collect()),
    }
}

fn dim(value: Option<&DimensionValue>) -> Dim {
    match value {
        // Old exporters write 0 or -1 for a size that is given at run time.
        Some(DimensionValue::Value(n)) if *n > 0 => {
            usize::try_from(*n).map_or(Dim::Symbol(String::new()), Dim::Fixed)
        }
        Some(DimensionValue::Param(name)) => Dim::Symbol(name.clone()),
        _ => Dim::Symbol(String::new()),
    }
}

/// The sizes that `shape` gives to the symbols of `input`, or why it does not fit.
fn symbol_sizes(input: &ValueInfo, shape: &[usize]) -> Result<HashMap<String, usize>, String> {
    if shape.contains(&0) {
        return Err("a size of 0 makes it empty".into());
    }
    let mut sizes = HashMap::new();
    let Some(dims) = &input.shape else {
        return Ok(sizes);
    };
    if dims.len() != shape.len() {
        return Err(format!("it has {} axes", dims.len()));
    }
    for (axis, (dim, size)) in dims.iter().zip(shape).enumerate() {
        match dim {
            Dim::Fixed(n) if n != size => {
                return Err(format!("axis {axis} has the fixed size {n}"));
            }
            Dim::Symbol(s) if !s.is_empty() => match sizes.insert(s.clone(), *size) {
                Some(other) if other != *size => {
                    return Err(format!("'{s}' would be both {other} and {size}"));
                }
                _ => {}
            },
            _ => {}
        }
    }
    Ok(sizes)
}

/// Puts the sizes of symbols into a value's shape, or all of `fixed`.
fn fix_shape(value: &mut ValueInfoProto, fixed: Option<&[usize]>, sizes: &HashMap<String, usize>) {
    let Some(TypeValue::Tensor(tensor)) = value.r#type.as_mut().and_then(|t| t.value.as_mut())
    else {
        return;
    };
    if let Some(shape) = fixed {
        let dims = &mut tensor.shape.get_or_insert_default().dim;
        dims.resize_with(shape.len(), Default::default);
        for (dim, size) in dims.iter_mut().zip(shape) {
            dim.value = Some(DimensionValue::Value(*size as i64));
        }
    } else if let Some(shape) = &mut tensor.shape {
        for dim in &mut shape.dim {
            if let Some(DimensionValue::Param(p)) = &dim.value
                && let Some(size) = sizes.get(p)
            {
                dim.value = Some(DimensionValue::Value(*size as i64));
            }
        }
    }
}

/// Names as they stand in messages.
pub(crate) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| format!("'{n}'")).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::GraphBuilder;

    fn symbolic() -> Model {
        let symbol = |s: &str| DimensionValue::Param(s.into());
        let shape = [
            symbol("n"),
            DimensionValue::Value(3),
            symbol("h"),
            symbol("h"),
        ];
        let mut proto = GraphBuilder::new(17)
            .symbolic_input("x", DType::F32, &shape)
            .symbolic_input(
                "other",
                DType::F32,
                &[symbol("n"), DimensionValue::Value(-1)],
            )
            .node("Add", &["x", "other"], &["y"], vec![])
            .untyped_output("y")
            .proto();
        let graph = proto.graph.as_mut().unwrap();
        graph.value_info.push(graph.input[0].clone());
        graph.value_info[0].name = Some("y".into());
        Model::from_proto(proto).unwrap()
    }

    #[test]
    fn fixing_a_shape_fixes_its_symbols_everywhere() {
        let model = symbolic().with_input_shape("x", &[1, 3, 8, 8]).unwrap();
        let fixed = |shape: &[usize]| Some(shape.iter().map(|d| Dim::Fixed(*d)).collect());
        assert_eq!(model.inputs()[0].shape, fixed(&[1, 3, 8, 8]));
        assert_eq!(
            model.inputs()[1].shape,
            Some(vec![Dim::Fixed(1), Dim::Symbol(String::new())])
        );
        let inner = value_info(&model.main().value_info[0]);
        assert_eq!(inner.shape, fixed(&[1, 3, 8, 8]));
        assert_ne!(model.hash(), symbolic().hash());
    }

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        let error = |name: &str, shape: &[usize]| {
            let fixed = symbolic().with_input_shape(name, shape);
            fixed.unwrap_err().to_string()
        };
        assert!(error("x", &[1, 3, 8]).ends_with("it has 4 axes"));
        assert!(error("x", &[1, 4, 8, 8]).ends_with("axis 1 has the fixed size 3"));
        assert!(error("x", &[1, 3, 8, 9]).ends_with("'h' would be both 8 and 9"));
        assert!(error("x", &[0, 3, 8, 8]).ends_with("a size of 0 makes it empty"));
        assert_eq!(
            error("image", &[1]),
            "the model has no input named 'image'; its inputs: 'x', 'other'"
        );
    }

    #[test]
    fn files_that_are_no_models_get_one_clear_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        let text = path.display().to_string();
        for (bytes, expected) in [
            (
                &b"\x89PNG\r\n\x1a\n0000"[..],
                "is not an ONNX model: it is a PNG picture",
            ),
            (b"", "is not an ONNX model: it is empty"),
            (
                b"person\nbicycle\n",
                "is not an ONNX model: it does not decode",
            ),
            (&[8, 7], "is not an ONNX model: it holds no graph"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let e = Model::load(&path).unwrap_err().to_string();
            assert!(e.starts_with(&format!("{text} {expected}")), "{e}");
            assert!(!e.contains('\n'), "{e}");
        }
        let e = Model::load(dir.path()).unwrap_err().to_string();
        assert!(e.ends_with("cannot be read: it is not a file"), "{e}");
        let e = Model::load(&dir.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(e.contains("none cannot be read: "), "{e}");
    }

    #[test]
    fn operator_sets_before_7_are_not_supported() {
        let of_opset = |opset| {
            let model = GraphBuilder::new(opset).input("x", DType::F32, &[1]);
            model.untyped_output("x").model()
        };
        assert!(of_opset(7).is_ok());
        let e = of_opset(6).unwrap_err().to_string();
        assert!(
            e.starts_with("the model is not supported: it uses operator set 6"),
            "{e}"
        );
        assert!(!e.contains("  "), "{e}");
    }

    #[test]
    fn saving_and_loading_gives_the_same_model() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.onnx");
        symbolic().save(&path).unwrap();
        let loaded = Model::load(&path).unwrap();
        assert_eq!(loaded.proto(), symbolic().proto());
        assert_eq!(loaded.hash(), symbolic().hash());
    }
}
