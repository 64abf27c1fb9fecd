// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The real models and videos that lie beside the project, where there are any.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use splitinfer_graph::Model;
use splitinfer_runtime::{Session, SessionOptions, fix_shapes, load_library};
use splitinfer_tensor::Tensor;
use splitinfer_vision::modelinfo::TensorInfo;
use splitinfer_vision::{
    ColorMatrix, ColorRange, Frame, Head, ModelInfo, Object, PixelFormat, Plane, Preprocessor,
};

/// The folder of real data, or `None` with a printed line.
pub fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("SPLITINFER_DATA").map_or(beside, PathBuf::from);
    if folder.join("models").is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data in {}", folder.display());
    None
}

/// The example sidecar of a model, beside its label list, in a folder of its own.
pub fn sidecar(model: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sidecars");
    std::fs::read_to_string(folder.join(format!("{model}.onnx.modelinfo"))).unwrap()
}

/// A model, and all that is needed to feed and read it.
pub struct Real {
    pub info: ModelInfo,
    session: Session,
    preprocessor: Preprocessor,
    head: Head,
}

impl Real {
    /// With its example sidecar, or guessed without one; `None` with a printed line if ONNX Runtime is missing.
    pub fn load(data: &Path, name: &str, with_sidecar: bool) -> Option<Self> {
        if let Err(e) = load_library(None) {
            println!("skipped: {e}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        if with_sidecar {
            let file = folder.path().join(format!("{name}.onnx.modelinfo"));
            std::fs::write(file, sidecar(name)).unwrap();
            let labels = "imagenet_labels.txt";
            std::fs::copy(data.join("models").join(labels), folder.path().join(labels)).unwrap();
        }
        let model = Model::load(&data.join(format!("models/{name}.onnx"))).unwrap();
        let model = fix_shapes(&model, &[]).unwrap();
        let session = Session::from_model(&model, &SessionOptions::default()).unwrap();
        let describe = |ports: &[splitinfer_runtime::Port]| -> Vec<TensorInfo> {
            ports
                .iter()
                .map(|p| TensorInfo {
                    name: p.name.clone(),
                    dtype: p.dtype,
                    dims: p.shape.clone(),
                })
                .collect()
        };
        let (inputs, outputs) = (describe(session.inputs()), describe(session.outputs()));
        let model_path = folder.path().join(format!("{name}.onnx"));
        let (info, assumed) = ModelInfo::load_or_guess(&model_path, &inputs, &outputs).unwrap();
        println!("{name}: assumed {assumed:?}");
        Some(Self {
            preprocessor: Preprocessor::new(&info),
            head: Head::new(&info),
            session,
            info,
        })
    }

    /// For settings changed after loading.
    pub fn change(&mut self, change: impl Fn(&mut ModelInfo)) {
        change(&mut self.info);
        self.preprocessor = Preprocessor::new(&self.info);
        self.head = Head::new(&self.info);
    }

    /// The objects in pixels of the frame.
    pub fn objects(&mut self, frame: &Frame<'_>) -> Vec<Object> {
        let (picture, placement) = self.preprocessor.picture(frame).unwrap();
        let tensor = self.preprocessor.tensor(&picture).unwrap();
        let outputs: Vec<(String, Tensor)> = self
            .session
            .run(&[(self.info.input.name.as_str(), &tensor)])
            .unwrap();
        let mut objects = self.head.read(&outputs).unwrap();
        objects.iter_mut().for_each(|o| placement.to_frame(o));
        objects
    }
}

/// Frames of a video as tight I420.
pub struct Video {
    pub width: u32,
    pub height: u32,
    pub frames: Vec<Vec<u8>>,
}

impl Video {
    /// `None` with a printed line if there is no ffmpeg.
    pub fn decode(file: &Path, [width, height]: [u32; 2], arguments: &[&str]) -> Option<Self> {
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(file)
            .args(arguments)
            .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: there is no ffmpeg");
            return None;
        };
        let mut bytes = Vec::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert!(child.wait().unwrap().success());
        let size = (width * height * 3 / 2) as usize;
        let frames: Vec<_> = bytes.chunks_exact(size).map(<[u8]>::to_vec).collect();
        assert!(!frames.is_empty());
        Some(Self {
            width,
            height,
            frames,
        })
    }

    pub fn frame(&self, i: usize) -> Frame<'_> {
        let (w, h) = (self.width as usize, self.height as usize);
        let (y, uv) = self.frames[i].split_at(w * h);
        let (u, v) = uv.split_at(w * h / 4);
        let plane = |data, stride| Plane { data, stride };
        Frame::new(
            PixelFormat::I420,
            self.width,
            self.height,
            vec![plane(y, w), plane(u, w / 2), plane(v, w / 2)],
            ColorMatrix::Bt601,
            ColorRange::Limited,
        )
        .unwrap()
    }
}
